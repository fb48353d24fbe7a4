"""A projector of the bank, with its feed if it has one, on stores in memory: events in, documents out."""

import json
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from headrace import Names, Topology
from headrace.schemas.headers import ID, TYPE, Headers
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Settled
from headrace.schemas.record import CloudEvent, Record
from headrace.streams.steps.batch import Output
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.dead_letters import settling
from headrace.streams.steps.errors import SnapshotTooLarge
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Staged
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import raw
from headrace.topology.inspection import type_name
from tests.support.step_fixture import NOW

EVENTS = "main.account.events"


def event(message: Message, root: str = "r", number: int = 0, **fields: Any) -> Record:
    """The event of this number of an account, as it is on the log."""
    about = CloudEvent(
        id=f"{root}:{number}",
        source="/main/account",
        type=type_name(type(message)),
        subject=root,
        extensions={"sequence": str(number), "correlationid": "trip"},
    )
    key, data = f"{root}|{number:020d}".encode(), message.SerializeToString()
    return Record(EVENTS, 0, number, NOW, key, data, raw(about.headers()))._replace(**fields)


def without_header(record: Record, name: str) -> Record:
    """The same record, less a header."""
    return record._replace(headers={key: value for key, value in record.headers.items() if key != name})


@dataclass
class Log:
    """What a step has written, in order."""

    outputs: list[Output] = field(default_factory=list)

    def on(self, kind: str) -> list[Output]:
        """Records of a kind of topic."""
        return [output for output in self.outputs if output[0].endswith(f".{kind}")]

    @property
    def dead(self) -> list[tuple[str, DeadLetter]]:
        """Dead letters with their ids, oldest first; settled ones too."""
        found = [(raw(headers or []), value) for _, value, _, _, headers in self.on("dead-letters")]
        return [
            (headers[ID].decode(), DeadLetter.FromString(value or b""))
            for headers, value in found
            if headers[TYPE] == b"headrace.v1.DeadLetter"
        ]

    @property
    def errors(self) -> list[str]:
        """Classes and texts of all dead letters."""
        return [f"{one.error_class}: {one.error}" for _, one in self.dead]

    @property
    def settled(self) -> list[str]:
        """What became of dead letters, in order."""
        found = [(raw(headers or []), value) for _, value, _, _, headers in self.on("dead-letters")]
        return [
            Settled.FromString(value or b"").outcome
            for headers, value in found
            if headers[TYPE] == b"headrace.v1.Settled"
        ]

    def documents(self) -> dict[str, Any]:
        """The latest document of each id."""
        found: dict[str, Any] = {}
        for _, value, key, _, _ in self.on("documents"):
            assert isinstance(key, bytes)
            if value is None:
                found.pop(key.decode(), None)
            else:
                found[key.decode()] = json.loads(value)
        return found


class StepUnderTest:
    """One step with its store. What it commits is on `log`."""

    def __init__(self, topology: Topology, name: str, **limits: Any) -> None:
        self.topology, self.name = topology, name
        self.context = StepContext(Names(), "main", **{"partition": 0, "partitions": 1, "reply_partitions": 1} | limits)
        self.store, self.log = MemoryStore(), Log()
        self.restart()

    step: Step

    def restart(self, store: MemoryStore | None = None) -> None:
        """Forget all but the store, as a worker that was killed does; or begin with this one."""
        self.store = store or self.store
        self.step = make_step(self.topology, self.name, self.store, self.context)

    def rebuilt(self) -> MemoryStore:
        """The store that a restore makes of what is on the log."""
        store = MemoryStore()
        for topic, value, key, _, _ in self.log.outputs:
            assert isinstance(key, bytes)
            if topic.endswith(".documents"):
                store.put(Staged(documents={key: value}))
            elif topic.endswith(".snapshots"):
                store.put(Staged(entries={key: value}))
        return store

    def run(self, *records: Record) -> Log:
        """A batch, committed; returns what it wrote."""
        for record in records:
            self.step.handle(record)
        try:
            return self.commit()
        except SnapshotTooLarge:
            self.step.rolled_back()
            self.step.enforce_state_size = True
            for record in records:
                self.step.handle(record)
            found = self.commit()
            self.step.enforce_state_size = False
            return found

    def commit(self) -> Log:
        """End the batch; returns what it wrote."""
        staged = self.step.finish(NOW)
        written = list(self.step.outputs)
        self.step.outputs.clear()
        self.store.put(staged)
        self.step.committed()
        self.log.outputs.extend(written)
        return Log(written)

    def settling(self, number: int = 0, *, discard: bool = False) -> Record:
        """The record by which an operator replays or discards a dead letter; the oldest is number 0."""
        dead_letter_id, found = self.log.dead[number]
        again = settling(
            dead_letter_id, found, self.topology.component(self.name), self.context.names, "main", discard=discard
        )
        assert again is not None
        topic, value, key, headers = again
        return Record(topic, 0, 10_000 + len(self.log.outputs), NOW, key, value, raw(headers))

    def count(self, kind: str) -> int:
        """How many entries of the store begin so."""
        return len(list(self.store.entries(kind.encode())))


class FedProjector:
    """A feed and its projector; what the feed commits is handled by the projector in a batch of its own."""

    def __init__(self, topology: Topology, name: str, **limits: Any) -> None:
        self.feed = StepUnderTest(topology, f"{name}-feed", **limits)
        self.projector = StepUnderTest(topology, name, **limits)
        self._offset = 0

    def run(self, *records: Record) -> Log:
        """A batch of the feed, then one of the projector; returns what that wrote."""
        return self.projector.run(*self.inbox(self.feed.run(*records)))

    def inbox(self, written: Log) -> list[Record]:
        """What the feed wrote, as the projector reads it."""
        found = []
        for topic, value, key, partition, headers in written.on("inbox"):
            assert isinstance(key, bytes)
            found.append(Record(topic, partition, self._offset, NOW, key, value, raw(_given(headers))))
            self._offset += 1
        return found


def _given(headers: Headers | None) -> Headers:
    assert headers is not None
    return headers
