"""Runs Apache Kafka as a child process, for tests, demos and benchmarks."""

import fcntl
import itertools
import os
import random
import shutil
import signal
import socket
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from headrace.embedded.errors import BrokerFailed, DataMismatch, PortTaken
from headrace.embedded.jars import archive, find_jars, find_java, java_command
from headrace.embedded.process import Process
from headrace.embedded.settings import HOST, Node, Plan, render

_NOTED_WITHIN = 15.0  # seconds
STOP_SECONDS = 30.0
"""Seconds that brokers may take to stop cleanly before they are killed."""


class EmbeddedKafka:
    """Apache Kafka in KRaft mode, on ports of 127.0.0.1, as a context manager.

        with EmbeddedKafka() as kafka:
            producer = Producer({"bootstrap.servers": kafka.bootstrap})

    Brokers are counted from 0 here; their node ids start at 1.

    Args:
        brokers: number of brokers. With three or more, three of them are voters, and topics have three replicas.
        data_dir: folder of the data, which stays; None for a temporary folder that is removed with the brokers.
        ports: the clients' port of each broker; None for free ones.
        properties: broker settings that override Headrace's own.
        timeout: seconds that a start may take once the jars are there; a broker that dies is reported at once.
        detached: whether the brokers outlive this process; the caller then stops them by `pids`. Needs a `data_dir`.
        jvm: more options for the brokers' JVMs.
    """

    def __init__(
        self,
        brokers: int = 1,
        data_dir: Path | None = None,
        ports: Sequence[int] | None = None,
        properties: Mapping[str, object] | None = None,
        *,
        timeout: float = 120.0,
        detached: bool = False,
        jvm: Sequence[str] = (),
    ) -> None:
        if brokers < 1:
            raise ValueError(f"{brokers} brokers were asked for; one is the least")
        if ports is not None and len(ports) != brokers:
            raise ValueError(f"{len(ports)} ports were given for {brokers} brokers; each broker needs one")
        if detached and data_dir is None:
            raise ValueError("detached brokers outlive the temporary folder; give them a data_dir")
        self.brokers = brokers
        self._data_dir = data_dir
        self._ports = ports
        self._extra = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in (properties or {}).items()}
        self._timeout = timeout
        self._detached = detached
        self._jvm = jvm
        self._plan: Plan | None = None
        self._lock: TextIOWrapper | None = None
        self._processes: list[Process] = []

    @property
    def bootstrap(self) -> str:
        """The clients' `bootstrap.servers`. Known while started."""
        return self._started().bootstrap

    @property
    def ports(self) -> list[int]:
        """The clients' port of each broker. Known while started."""
        return [node.port for node in self._started().nodes]

    @property
    def data_dir(self) -> Path:
        """Where data and logs of the brokers are. Known while started."""
        return self._started().nodes[0].folder.parent

    @property
    def logs(self) -> list[Path]:
        """The log file of each broker. Known while started."""
        return [node.folder / "kafka.log" for node in self._started().nodes]

    @property
    def pids(self) -> list[int]:
        """The process ids of the brokers that run."""
        return [process.pid for process in self._processes if process.alive]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start all brokers and wait until they answer. Nothing happens if they were started already.

        Raises:
            EmbeddedKafkaError: its subclass says whether Java, the jars, a port, the data or a broker is the cause.
        """
        if self._plan is not None:
            return self
        for port in self._ports or ():
            if not is_free(port):
                raise PortTaken(f"port {port} of {HOST} is in use; stop what listens there, or choose another port")
        if self._data_dir and brokers_in(self._data_dir) not in (None, self.brokers):
            raise DataMismatch(
                f"the data in {self._data_dir} is of a Kafka with {brokers_in(self._data_dir)} broker(s), "
                f"{self.brokers} were asked for; ask for as many, or choose another folder"
            )
        try:
            self._prepare()
            for node in self._started().nodes:
                self._processes.append(self._launch(node))
            self._await_ready(range(self.brokers))
        except BaseException:
            self._abandon()
            raise
        return self

    def stop(self) -> None:
        """Stop all brokers: cleanly if their data stays, else by SIGKILL. Nothing happens if none was started."""
        if self._data_dir is not None:
            stop_in_order(self._processes)
        self._abandon()

    def check(self) -> bool:
        """Whether all brokers run; False if another process has stopped one by SIGTERM.

        Raises:
            BrokerFailed: one has ended in any other way.
        """
        self._started()
        for process in self._processes:
            # A JVM turns SIGTERM into the first of these.
            if process.exit_code in (128 + signal.SIGTERM, -signal.SIGTERM):
                return False
            if not process.alive:
                raise process.failure("ended by itself")
        return True

    def kill(self, broker: int = 0) -> None:
        """SIGKILL one broker, as in a power failure; its data stays as it is on disk."""
        self._processes[broker].kill()

    def pause(self, broker: int = 0) -> None:
        """Freeze one broker (SIGSTOP): its connections stay open, but it does not answer."""
        self._processes[broker].pause()

    def resume(self, broker: int = 0) -> None:
        """Let a paused broker continue (SIGCONT)."""
        self._processes[broker].signal(signal.SIGCONT)

    def restart(self, broker: int = 0) -> None:
        """Start one broker again, on its ports and data, stopping it first if it runs; wait until it is ready."""
        stop_in_order([self._processes[broker]])
        self._processes[broker] = self._launch(self._started().nodes[broker])
        self._await_ready([broker])

    def _started(self) -> Plan:
        if self._plan is None:
            raise BrokerFailed("the embedded Kafka does not run; call start(), or use it in a with statement")
        return self._plan

    def _prepare(self) -> None:
        """Make a formatted folder for each broker."""
        folder = (self._data_dir or Path(tempfile.mkdtemp(prefix="headrace-kafka-"))).resolve()
        chosen = free_ports(2 * self.brokers, avoid=self._ports or ())
        ports = self._ports or chosen[self.brokers :]
        nodes = [Node(i + 1, ports[i], chosen[i], folder / f"broker-{i + 1}") for i in range(self.brokers)]
        self._plan = Plan(nodes, self._extra)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Kafka's own lock comes too late: a second controller writes before it looks at it. The brokers inherit
            # this one, so that it is held until the last of them ends.
            self._lock = (folder / "lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            why = "another Kafka runs on it" if isinstance(error, BlockingIOError) else error.strerror
            raise DataMismatch(f"the data folder {folder} cannot be used: {why}; choose another folder") from error
        if brokers_in(folder):
            return
        # A random id as Kafka spells it; the first character may not be a dash.
        arguments = ["-t", "A" + urlsafe_b64encode(os.urandom(16)).decode()[1:22], "-c", "server.properties"]
        command = java_command("kafka.tools.StorageTool", "format", *arguments, jvm=["-XX:TieredStopAtLevel=1"])
        for node in nodes:
            node.folder.mkdir(exist_ok=True)
            self._processes.append(self._run(f"formatting the data of broker {node.id}", node, command, "format.log"))
        for process in self._processes:
            if not process.wait(self._timeout) or process.exit_code:
                raise process.failure("failed")
        self._processes.clear()

    def _launch(self, node: Node) -> Process:
        # one that is not to tell the controller when it goes is as good as killed
        silent = self._extra.get("controlled.shutdown.enable") == "false"
        if self.brokers == 1 and _has_run(node) and (silent or not _ended_in_order(node)):
            self._note_death(node)
        command = java_command("kafka.Kafka", "server.properties", jvm=self._jvm)
        return self._run(f"Kafka broker {node.id}", node, command, "kafka.log", detached=self._detached)

    def _note_death(self, node: Node) -> None:
        """Run the controller of a single broker that was killed until it has noted that the broker is dead.

        Otherwise the restarted broker leads its partitions at once, and loses them when its old session ends. A
        transaction that is being completed at that moment would hang (docs/adr/0021).
        """
        (node.folder / "controller.properties").write_text(render(self._started().controller(node)))
        says = "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller.ReplicationControlManager=info"
        command = java_command("kafka.Kafka", "controller.properties", jvm=["-XX:TieredStopAtLevel=1", says])
        log = node.folder / "controller.log"
        log.unlink(missing_ok=True)
        controller = self._run(f"the controller of broker {node.id}", node, command, log.name)
        deadline = time.monotonic() + _NOTED_WITHIN

        def wait(condition: Callable[[], bool]) -> None:
            while not condition() and time.monotonic() < deadline:
                if not controller.alive:
                    raise controller.failure("ended before it knew that the broker was dead")
                time.sleep(0.02)

        def wait_for_a_write() -> None:
            size = _metadata_size(node)
            wait(lambda: _metadata_size(node) > size)

        # for a broker that died before it was registered nothing is logged, and the wait ends at its deadline
        wait(lambda: b"Fencing broker" in log.read_bytes())
        wait_for_a_write()  # this one may have begun before that, so wait for another one
        wait_for_a_write()
        stop_in_order([controller])

    def _run(self, name: str, node: Node, command: list[str], log: str, *, detached: bool = False) -> Process:
        (node.folder / "server.properties").write_text(render(self._started().properties(node)))
        leftovers = [] if self._data_dir else [self.data_dir]
        log_file, keep = node.folder / log, [self._lock.fileno()] if self._lock else []
        return Process(name, command, log_file, detached=detached, folder=node.folder, keep=keep, leftovers=leftovers)

    def _await_ready(self, brokers: Iterable[int]) -> None:
        """Wait until each of these brokers knows all brokers that run."""
        deadline = time.monotonic() + self._timeout
        for broker in brokers:
            while brokers_at(f"{HOST}:{self.ports[broker]}", 0.5) < max(1, len(self.pids)):
                for process in (self._processes[one] for one in brokers):
                    if not process.alive:
                        raise process.failure("ended before it was ready")
                if time.monotonic() > deadline:
                    raise self._processes[broker].failure(f"was not ready within {self._timeout:.0f} s")
                time.sleep(0.02)

    def _abandon(self) -> None:
        for process in self._processes:
            process.kill()
        if self._plan is not None and self._data_dir is None:
            shutil.rmtree(self.data_dir, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
        self._processes = []
        self._plan = None


def prepare() -> None:
    """Fetch Kafka if it is not there, and run it once so that later starts are quick: see `archive`.

    Raises:
        EmbeddedKafkaError: Java or the jars are missing, or Kafka does not start.
    """
    file = archive(find_java(), find_jars())
    if not file.exists():
        part = file.with_suffix(f".{os.getpid()}")
        # With a data_dir the broker is stopped cleanly, which is when its JVM writes the archive.
        with tempfile.TemporaryDirectory() as folder:
            EmbeddedKafka(data_dir=Path(folder), jvm=[f"-XX:AOTCacheOutput={part}"]).start().stop()
        if part.exists():  # an older Java writes none
            part.replace(file)


def _has_run(node: Node) -> bool:
    """Whether a broker has run on this data."""
    return (node.folder / "log" / "__cluster_metadata-0").exists()


def _ended_in_order(node: Node) -> bool:
    """Whether the last one that did so has closed its files."""
    return (node.folder / "log" / ".kafka_cleanshutdown").exists()


def _metadata_size(node: Node) -> int:
    return sum(file.stat().st_size for file in (node.folder / "log" / "__cluster_metadata-0").glob("*.log"))


def brokers_in(folder: Path) -> int | None:
    """Number of brokers for which a data folder was made; None if it is not formatted yet."""
    return len(list(folder.glob("broker-*/log/meta.properties"))) or None


def brokers_at(bootstrap: str, seconds: float) -> int:
    """Number of brokers that one of those in `bootstrap` knows; 0 if none answers within this number of seconds."""
    settings: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0, "error_cb": lambda error: None}
    settings |= {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100}
    try:
        return len(AdminClient(settings).list_topics(timeout=seconds).brokers)
    except KafkaException:
        return 0


def free_ports(count: int, avoid: Sequence[int] = ()) -> list[int]:
    """This number of ports of 127.0.0.1 on which nothing listens.

    They are below the range from which the kernel takes ports of outgoing connections. Otherwise a client that keeps
    connecting to a broker that is down may get that broker's port itself, and the broker could not start again.
    """
    ports = random.sample(range(12_000, 31_000), 10_000)
    return list(itertools.islice((port for port in ports if port not in avoid and is_free(port)), count))


def is_free(port: int) -> bool:
    """Whether nothing listens on a port of 127.0.0.1."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def stop_in_order(processes: Sequence[Process]) -> None:
    """Send SIGTERM to all, and wait; those that take too long are killed."""
    for process in processes:
        process.signal(signal.SIGTERM)
        # A paused process gets SIGTERM only when it continues.
        process.signal(signal.SIGCONT)
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        if not process.wait(max(0.0, deadline - time.monotonic())):
            process.kill()
