"""A Kafka, or a Connect worker, that outlives the program that started it; a state file says where it runs."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import psutil

from headrace.embedded.broker import STOP_SECONDS, EmbeddedKafka, brokers_at, brokers_in

DEFAULT_PORT = 9092


class Started(Protocol):
    """What was started, and runs: see EmbeddedKafka and EmbeddedConnect."""

    @property
    def bootstrap(self) -> str: ...
    @property
    def ports(self) -> list[int]: ...
    @property
    def data_dir(self) -> Path: ...
    @property
    def logs(self) -> list[Path]: ...
    @property
    def pids(self) -> list[int]: ...


@dataclass(frozen=True)
class State:
    """The content of the state file: a Kafka, or a Connect worker, that was started."""

    bootstrap: str
    ports: list[int]
    data: str
    logs: list[str]
    pids: list[int]
    started: float
    """Unix time in seconds."""

    @property
    def alive(self) -> int:
        """Number of its processes that run."""
        return self.each(lambda process: None)

    @property
    def ready(self) -> bool:
        """Whether at least one broker answers, within two seconds."""
        return brokers_at(self.bootstrap, 2.0) > 0

    def each(self, action: Callable[[psutil.Process], None]) -> int:
        """Call `action` for each process that runs; returns their number."""
        count = 0
        for pid, log in zip(self.pids, self.logs, strict=True):
            try:
                process = psutil.Process(pid)
                # Its working folder tells it from another process that has got the same id.
                if Path(process.cwd()) == Path(log).parent:
                    action(process)
                    count += 1
            except psutil.Error:
                continue
        return count


class Detached:
    """The Kafka, or the Connect worker, of one folder.

    Args:
        home: holds the state file and, unless told otherwise, the data.
    """

    def __init__(self, home: Path) -> None:
        self._data = home.resolve() / "data"
        self._file = home.resolve() / "state.json"

    def state(self) -> State | None:
        """What runs; None if nothing does, even if a state file was left behind."""
        try:
            known = State(**json.loads(self._file.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return known if known.alive else None

    def make(self, brokers: int | None, port: int | None, data: Path | None, *, detached: bool = True) -> EmbeddedKafka:
        """A Kafka to start, on ports from `port` on (0: free ones). For None, the data or the default decides."""
        data = data or self._data
        brokers = brokers or brokers_in(data) or 1
        port = DEFAULT_PORT if port is None else port
        return EmbeddedKafka(brokers, data, range(port, port + brokers) if port else None, detached=detached)

    def write(self, one: Started) -> State:
        """Write the state file for what has been started."""
        logs = [str(log) for log in one.logs]
        state = State(one.bootstrap, one.ports, str(one.data_dir), logs, one.pids, time.time())
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(asdict(state), indent=2) + "\n")
        return state

    def stop(self) -> State | None:
        """Stop what runs, and return it; None if nothing does. Its data stays.

        Processes that do not stop in time get SIGKILL.
        """
        running = self.state()
        if running is not None:
            running.each(psutil.Process.terminate)
            # A paused process gets SIGTERM only when it continues.
            running.each(psutil.Process.resume)
            deadline = time.monotonic() + STOP_SECONDS
            while running.alive and time.monotonic() < deadline:
                time.sleep(0.05)
            running.each(psutil.Process.kill)
        self.forget()
        return running

    def forget(self) -> None:
        """Remove the state file."""
        self._file.unlink(missing_ok=True)
