"""What the demo runs on: brokers, topics and workers that are gone when it is over."""

import json
import os
import shutil
import signal
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka import KafkaException

from headrace.cli.deployment import Deployment
from headrace.cli.errors import ENVIRONMENT, Failure
from headrace.cli.kafka import home
from headrace.embedded import EmbeddedKafka
from headrace.embedded.broker import free_ports
from headrace.embedded.process import Process
from headrace.examples.poker import room
from headrace.examples.poker.demo.screen import Screen
from headrace.streams.admin import topics
from headrace.streams.runtime.committed_offsets import HANGING_OFFSETS
from headrace.streams.settings import Settings
from headrace.topology.topology import Topology

ROOM = "headrace.examples.poker:room"
QUICK = {"group.consumer.session.timeout.ms": 3000}
"""Settings of brokers that soon take a worker for dead, yet leave a busy machine time for its heartbeats."""
_READY_WITHIN = 120.0  # seconds
_STOP_WITHIN = 10.0
_TAIL_LINES = 15


@contextmanager
def cluster(
    deployment: Deployment,
    screen: Screen,
    workers: int,
    properties: Mapping[str, object],
    topology: Topology = room,
    prefix: str = "",
) -> Iterator[tuple[Settings, EmbeddedKafka | None]]:
    """Topics of the demo's own: on the brokers that are named, else on a Kafka that comes and goes.

    `prefix` is before the topics there, for what goes from there to other systems.
    """
    settings = deployment.settings(own_kafka=False)
    changes: dict[str, object] = {}
    if "partitions" not in settings.model_fields_set:
        changes["partitions"] = max(4, 2 * workers)
    if settings.bootstrap:
        changes["prefix"] = f"{settings.prefix}demo-{uuid.uuid4().hex[:8]}."
        screen.say(f"Kafka on {settings.bootstrap}; topics {changes['prefix']}…")
        with _guest(settings.model_copy(update=changes)) as guest:
            yield guest, None
        return
    started = time.monotonic()
    with EmbeddedKafka(properties=properties) as kafka:
        screen.say(f"Apache Kafka runs on {kafka.bootstrap}, started in {time.monotonic() - started:.1f} s")
        if prefix:
            changes["prefix"] = prefix
        own = deployment.settings(bootstrap=kafka.bootstrap, own_kafka=False).model_copy(update=changes)
        topics.create(own, topics.wanted(own, topology))
        yield own, kafka


@contextmanager
def _guest(settings: Settings) -> Iterator[Settings]:
    """Topics on brokers that stay; deleted in the end, with the groups that read them."""
    admin = topics.admin(settings)
    specs = topics.wanted(settings, room)
    topics.create(settings, specs)
    try:
        yield settings
    finally:
        groups = [f"{settings.prefix}headrace.{component}" for component in room.components]
        answers = [
            *admin.delete_topics([spec.name for spec in specs], request_timeout=20).values(),
            *admin.delete_consumer_groups(groups, request_timeout=20).values(),
        ]
        for answer in answers:
            with suppress(KafkaException, TimeoutError):  # brokers that have gone away are no reason to hide another
                answer.result(30)


class Workers:
    """Processes of `headrace worker`, each with a log; they die with this process, however it ends."""

    def __init__(self, settings: Settings, count: int, folder: Path, state: Path, topology: str = ROOM) -> None:
        self.folder = folder
        """Where the logs are."""
        self.keep_logs = False
        """Whether the logs stay."""
        self._ports = free_ports(count)
        folder.mkdir(parents=True, exist_ok=True)
        self._starts = [
            (
                f"worker {number}",
                command_line(["worker"], settings, topology, port, state / str(number)),
                folder / f"worker-{number}.log",
            )
            for number, port in enumerate(self._ports, 1)
        ]
        self._processes = [Process(*start, detached=False) for start in self._starts]

    def __len__(self) -> int:
        return len(self._processes)

    def await_ready(self) -> None:
        """Wait until each has its partitions; Failure shows the log of one that does not get there."""
        deadline = time.monotonic() + _READY_WITHIN
        for number, process in enumerate(self._processes):
            while not self.ready(number):
                self.check()
                if time.monotonic() > deadline:
                    raise self._failure(process, f"was not ready within {_READY_WITHIN:g} s")
                time.sleep(0.05)

    @property
    def hung(self) -> bool:
        """Whether one said that it goes on without offsets of a transaction that does not end (docs/adr/0020)."""
        return any(HANGING_OFFSETS.encode() in log.read_bytes() for _, _, log in self._starts if log.exists())

    def ready(self, number: int) -> bool:
        """Whether a worker has its partitions and handles what comes."""
        return _ready(self._ports[number])

    def restart(self, number: int) -> None:
        """Kill a worker with -9, and start it again at once."""
        self._processes[number].kill()
        self._processes[number] = Process(*self._starts[number], detached=False)

    def check(self) -> None:
        """Raise Failure, with the end of its log, if one has ended."""
        for process in self._processes:
            if not process.alive:
                raise self._failure(process, "has ended")

    def stop(self) -> None:
        """SIGTERM to all; those that take too long are killed."""
        for process in self._processes:
            process.signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_WITHIN
        for process in self._processes:
            if not process.wait(max(0.0, deadline - time.monotonic())):
                process.kill()

    def _failure(self, process: Process, what: str) -> Failure:
        lines = process.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        code = "" if process.exit_code is None else f" (exit code {process.exit_code})"
        text = "\n  ".join([f"{process.name} {what}{code}; the end of its log {process.log}:", *lines])
        return Failure(ENVIRONMENT, text)


@contextmanager
def demo_workers(settings: Settings, count: int, topology: str = ROOM) -> Iterator[Workers]:
    """Workers that are ready; in the end they are stopped. Their logs stay if something went wrong."""
    folder = home().parent / f"demo-{os.getpid()}"
    with TemporaryDirectory(prefix="headrace-demo-") as state:
        try:
            workers = Workers(settings, count, folder, Path(state), topology)
        except OSError as error:
            raise Failure(ENVIRONMENT, f"{folder} cannot be used for the workers' logs: {error}") from error
        try:
            workers.await_ready()
            yield workers
        except Failure:
            workers.keep_logs = True  # it names them
            raise
        finally:
            workers.stop()
            if not workers.keep_logs:
                shutil.rmtree(folder, ignore_errors=True)


def command_line(
    command: Sequence[str], settings: Settings, topology: str, port: int, state: Path | None = None
) -> list[str]:
    """A process of `headrace …` for the demo's topics."""
    # what else there is to set, secrets among it, is inherited with the environment
    options = {
        "--bootstrap": settings.bootstrap,
        "--prefix": settings.prefix,
        "--topology": topology,
        "--web-port": str(port),
        "--state-dir": str(state or ""),
    }
    given = [text for option, value in options.items() if value for text in (option, value)]
    return [sys.executable, "-m", "headrace.cli.main", *command, *given]


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(json.load(answer)["ready"])
    except (OSError, ValueError):  # not there yet, or there and not ready (503)
        return False
