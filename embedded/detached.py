"""A Kafka that outlives the program that started it, known by a state file in a folder of its own."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from headrace.embedded.broker import EmbeddedKafka
from headrace.embedded.process import end, is_running
from headrace.embedded.ready import answers
from headrace.embedded.storage import known_brokers

DEFAULT_PORT = 9092
_STATE_FILE = "state.json"


@dataclass(frozen=True)
class State:
    """A Kafka that was started: what the state file holds."""

    bootstrap: str
    ports: list[int]
    data: str
    logs: list[str]
    pids: list[int]
    markers: list[str]
    """What the command line of each process holds and that of no other does."""
    started: float
    """Unix time in seconds."""

    @property
    def alive(self) -> int:
        """How many of its brokers run."""
        return sum(is_running(pid, marker) for pid, marker in zip(self.pids, self.markers, strict=True))

    @property
    def ready(self) -> bool:
        """Whether at least one broker answers, within two seconds."""
        return answers(self.ports)


@dataclass(frozen=True)
class Wish:
    """What somebody asks for; None leaves it to what is there, or to the defaults."""

    brokers: int | None = None
    port: int | None = None
    """The first broker's; the others' follow it. 0 takes free ones."""
    data: Path | None = None


class Detached:
    """The Kafka of one folder.

    Args:
        home: holds the state file and, unless told otherwise, the data.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()

    def state(self) -> State | None:
        """What runs, or None: also if all its processes have ended, whatever the state file says."""
        try:
            known = State(**json.loads((self.home / _STATE_FILE).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return known if known.alive else None

    def make(self, wish: Wish, *, detached: bool) -> EmbeddedKafka:
        """The Kafka that is wished for, not started yet."""
        data = wish.data or self.home / "data"
        brokers = wish.brokers or known_brokers(data) or 1
        port = DEFAULT_PORT if wish.port is None else wish.port
        ports = list(range(port, port + brokers)) if port else None
        return EmbeddedKafka(brokers, data, ports, detached=detached)

    def start(self, wish: Wish) -> tuple[State, bool]:
        """Start brokers that stay; the state, and whether they were started by this call rather than there already.

        What runs already is not compared with the wish.

        Raises:
            EmbeddedKafkaError: see `EmbeddedKafka.start`.
        """
        with self._exclusive():
            running = self.state()
            if running is not None:
                return running, False
            return self.write(self.make(wish, detached=True).start()), True

    def write(self, kafka: EmbeddedKafka) -> State:
        """Note a Kafka that has been started."""
        state = State(
            bootstrap=kafka.bootstrap,
            ports=kafka.ports,
            data=str(kafka.data_dir),
            logs=[str(log) for log in kafka.logs],
            pids=kafka.pids,
            markers=kafka.markers,
            started=time.time(),
        )
        self.home.mkdir(parents=True, exist_ok=True)
        part = self.home / f"{_STATE_FILE}.{os.getpid()}"
        part.write_text(json.dumps(asdict(state), indent=2) + "\n")
        part.replace(self.home / _STATE_FILE)
        return state

    def forget(self) -> None:
        """Remove the state file."""
        (self.home / _STATE_FILE).unlink(missing_ok=True)

    def stop(self) -> State | None:
        """Stop what runs, in order; what ran, or None if nothing did. The data stays."""
        with self._exclusive():
            running = self.state()
            if running is not None:
                end(list(zip(running.pids, running.markers, strict=True)))
            self.forget()
            return running

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        # Two starts at once would both find nothing running, and two brokers would fight for the data.
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "command.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
