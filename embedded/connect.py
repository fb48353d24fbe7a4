"""Runs a worker of Kafka Connect as a child process, for development and tests."""

import http.client
import shutil
import signal
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from headrace.embedded.broker import free_ports, is_free, stop_in_order
from headrace.embedded.errors import BrokerFailed, PortTaken
from headrace.embedded.jars import java_command
from headrace.embedded.process import Process
from headrace.embedded.settings import HOST, render

GROUP = "headrace-connect"
_MAIN = "org.apache.kafka.connect.cli.ConnectDistributed"


class EmbeddedConnect:
    """A worker of Kafka Connect in distributed mode, with REST on a port of 127.0.0.1, as a context manager.

        with EmbeddedKafka() as kafka, EmbeddedConnect(kafka.bootstrap) as connect:
            urllib.request.urlopen(f"{connect.url}/connectors")

    Connectors, their offsets and their states are in topics of the brokers, so that they are there again after a
    restart, or for another worker of the same group.

    Args:
        bootstrap: the brokers, `host:port,…`.
        plugins: the plug-in path: folders that hold jars of plug-ins, or a folder for each plug-in.
        group: workers of one group share connectors; the names of its topics begin with it.
        port: where REST listens; None for a free port.
        folder: for settings and log, which stay; None for a temporary folder that is removed with the worker.
        properties: settings of the worker that override Headrace's own.
        timeout: seconds that a start may take once the jars are there; a worker that dies is reported at once.
        detached: whether the worker outlives this process; the caller then stops it by `pids`. Needs a `folder`.
        jvm: more options for the worker's JVM.
    """

    def __init__(
        self,
        bootstrap: str,
        plugins: Sequence[Path] = (),
        *,
        group: str = GROUP,
        port: int | None = None,
        folder: Path | None = None,
        properties: Mapping[str, object] | None = None,
        timeout: float = 120.0,
        detached: bool = False,
        jvm: Sequence[str] = (),
    ) -> None:
        if detached and folder is None:
            raise ValueError("a detached worker outlives the temporary folder; give it a folder")
        self.bootstrap = bootstrap
        self._plugins = plugins
        self._group = group
        self._port = port
        self._given_folder = folder
        self._extra = {name: str(value) for name, value in (properties or {}).items()}
        self._timeout = timeout
        self._detached = detached
        self._jvm = jvm
        self._folder: Path | None = None
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Where its REST interface is, without a slash at the end. Known while started."""
        return f"http://{HOST}:{self.ports[0]}"

    @property
    def ports(self) -> list[int]:
        """The port of its REST interface. Known while started."""
        if self._port is None:
            raise _not_started()
        return [self._port]

    @property
    def data_dir(self) -> Path:
        """The folder of its settings and its log. Known while started."""
        if self._folder is None:
            raise _not_started()
        return self._folder

    @property
    def logs(self) -> list[Path]:
        """Its log file. Known while started."""
        return [self.data_dir / "connect.log"]

    @property
    def pids(self) -> list[int]:
        """Its process id; empty if it does not run."""
        return [self._process.pid] if self._process and self._process.alive else []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the worker and wait until it is ready for connectors. Nothing happens if it was started already.

        Raises:
            EmbeddedKafkaError: its subclass says whether Java, the jars, the port or the worker is the cause.
        """
        if self._folder is not None:
            return self
        if self._port and not is_free(self._port):
            raise PortTaken(f"port {self._port} of {HOST} is in use; stop what listens there, or choose another port")
        self._port = self._port or free_ports(1)[0]
        self._folder = (self._given_folder or Path(tempfile.mkdtemp(prefix="headrace-connect-"))).resolve()
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._launch()
        except BaseException:
            self._abandon()
            raise
        return self

    def stop(self) -> None:
        """Stop the worker in order; connectors stay in Kafka. Nothing happens if it was not started."""
        if self._process:
            stop_in_order([self._process])
        self._abandon()

    def check(self) -> bool:
        """Whether it runs; False if another process has stopped it by SIGTERM.

        Raises:
            BrokerFailed: it has ended in any other way.
        """
        process = self._running()
        if process.exit_code in (128 + signal.SIGTERM, -signal.SIGTERM):
            return False
        if not process.alive:
            raise process.failure("ended by itself")
        return True

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._running().kill()

    def restart(self) -> None:
        """Start it again on its port, stopping it first if it runs; wait until it is ready."""
        stop_in_order([self._running()])
        self._launch()

    def _running(self) -> Process:
        if self._process is None:
            raise _not_started()
        return self._process

    def _launch(self) -> None:
        folder = self.data_dir
        settings = worker_settings(self.bootstrap, self.ports[0], self._group, self._plugins) | self._extra
        (folder / "connect.properties").write_text(render(settings))
        command = java_command(_MAIN, "connect.properties", jvm=self._jvm)
        leftovers = [] if self._given_folder else [folder]
        name = "the Connect worker"
        process = Process(name, command, self.logs[0], detached=self._detached, folder=folder, leftovers=leftovers)
        self._process = process
        deadline = time.monotonic() + self._timeout
        while not healthy(self.url):
            if not process.alive:
                raise process.failure("ended before it was ready")
            if time.monotonic() > deadline:
                raise process.failure(
                    f"was not ready within {self._timeout:.0f} s; do its brokers {self.bootstrap} run?"
                )
            time.sleep(0.05)

    def _abandon(self) -> None:
        if self._process:
            self._process.kill()
        if self._folder and not self._given_folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._process = self._folder = None


def _not_started() -> BrokerFailed:
    return BrokerFailed("the Connect worker does not run; call start(), or use it in a with statement")


def worker_settings(bootstrap: str, port: int, group: str, plugins: Sequence[Path]) -> dict[str, str]:
    """The settings of a worker, by name."""
    settings: dict[str, object] = {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "listeners": f"http://{HOST}:{port}",
        "rest.advertised.host.name": HOST,
        "config.storage.topic": f"{group}-configs",
        "offset.storage.topic": f"{group}-offsets",
        "status.storage.topic": f"{group}-status",
        # as many copies as the brokers give a topic by default
        "config.storage.replication.factor": -1,
        "offset.storage.replication.factor": -1,
        "status.storage.replication.factor": -1,
        "offset.storage.partitions": 4,
        "status.storage.partitions": 1,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
        # Manifests alone: a worker that also scans its jars for plug-ins starts in 8 s instead of 3, on three times
        # the memory.
        "plugin.discovery": "service_load",
        # Secrets in the configuration of a connector: ${env:NAME} and ${file:PATH:KEY}.
        "config.providers": "env,file",
        "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
        "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
        # A worker that was killed is taken for dead after 10 s, and its tasks are given away at once, not 5 min later.
        "session.timeout.ms": 10_000,
        "heartbeat.interval.ms": 2000,
        "scheduled.rebalance.max.delay.ms": 0,
        "connector.client.config.override.policy": "All",
        # How often sinks commit, a minute by default: what shows as lag, and what is written again after a kill.
        "offset.flush.interval.ms": 1000,
    }
    if plugins:
        settings["plugin.path"] = ",".join(str(folder.resolve()) for folder in plugins)
    return {name: str(value) for name, value in settings.items()}


def healthy(url: str) -> bool:
    """Whether the worker at `url` is ready for connectors."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):  # of a worker that is not ready, urllib's errors among them
        return False
