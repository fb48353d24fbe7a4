"""The features in memory: the steps of production, a clock that moves when it is told to."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.message import Message
from pytest_bdd import scenarios

from headrace.schemas.headers import TIME, TRACEPARENT, TYPE
from headrace.schemas.headrace_v1_pb2 import Reply
from headrace.schemas.record import Record
from headrace.schemas.stored_event import StoredEvent
from headrace.streams.admin import dead_letters
from headrace.streams.admin import trace as tracks
from headrace.streams.settings import Settings
from headrace.streams.steps.store import Staged
from headrace.testing import TopologyDriver
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import raw, request
from headrace.topology.partitioner import partition_of
from headrace.topology.reply import Event, OnError, Sync
from tests.features import past, shop
from tests.features.faults import faults
from tests.features.world import Answer, World, answer_of

pytest_plugins = ["tests.features.shop_steps", "tests.features.projection_steps"]
scenarios("../../features")

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REPLY = b"headrace.v1.Reply"
_used: dict[tuple[str, str], str] = {}


class MemoryWorld(World):
    """The shop in memory; what reads and writes Kafka beside the engine does so there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = Settings(bootstrap="127.0.0.1:1")
        self.driver = driver = TopologyDriver(shop.topology, start=NOW)

        class Producer:
            def __init__(self, config: dict[str, Any]) -> None:
                assert config["enable.idempotence"]

            def produce(
                self, topic: str, value: Any, key: Any, partition: int, headers: Any, on_delivery: Callable[..., None]
            ) -> None:
                driver.produce(topic, key, value, headers, partition)
                on_delivery(None, None)

            def flush(self, timeout: float) -> int:
                return 0

        monkeypatch.setattr(dead_letters, "read", self._read)
        monkeypatch.setattr(tracks, "read", self._read)
        monkeypatch.setattr(dead_letters, "Producer", Producer)

    def send(
        self,
        domain: str,
        root: str,
        command: Message,
        *,
        command_id: str,
        correlation_id: str,
        traceparent: str,
        sync: Sync,
        on_error: OnError,
    ) -> Answer:
        if sync != "decision":
            return answer_of(
                lambda: self.driver.execute(
                    command,
                    root,
                    domain=domain,
                    command_id=command_id or uuid4().hex,
                    correlation_id=correlation_id or None,
                    sync=sync,
                    on_error=on_error,
                )
            )
        record = request(
            self.topic(domain, "commands"),
            command,
            root,
            time=self.driver.clock.milliseconds,
            command_id=command_id or uuid4().hex,
            correlation_id=correlation_id or None,
            reply_to="headrace.replies/0",
        )
        traced = [(TRACEPARENT, traceparent)] if traceparent else []
        self.driver.produce(record.topic, record.key, record.value, [*record.headers.items(), *traced])
        return self._answer()

    def record_fact(self, domain: str, root: str, fact: Message, *, external_id: str, correlation_id: str) -> Answer:
        reply = self.driver.record_fact(
            fact, root, external_id=external_id, correlation_id=correlation_id or None, domain=domain
        )
        return answer_of(lambda: reply)

    def deliver(self, record: Record) -> None:
        self.driver.produce(record.topic, record.key, record.value, record.headers.items(), record.partition)

    def has_written(self, domain: str, root: str, events: Sequence[tuple[str, bytes]]) -> None:
        partition = partition_of(root.encode(), 4)
        staged, topic = Staged(), self.topic(domain, "events")
        found = list(past.records(domain, root, events))
        for sequence, (_, value, headers) in enumerate(found):
            about = raw(headers)
            stored = StoredEvent(about[TYPE], b"0", about[TIME], b"", b"", b"", b"", value)
            staged.history.append((root.encode(), sequence, stored.pack()))
        self.driver._runtime.stores.setdefault((domain, partition), MemoryStore()).put(staged)
        for key, value, headers in found:
            self.driver.produce(topic, key, value, headers, partition)

    def history(self, domain: str, root: str) -> Sequence[Event]:
        return self.driver.events(root, domain=domain)

    def pass_time(self, seconds: float) -> None:
        for _ in range(20):
            self.driver.clock.advance(timedelta(seconds=seconds / 20))

    def refusal(self, topology: str) -> str:
        raise NotImplementedError("such scenarios are skipped")

    def records(self, component: str, kind: str) -> Sequence[Record]:
        return self.driver.records(self.topic(component, kind))

    def figures(self) -> Mapping[tuple[str, str], int]:
        counts = self.driver.counts.items()
        return {(component, outcome): count for component, found in counts for outcome, count in found.items()}

    def escalations(self) -> Sequence[dict[str, str]]:
        return self.driver.escalations

    def _answer(self) -> Answer:
        """The last one given."""
        (*_, last) = (r.value for r in self.driver.records("headrace.replies") if r.headers[TYPE] == REPLY)
        reply = Reply.FromString(last or b"")
        status = Reply.Status.Name(reply.status).lower()
        return Answer(status, reply.reason, reply.already_processed, [(e.type, e.data) for e in reply.events])

    def _read(self, _: Any, topic: str) -> Iterator["_Message"]:
        return (_Message(record) for record in self.driver.records(topic))


class _Message:
    """A record as the client library gives it."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self._record.headers.items())

    def value(self) -> bytes | None:
        return self._record.value

    def timestamp(self) -> tuple[int, int]:
        return 1, self._record.timestamp


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MemoryWorld]:
    """A shop of its own for each scenario, which must share no root with another: elsewhere they share the shop."""
    if request.node.get_closest_marker("deployed"):
        pytest.skip("nothing is started in memory that could be refused")
    monkeypatch.setattr(faults, "folder", tmp_path / "faults", raising=False)
    world = MemoryWorld(monkeypatch)
    yield world
    roots: dict[str, set[str]] = defaultdict(set)
    for domain in shop.topology.components:
        for kind in ("commands", "facts", "events", "documents"):
            for record in world.records(domain, kind):
                roots[domain].add(record.headers["ce_subject"].decode())
    for domain, names in roots.items():
        for name in names:
            other = _used.setdefault((domain, name), request.node.name)
            assert other == request.node.name, f"{domain} {name} is a root of {other!r} too"
