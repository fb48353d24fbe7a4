"""Apache Kafka itself as a child process: in a test, a demo, a benchmark."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from headrace.streams.embedded.errors import BrokerFailed, DataMismatch, PortTaken
from headrace.streams.embedded.jars import KafkaJars, Progress, cache_folder, find_jars
from headrace.streams.embedded.java import Java, find_java
from headrace.streams.embedded.process import Process, command, jvm_options, wait_until
from headrace.streams.embedded.ready import await_cluster
from headrace.streams.embedded.settings import HOST, Node, Plan, render
from headrace.streams.embedded.wire import port_answers

_CLUSTER_FILE = "cluster.json"
_BOOTSTRAP_FILE = "bootstrap.checkpoint"


class EmbeddedKafka:
    """Apache Kafka in KRaft mode, on ports of 127.0.0.1, as a context manager.

        with EmbeddedKafka() as kafka:
            producer = Producer({"bootstrap.servers": kafka.bootstrap})

    Brokers are counted from 0 here; their node ids start at 1.

    Args:
        brokers: how many. With three or more, three of them vote and topics have three replicas.
        data_dir: where the data stays; None for a temporary folder that goes with the brokers.
        ports: the clients' port of each broker; None for free ones.
        properties: broker settings that win over Headrace's own.
        timeout: seconds that a start may take once the jars are there.
        detached: the brokers outlive this process, and `stop` must be called in another way.
        progress: called while the jars are fetched, see `find_jars`.
    """

    def __init__(
        self,
        brokers: int = 1,
        data_dir: Path | None = None,
        ports: Sequence[int] | None = None,
        properties: Mapping[str, object] | None = None,
        *,
        timeout: float = 60.0,
        detached: bool = False,
        progress: Progress | None = None,
    ) -> None:
        if brokers < 1:
            raise ValueError(f"{brokers} brokers were asked for; one is the least")
        if ports is not None and len(ports) != brokers:
            raise ValueError(f"{len(ports)} ports were given for {brokers} brokers; each broker needs one")
        self.brokers = brokers
        self._data_dir = data_dir
        self._ports = ports
        self._extra = {name: _text(value) for name, value in (properties or {}).items()}
        self._timeout = timeout
        self._detached = detached
        self._progress = progress
        self._temporary: Path | None = None
        self._plan: Plan | None = None
        self._processes: list[Process | None] = [None] * brokers
        self._java: Java | None = None
        self._jars: KafkaJars | None = None

    @property
    def bootstrap(self) -> str:
        """The clients' `bootstrap.servers`. Known once started."""
        return self._running().bootstrap

    @property
    def data_dir(self) -> Path:
        """Where data and logs of the brokers are. Known once started."""
        return self._running().nodes[0].folder.parent

    @property
    def pids(self) -> list[int]:
        """The process ids of the brokers that run."""
        return [process.pid for process in self._processes if process is not None and process.alive]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start all brokers and wait until they take requests. Nothing happens if they run.

        Raises:
            EmbeddedKafkaError: which of its kinds says whether Java, the jars, a port, the data or a broker failed.
        """
        if self._plan is not None:
            return self
        self._jars = find_jars(self._progress)
        self._java = find_java()
        if self._data_dir is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="headrace-kafka-"))
        root = (self._temporary or self._data_dir or Path()).resolve()
        try:
            self._plan = self._prepare(root)
            for index in range(self.brokers):
                self._launch(index)
            self._await_ready(time.monotonic() + self._timeout)
        except BaseException:
            self._abandon()
            raise
        return self

    def stop(self) -> None:
        """Stop all brokers: gracefully if their data is to stay, at once if it goes. Nothing happens if none runs."""
        alive = [process for process in self._processes if process is not None and process.alive]
        if self._temporary is None:
            for process in alive:
                process.signal(signal.SIGCONT)
                process.signal(signal.SIGTERM)
            # The last brokers of a larger cluster wait in vain for a controller to take their leave, so they get less.
            deadline = time.monotonic() + (20 if self.brokers == 1 else 6)
            for process in alive:
                process.wait(max(0.0, deadline - time.monotonic()))
        self._abandon()

    def kill(self, broker: int = 0) -> None:
        """SIGKILL one broker, as a machine that loses power would; its data stays as it was on disk."""
        self._process(broker).kill()

    def pause(self, broker: int = 0) -> None:
        """Freeze one broker (SIGSTOP): connections stay open, nothing is answered."""
        self._process(broker).signal(signal.SIGSTOP)

    def resume(self, broker: int = 0) -> None:
        """Let a paused broker go on."""
        self._process(broker).signal(signal.SIGCONT)

    def restart(self, broker: int = 0) -> None:
        """Start one broker again, on its ports and data, stopping it first if it runs; wait until it is ready."""
        process = self._process(broker)
        if process.alive:
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM)
            if not process.wait(20):
                process.kill()
        self._launch(broker)
        self._await_ready(time.monotonic() + self._timeout)

    def _running(self) -> Plan:
        if self._plan is None:
            raise BrokerFailed("the embedded Kafka does not run; call start(), or use it in a with statement")
        return self._plan

    def _process(self, broker: int) -> Process:
        self._running()
        if not 0 <= broker < self.brokers or (process := self._processes[broker]) is None:
            raise ValueError(f"there is no broker {broker}; brokers are counted from 0 to {self.brokers - 1}")
        return process

    def _abandon(self) -> None:
        for process in self._processes:
            if process is not None and process.alive:
                process.kill()
        self._processes = [None] * self.brokers
        self._plan = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _prepare(self, root: Path) -> Plan:
        root.mkdir(parents=True, exist_ok=True)
        cluster = _cluster_id(root, self.brokers)
        for port in self._ports or ():
            if port_answers(port):
                raise PortTaken(
                    f"port {port} of {HOST} is in use by another process; stop that one or choose another port"
                )
        chosen = free_ports(2 * self.brokers, avoid=self._ports or ())
        ports = self._ports or chosen[self.brokers :]
        nodes = [Node(i + 1, ports[i], chosen[i], root / f"broker-{i + 1}") for i in range(self.brokers)]
        plan = Plan(nodes, self._extra)
        for node in nodes:
            node.folder.mkdir(exist_ok=True)
            settings = node.folder / "server.properties"
            settings.write_text(render(plan.properties(node)))
            self._format(node, settings, cluster)
        return plan

    def _format(self, node: Node, settings: Path, cluster: str) -> None:
        """Make a node's data folder one of this cluster. Nothing happens if it is."""
        assert self._java is not None
        assert self._jars is not None
        log = node.folder / "log"
        if (log / "meta.properties").exists():
            return
        template = cache_folder() / f"formatted-{self._jars.version}" / _BOOTSTRAP_FILE
        if template.is_file():
            # What formatting writes depends on the version of Kafka alone, but for the ids; so a JVM (one second) is
            # saved every time but the first.
            log.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(template, log / _BOOTSTRAP_FILE)
            ids = {"version": "1", "cluster.id": cluster, "node.id": str(node.id), "directory.id": _kafka_id()}
            (log / "meta.properties").write_text(render(ids))
            return
        output = node.folder / "format.log"
        tool = command(
            self._java,
            self._jars,
            "kafka.tools.StorageTool",
            *("format", "-t", cluster, "-c", str(settings)),
            options=[*jvm_options(), "-XX:TieredStopAtLevel=1"],
        )
        formatting = Process(f"formatting the data of broker {node.id}", tool, output, detached=False)
        if not formatting.wait(self._timeout):
            formatting.kill()
            raise formatting.failure(f"took longer than {self._timeout:.0f} s")
        if not (log / "meta.properties").exists():
            raise formatting.failure("failed")
        template.parent.mkdir(parents=True, exist_ok=True)
        part = template.with_suffix(f".{os.getpid()}.part")
        shutil.copyfile(log / _BOOTSTRAP_FILE, part)
        part.replace(template)

    def _launch(self, index: int) -> None:
        assert self._java is not None
        assert self._jars is not None
        node = self._running().nodes[index]
        arguments = command(
            self._java, self._jars, "kafka.Kafka", str(node.folder / "server.properties"), options=jvm_options()
        )
        log = node.folder / "kafka.log"
        self._processes[index] = Process(f"Kafka broker {node.id}", arguments, log, detached=self._detached)

    def _await_ready(self, deadline: float) -> None:
        """Wait until the brokers that run are all ready."""
        plan = self._running()
        running = [(node, process) for node, process in zip(plan.nodes, self._processes, strict=True) if process]

        def check() -> None:
            for _, process in running:
                if not process.alive:
                    raise process.failure("ended before it was ready")

        running = [(node, process) for node, process in running if process.alive or process is running[-1][1]]
        for node, process in running:

            def up(port: int = node.port) -> bool:
                check()
                return port_answers(port)

            if not wait_until(up, deadline):
                raise process.failure(f"did not listen on {HOST}:{node.port} within {self._timeout:.0f} s")
        missing = await_cluster([node.port for node, _ in running], deadline, check)
        if missing:
            raise running[0][1].failure(f"was not ready within {self._timeout:.0f} s: {missing}")


def free_ports(count: int, avoid: Sequence[int] = ()) -> list[int]:
    """That many ports of 127.0.0.1 on which nothing listens.

    Below the range from which the kernel takes the ports of outgoing connections: a client that tries again and again
    to reach a broker that is down would else be given that very port one day, and the broker could not come back.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.randint(12_000, 31_000)
        if port in found or port in avoid:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
    return found


def _cluster_id(root: Path, brokers: int) -> str:
    file = root / _CLUSTER_FILE
    if file.exists():
        known = json.loads(file.read_text())
        if known["brokers"] != brokers:
            raise DataMismatch(
                f"the data in {root} is of a Kafka with {known['brokers']} broker(s), {brokers} were asked for; "
                "ask for as many, or choose another folder"
            )
        return str(known["cluster"])
    cluster = _kafka_id()
    file.write_text(json.dumps({"cluster": cluster, "brokers": brokers}))
    return cluster


def _kafka_id() -> str:
    """A random id in Kafka's spelling: a UUID as 22 characters of base64. The first may not be a dash."""
    while True:
        text = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


__all__ = ["EmbeddedKafka", "free_ports"]
