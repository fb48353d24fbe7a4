"""The settings of the embedded brokers, as text. No process, no file, no socket here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Node:
    """One broker: its id (from 1), its two ports and the folder of its data."""

    id: int
    port: int
    controller_port: int
    folder: Path

    @property
    def settings_file(self) -> Path:
        """Also how the node's process is told from others: no other has this path in its command line."""
        return self.folder / "server.properties"


@dataclass(frozen=True)
class Plan:
    """A cluster before it runs."""

    nodes: Sequence[Node]
    extra: Mapping[str, str] = field(default_factory=dict)
    """Settings that win over those written here."""

    @property
    def bootstrap(self) -> str:
        return ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    @property
    def controllers(self) -> Sequence[Node]:
        """The nodes that vote: three as soon as there are three, else the first alone.

        Two voters would be worse than one, as neither can be lost.
        """
        return self.nodes[: 3 if len(self.nodes) >= 3 else 1]

    def properties(self, node: Node) -> dict[str, str]:
        """All settings of one node, by name."""
        replicas = min(3, len(self.nodes))
        in_sync = 1 if len(self.nodes) == 1 else 2
        votes = node in self.controllers
        listeners = [f"PLAINTEXT://{HOST}:{node.port}"]
        if votes:
            listeners.append(f"CONTROLLER://{HOST}:{node.controller_port}")
        settings: dict[str, object] = {
            "process.roles": "broker,controller" if votes else "broker",
            "node.id": node.id,
            # Static voters rather than dynamic ones: nothing about ports is then written into the formatted folder, so
            # that a cluster can come back on other controller ports, and one formatted file serves all others.
            "controller.quorum.voters": ",".join(f"{n.id}@{HOST}:{n.controller_port}" for n in self.controllers),
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(listeners),
            "advertised.listeners": listeners[0],
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": node.folder / "log",
            # Topics are declared; a misspelt name must be an error.
            "auto.create.topics.enable": "false",
            "num.partitions": 1,
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            "share.coordinator.state.topic.num.partitions": 1,
            # A join, and the leave of a killed member, in a second or a few instead of 5 and 45.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "group.consumer.heartbeat.interval.ms": 500,
            "group.consumer.min.heartbeat.interval.ms": 500,
            "group.consumer.session.timeout.ms": 6000,
            "group.consumer.min.session.timeout.ms": 3000,
            # A transaction past its timeout is aborted within a second, not within ten.
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
            # A killed broker is let in again when its old session has ended: after nine seconds by default. And as long
            # the partitions that it led stand still.
            "broker.session.timeout.ms": 2000 if len(self.nodes) == 1 else 3000,
            "broker.heartbeat.interval.ms": 250,
            # Compaction looks every second, so that a test can wait for it. By default its buffer takes 128 MB of heap.
            "log.cleaner.backoff.ms": 1000,
            "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
            "log.initial.task.delay.ms": 1000,
            # Sized for a machine that is shared with the tests or the engine.
            "num.network.threads": 2,
            "num.io.threads": 4,
            "background.threads": 4,
            "group.coordinator.threads": 2,
            "group.coordinator.background.threads": 1,
        }
        return {name: str(value) for name, value in settings.items()} | dict(self.extra)


def render(properties: Mapping[str, str]) -> str:
    """A Java properties file. Names and values are escaped, so that a path with any character in it survives."""
    return "".join(f"{_escape(name, key=True)}={_escape(value)}\n" for name, value in properties.items())


def _escape(text: str, *, key: bool = False) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    if key:
        for special in (":", "=", " "):
            escaped = escaped.replace(special, "\\" + special)
    elif escaped.startswith(" "):
        escaped = "\\" + escaped
    if escaped.startswith(("#", "!")):
        escaped = "\\" + escaped
    # The file is read as Latin-1 by some and as UTF-8 by others; escapes are read alike by all.
    units = [escaped[i] if ord(escaped[i]) < 127 else _utf16(escaped[i]) for i in range(len(escaped))]
    return "".join(units)


def _utf16(character: str) -> str:
    raw = character.encode("utf-16-be")
    return "".join(f"\\u{int.from_bytes(raw[i : i + 2], 'big'):04x}" for i in range(0, len(raw), 2))
