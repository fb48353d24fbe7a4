"""The settings of the embedded brokers. This module starts no process, and uses no files or sockets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Node:
    """One broker: its id (from 1), its two ports, and the folder in which it runs."""

    id: int
    port: int
    controller_port: int
    folder: Path


@dataclass(frozen=True)
class Plan:
    """The nodes of a cluster, and their settings."""

    nodes: Sequence[Node]
    extra: Mapping[str, str]
    """Settings that override those below."""

    @property
    def bootstrap(self) -> str:
        return ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    def properties(self, node: Node) -> dict[str, str]:
        """All settings of one node, by name."""
        replicas = min(3, len(self.nodes))
        in_sync = 1 if len(self.nodes) == 1 else 2
        # Two voters would be worse than one, as neither can be lost.
        voters = self.nodes[: 3 if len(self.nodes) >= 3 else 1]
        listeners = [f"PLAINTEXT://{HOST}:{node.port}"]
        if node in voters:
            listeners.append(f"CONTROLLER://{HOST}:{node.controller_port}")
        settings: dict[str, object] = {
            "process.roles": "broker,controller" if node in voters else "broker",
            "node.id": node.id,
            # Static voters, so that the formatted folder has no ports, and a cluster can restart on other ones.
            "controller.quorum.voters": ",".join(f"{n.id}@{HOST}:{n.controller_port}" for n in voters),
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(listeners),
            "advertised.listeners": listeners[0],
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            # Relative to the working folder, so that no path with unusual characters gets into the settings.
            "log.dirs": "log",
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
            # A join takes about a second instead of 5, the removal of a killed member a few instead of 45.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "group.consumer.heartbeat.interval.ms": 500,
            "group.consumer.min.heartbeat.interval.ms": 500,
            "group.consumer.session.timeout.ms": 6000,
            "group.consumer.min.session.timeout.ms": 3000,
            # A transaction past its timeout is aborted within a second, not within ten.
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
            # Milliseconds until others lead the partitions of a broker that was killed. For a single broker there are
            # no others, and it must not count as dead after the machine was suspended for a while.
            "broker.session.timeout.ms": 60_000 if len(self.nodes) == 1 else 3000,
            "broker.heartbeat.interval.ms": 250,
            # Compaction runs every second, so that a test can wait for it. Its buffer takes 128 MB of heap by default.
            "log.cleaner.backoff.ms": 1000,
            "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
            "log.initial.task.delay.ms": 1000,
            # Few threads, because the tests or the engine run on the same machine.
            "num.network.threads": 2,
            "num.io.threads": 4,
            "background.threads": 4,
            "group.coordinator.threads": 2,
            "group.coordinator.background.threads": 1,
        }
        return {name: str(value) for name, value in settings.items()} | dict(self.extra)

    def controller(self, node: Node) -> dict[str, str]:
        """Settings to run only the controller of a single broker, which soon notes that the broker is dead."""
        changes = {
            "process.roles": "controller",
            "listeners": f"CONTROLLER://{HOST}:{node.controller_port}",
            "broker.session.timeout.ms": "300",
            "broker.heartbeat.interval.ms": "100",
            "metadata.max.idle.interval.ms": "50",  # it writes that often, which shows that earlier writes are done
        }
        return {
            name: value for name, value in (self.properties(node) | changes).items() if name != "advertised.listeners"
        }


def render(properties: Mapping[str, str]) -> str:
    """A Java properties file. Values must not have more than one line; backslashes in them are escaped."""
    return "".join(f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in properties.items())
