"""The folder of a cluster's data: whose it is, which cluster it holds, and making it ready for Kafka."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from io import TextIOWrapper
from pathlib import Path

from headrace.embedded.errors import DataMismatch
from headrace.embedded.jars import KafkaJars, cache_folder
from headrace.embedded.java import Java
from headrace.embedded.process import Process, command, jvm_options, wait_until
from headrace.embedded.settings import Node, render

_TEMPORARY = "headrace-kafka-"
_CLUSTER_FILE = "cluster.json"
_LOCK_FILE = "lock"
_LOCK_SECONDS = 1.5
_BOOTSTRAP_FILE = "bootstrap.checkpoint"
_IDENTITY_FILE = "meta.properties"


class DataFolder:
    """A data folder that this process and its brokers hold, and nobody else.

    Args:
        path: where; None for a temporary folder that `release` removes.

    Raises:
        DataMismatch: another process holds it, its name cannot be used, or it cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self.temporary = path is None
        if path is None:
            _sweep()
            path = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
        self.path = path.resolve()
        if "," in str(self.path):
            raise DataMismatch(
                f"the data folder {self.path} has a comma in its name, which Kafka takes for two folders"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # Handed down to the brokers, so that the lock lasts as long as the last of them lives, whoever started it.
            self._lock = (self.path / _LOCK_FILE).open("a")
        except OSError as error:
            raise DataMismatch(
                f"the data folder {self.path} cannot be written ({error.strerror}); choose another one"
            ) from error
        # A broker that has just ended gives back its lock a moment after it is gone.
        if not wait_until(lambda: _try_lock(self._lock), time.monotonic() + _LOCK_SECONDS):
            self._lock.close()
            raise DataMismatch(
                f"another Kafka runs on the data folder {self.path}; stop that one, or choose another folder"
            )

    @property
    def lock(self) -> int:
        """The open file that a broker has to inherit."""
        return self._lock.fileno()

    def release(self) -> None:
        """Let go of the folder, and remove it if it is temporary."""
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()

    def cluster_id(self, brokers: int) -> str:
        """The id of the cluster in the folder, a new one if it is empty.

        Raises:
            DataMismatch: the folder holds a cluster of another size.
        """
        file = self.path / _CLUSTER_FILE
        if file.exists():
            known = json.loads(file.read_text())
            if known["brokers"] != brokers:
                raise DataMismatch(
                    f"the data in {self.path} is of a Kafka with {known['brokers']} broker(s), {brokers} were asked "
                    "for; ask for as many, or choose another folder"
                )
            return str(known["cluster"])
        cluster = kafka_id()
        part = file.with_suffix(".part")
        part.write_text(json.dumps({"cluster": cluster, "brokers": brokers}))
        part.replace(file)
        return cluster


def known_brokers(folder: Path) -> int | None:
    """For how many brokers a data folder was made; None if it was not made yet."""
    file = folder / _CLUSTER_FILE
    return int(json.loads(file.read_text())["brokers"]) if file.exists() else None


def format_node(node: Node, cluster: str, java: Java, jars: KafkaJars, timeout: float) -> None:
    """Make a node's folder one of this cluster; its `server.properties` must be there. Nothing happens if it is.

    Raises:
        BrokerFailed: Kafka's own tool refused.
    """
    log = node.folder / "log"
    if (log / _IDENTITY_FILE).exists():
        return
    template = cache_folder() / f"formatted-{jars.version}" / _BOOTSTRAP_FILE
    if template.is_file():
        # What formatting writes depends on Kafka's version alone, but for the ids; so a JVM (one second) is saved every
        # time but the first. The file of ids comes last, as it stands for a folder that is complete.
        log.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template, log / _BOOTSTRAP_FILE)
        ids = {"version": "1", "cluster.id": cluster, "node.id": str(node.id), "directory.id": kafka_id()}
        (log / _IDENTITY_FILE).write_text(render(ids))
        return
    tool = command(
        java,
        jars,
        "kafka.tools.StorageTool",
        *("format", "-t", cluster, "-c", str(node.folder / "server.properties")),
        options=[*jvm_options(), "-XX:TieredStopAtLevel=1"],
    )
    name = f"formatting the data of broker {node.id}"
    formatting = Process(name, tool, node.folder / "format.log", detached=False)
    if not formatting.wait(timeout):
        formatting.kill()
        raise formatting.failure(f"took longer than {timeout:.0f} s")
    if not (log / _IDENTITY_FILE).exists():
        raise formatting.failure("failed")
    template.parent.mkdir(parents=True, exist_ok=True)
    part = template.with_suffix(f".{os.getpid()}.part")
    shutil.copyfile(log / _BOOTSTRAP_FILE, part)
    part.replace(template)


def kafka_id() -> str:
    """A random id in Kafka's spelling: a UUID as 22 characters of base64. The first may not be a dash."""
    while True:
        text = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _try_lock(file: TextIOWrapper) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sweep() -> None:
    """Remove the temporary folders of runs that were killed: those whose lock nobody holds."""
    for folder in Path(tempfile.gettempdir()).glob(_TEMPORARY + "*"):
        try:
            # Not made here: a folder without one belongs to a run that is about to take its lock.
            with (folder / _LOCK_FILE).open("r") as file:
                if _try_lock(file):
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
