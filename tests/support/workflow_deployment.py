"""Deployments of the bank's reactions on a real broker, and an independent reader of what they wrote."""

import asyncio
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from headrace import Topology
from headrace.cli.main import app
from headrace.streams.admin import topics
from headrace.streams.client import Client
from headrace.streams.settings import Settings
from tests.support.bank import messages_pb2 as pb
from tests.support.bank import reactions
from tests.support.deployment import Worker, until
from tests.support.independent_reader import Entry, message, murmur, read_topics
from tests.support.log_ends import end_offsets

REJECTION = b"headrace.v1.Rejection"


@dataclass
class WorkflowDeployment:
    """A deployment of one of the topologies of `reactions`, under a prefix of its own."""

    settings: Settings
    name: str
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    @property
    def topology(self) -> Topology:
        """The topology that it runs."""
        found: Topology = getattr(reactions, self.name)
        return found

    def worker(self, name: str = "w", **variables: Any) -> Worker:
        """A worker, not started yet; `variables` are environment variables."""
        worker = Worker(self.folder / name, self.settings, BANK_TOPOLOGY=self.name, **variables)
        self.workers.append(worker)
        return worker

    def client(self) -> Client:
        """A client of this deployment."""
        return Client(self.topology, self.settings)

    def deposit(self, **amounts: list[int]) -> None:
        """Deposits of several roots, without waiting for answers."""

        async def go() -> None:
            async with self.client() as client:
                for root, numbers in amounts.items():
                    for number in numbers:
                        await client.send(pb.Deposit(amount=number), root=root)
                await client.flush()

        asyncio.run(go())

    def topic(self, word: str, kind: str) -> str:
        """One of its topics."""
        return self.settings.names.topic("main", word, kind)

    @property
    def topics(self) -> list[str]:
        """All its topics but those of answers."""
        return [spec.name for spec in self.topology.topics(self.settings.names, 1)]

    def read(self, word: str, kind: str, isolation: str = "read_committed") -> list[Entry]:
        """What lies on one topic now."""
        name = self.topic(word, kind)
        return read_topics(self.settings.bootstrap, [name], isolation, wait=isolation == "read_committed")[name]

    def settled(self, seconds: float = 60) -> "Ledger":
        """All that was written, once every component has handled all of its input; held against the rules of a log."""
        ledger = until(self._settled, "all components had handled their input", seconds)
        assert ledger is not None
        return ledger

    def _settled(self) -> "Ledger | None":
        admin = AdminClient({"bootstrap.servers": self.settings.bootstrap})
        before = end_offsets(self.settings.bootstrap, self.topics)
        found = read_topics(self.settings.bootstrap, self.topics)
        last = {(name, e.partition): e.offset for name, entries in found.items() for e in entries}
        for word in self.topology.components:
            group = f"{self.settings.prefix}headrace.{word}"
            answer = admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group)], require_stable=True, request_timeout=20
            )
            known = {(p.topic, p.partition): p.offset for p in answer[group].result().topic_partitions}
            for name in self.topology.inputs(word, self.settings.names, "main"):
                for partition in range(self.settings.partitions):
                    if known.get((name, partition), -1) <= last.get((name, partition), -2):
                        return None
        if end_offsets(self.settings.bootstrap, self.topics) != before:
            return None
        prefix = self.settings.prefix
        return Ledger({name.removeprefix(prefix): entries for name, entries in found.items()}, self.settings.partitions)


@dataclass(frozen=True, slots=True)
class Fact:
    """One event of a log, as read."""

    id: str
    """Source, a slash, root, a colon, sequence."""
    domain: str
    root: str
    sequence: int
    message: Any
    cause: str
    correlation: str
    headers: Mapping[str, str]


class Ledger:
    """The topics of a settled deployment. What holds for every log is checked as it is read."""

    def __init__(self, found: Mapping[str, Sequence[Entry]], partitions: int) -> None:
        self.topics = found
        self.events: dict[tuple[str, str], list[Fact]] = defaultdict(list)
        """By domain and root, in the order of the log."""
        self.by_cause: dict[str, list[Fact]] = defaultdict(list)
        for name, entries in found.items():
            _, domain, kind = name.split(".")
            for entry in entries if kind == "events" else ():
                self._take(domain, entry, partitions)
            if kind == "inbox":
                sent = [e for e in entries if e.headers["ce_type"] != REJECTION and "ce_replayof" not in e.headers]
                ids = Counter(e.headers["ce_id"] for e in sent if b">" in e.headers["ce_id"])
                assert all(n == 1 for n in ids.values()), f"a saga sent a command twice: {ids.most_common(3)}"

    def rejections(self, component: str) -> list[Entry]:
        """What a component was told of commands that it had caused, and that were rejected."""
        return [e for e in self.entries(component, "inbox") if e.headers["ce_type"] == REJECTION]

    def _take(self, domain: str, entry: Entry, partitions: int) -> None:
        headers = {name: value.decode() for name, value in entry.headers.items()}
        root, _, number = (entry.key or b"").decode().rpartition("|")
        log = self.events[domain, root]
        assert int(number) == len(log), f"{domain} {root}: event {number} follows {len(log) - 1}"
        assert headers["ce_id"] == f"{root}:{len(log)}"
        assert headers["ce_sequence"] == str(len(log))
        assert headers["ce_source"] == f"/main/{domain}"
        assert headers["ce_subject"] == root
        assert entry.partition == murmur(root.encode(), partitions), f"{domain} {root} lies in {entry.partition}"
        assert headers["ce_type"] != "headrace.v1.Rejection", "a notice lies on the event log"
        fact = Fact(
            f"/main/{domain}/{root}:{len(log)}",
            domain,
            root,
            len(log),
            message(headers["ce_type"], entry.value or b""),
            headers["ce_causationid"],
            headers["ce_correlationid"],
            headers,
        )
        log.append(fact)
        self.by_cause[fact.cause].append(fact)

    def messages(self, domain: str, root: str) -> list[Any]:
        """The events of a root."""
        return [fact.message for fact in self.events.get((domain, root), [])]

    def entries(self, word: str, kind: str) -> Sequence[Entry]:
        """What lies on a topic."""
        return self.topics[f"main.{word}.{kind}"]


@contextmanager
def workflow_of(bootstrap: str, name: str, folder: Path, **settings: Any) -> Iterator[WorkflowDeployment]:
    """A deployment with its topics; in the end its workers are killed, and its topics deleted."""
    defaults: dict[str, Any] = {"partitions": 4, "reply_partitions": 2, "prefix": f"t{uuid.uuid4().hex[:10]}."}
    workflow = WorkflowDeployment(Settings(bootstrap=bootstrap, **(defaults | settings)), name, folder)
    admin = topics.admin(workflow.settings)
    specs = topics.wanted(workflow.settings, workflow.topology)
    topics.create(workflow.settings, specs)
    try:
        yield workflow
    finally:
        for worker in workflow.workers:
            worker.end()
        for future in admin.delete_topics([spec.name for spec in specs], request_timeout=20).values():
            future.exception(20)


def run_on(workflow: WorkflowDeployment, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, on a deployment; it must end with `code`."""
    monkeypatch.setenv("HEADRACE_TOPOLOGY", f"tests.support.bank.reactions:{workflow.name}")
    monkeypatch.setenv("HEADRACE_BOOTSTRAP", workflow.settings.bootstrap)
    monkeypatch.setenv("HEADRACE_PREFIX", workflow.settings.prefix)

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == code, result.output
        return result

    return run
