"""Apache Kafka itself as a child process: in a test, a demo, a benchmark."""

from __future__ import annotations

import atexit
import random
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from headrace.embedded.archive import reading_options
from headrace.embedded.errors import BrokerFailed, PortTaken
from headrace.embedded.jars import KafkaJars, Progress, find_jars
from headrace.embedded.java import Java, find_java
from headrace.embedded.process import Process, command, jvm_options, wait_for_end, wait_until
from headrace.embedded.ready import await_cluster
from headrace.embedded.settings import HOST, Node, Plan, render
from headrace.embedded.storage import DataFolder, format_node
from headrace.embedded.wire import port_answers


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
        timeout: seconds that a start may take once the jars are there; a broker that dies is reported at once.
        detached: the brokers outlive this process and whoever asked for them stops them by `pids`; needs a `data_dir`.
        progress: called while the jars are fetched; None shows the progress on stderr.
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
        progress: Progress | None = None,
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
        self._extra = {name: _text(value) for name, value in (properties or {}).items()}
        self._timeout = timeout
        self._detached = detached
        self._progress = progress
        self._jvm = list(jvm)
        self._folder: DataFolder | None = None
        self._plan: Plan | None = None
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
        """What each broker says, one file each. Known while started."""
        return [node.folder / "kafka.log" for node in self._started().nodes]

    @property
    def pids(self) -> list[int]:
        """The process ids of the brokers that run."""
        return [process.pid for process in self._processes if process.alive]

    @property
    def markers(self) -> list[str]:
        """For each broker, what its command line holds and that of no other process does. Known while started."""
        return [str(node.settings_file) for node in self._started().nodes]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start all brokers and wait until they take requests. Nothing happens if they were started already.

        Raises:
            EmbeddedKafkaError: which of its kinds says whether Java, the jars, a port, the data or a broker failed.
        """
        if self._plan is not None:
            return self
        jars, java = find_jars(self._progress), find_java()
        for port in self._ports or ():
            if port_answers(port):
                raise PortTaken(
                    f"port {port} of {HOST} is in use by another process; stop that one, or choose another port"
                )
        self._folder = DataFolder(self._data_dir)
        try:
            self._plan = self._prepare(self._folder, java, jars)
            options = [*jvm_options(), *reading_options(java, jars), *self._jvm]
            self._commands = [
                command(java, jars, "kafka.Kafka", str(node.settings_file), options=options)
                for node in self._plan.nodes
            ]
            self._processes = [self._launch(broker) for broker in range(self.brokers)]
            if not self._detached:
                atexit.register(self.stop)
            self._await_ready(self._processes)
        except BaseException:
            self._abandon()
            raise
        return self

    def stop(self) -> None:
        """Stop all brokers: in order if their data stays, at once if it goes. Nothing happens if none was started."""
        if self._folder is not None and not self._folder.temporary:
            stop_in_order([process for process in self._processes if process.alive])
        self._abandon()

    def check(self) -> bool:
        """Whether all brokers run; False if one was told to stop by somebody else.

        Raises:
            BrokerFailed: one has ended without being told to.
        """
        self._started()
        for process in self._processes:
            if not process.alive:
                if process.told_to_stop:
                    return False
                raise process.failure("ended by itself")
        return True

    def kill(self, broker: int = 0) -> None:
        """SIGKILL one broker, as a machine that loses power would; its data stays as it was on disk."""
        self._process(broker).kill()

    def pause(self, broker: int = 0) -> None:
        """Freeze one broker (SIGSTOP): connections stay open, nothing is answered."""
        self._process(broker).pause()

    def resume(self, broker: int = 0) -> None:
        """Let a paused broker go on."""
        self._process(broker).signal(signal.SIGCONT)

    def restart(self, broker: int = 0) -> None:
        """Start one broker again, on its ports and data, stopping it first if it runs; wait until it is ready."""
        process = self._process(broker)
        if process.alive:
            stop_in_order([process])
        self._processes[broker] = self._launch(broker)
        self._await_ready([one for i, one in enumerate(self._processes) if i == broker or one.alive])

    def _started(self) -> Plan:
        if self._plan is None:
            raise BrokerFailed("the embedded Kafka does not run; call start(), or use it in a with statement")
        return self._plan

    def _process(self, broker: int) -> Process:
        self._started()
        if not 0 <= broker < self.brokers:
            raise ValueError(f"there is no broker {broker}; brokers are counted from 0 to {self.brokers - 1}")
        return self._processes[broker]

    def _abandon(self) -> None:
        for process in self._processes:
            if process.alive:
                process.kill()
        self._processes = []
        self._plan = None
        if self._folder is not None:
            self._folder.release()
            self._folder = None
        atexit.unregister(self.stop)

    def _prepare(self, folder: DataFolder, java: Java, jars: KafkaJars) -> Plan:
        cluster = folder.cluster_id(self.brokers)
        chosen = free_ports(2 * self.brokers, avoid=self._ports or ())
        ports = self._ports or chosen[self.brokers :]
        nodes = [Node(i + 1, ports[i], chosen[i], folder.path / f"broker-{i + 1}") for i in range(self.brokers)]
        plan = Plan(nodes, self._extra)
        for node in nodes:
            node.folder.mkdir(exist_ok=True)
            node.settings_file.write_text(render(plan.properties(node)))
            format_node(node, cluster, java, jars, self._timeout)
        return plan

    def _launch(self, broker: int) -> Process:
        node = self._started().nodes[broker]
        assert self._folder is not None
        return Process(
            f"Kafka broker {node.id}",
            self._commands[broker],
            self.logs[broker],
            detached=self._detached,
            keep=(self._folder.lock,),
        )

    def _await_ready(self, expected: list[Process]) -> None:
        deadline = time.monotonic() + self._timeout
        ports = {process: node.port for node, process in zip(self._started().nodes, self._processes, strict=True)}

        def check() -> None:
            for process in expected:
                if not process.alive:
                    raise process.failure("ended before it was ready")

        for process in expected:

            def listens(port: int = ports[process]) -> bool:
                check()
                return port_answers(port)

            if not wait_until(listens, deadline):
                raise process.failure(f"did not listen on {HOST}:{ports[process]} within {self._timeout:.0f} s")
        missing = await_cluster([ports[process] for process in expected], deadline, check)
        if missing:
            raise expected[0].failure(f"was not ready within {self._timeout:.0f} s: {missing}")


def stop_in_order(processes: Sequence[Process]) -> None:
    """SIGTERM to all, then wait; who takes too long is killed."""
    for process in processes:
        process.signal(signal.SIGTERM)
        # To one that is paused, the other signal would come only when it goes on.
        process.signal(signal.SIGCONT)
    if not wait_for_end(lambda: sum(process.alive for process in processes)):
        for process in processes:
            process.kill()


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


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
