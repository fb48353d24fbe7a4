"""One step of the bank on a store in memory: records in, and what they led to, sorted by kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from headrace import Aggregate, Names, Topology
from headrace.schemas.headers import ID, REPLY_TO, TYPE, Headers
from headrace.schemas.headrace_v1_pb2 import DeadLetter, QueryResult, Snapshot
from headrace.schemas.headrace_v1_pb2 import Reply as Reply
from headrace.schemas.record import Record
from headrace.streams.steps.aggregate import AggregateStep
from headrace.streams.steps.batch import Output, Written
from headrace.streams.steps.context import StepContext
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import raw, request
from headrace.topology.inspection.aggregate import AggregateSpec
from tests.support.bank.accounts import Accounts

NOW = 1_700_000_000_000  # milliseconds
ANSWER = "headrace.replies/0"
INBOX = "main.account.inbox"


def spec_of(aggregate: type[Aggregate[Any]]) -> AggregateSpec:
    (spec,) = Topology(aggregate).aggregates.values()
    assert isinstance(spec, AggregateSpec)
    return spec


BANK = spec_of(Accounts)


@dataclass
class Outcome:
    """What one batch wrote, in order; `written` is what the step counts of it."""

    outputs: list[Output]
    written: Written
    by_kind: dict[str, list[Output]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for output in self.outputs:
            self.by_kind.setdefault(output[0].rsplit(".", 1)[1], []).append(output)

    def kind(self, name: str) -> list[Output]:
        return self.by_kind.get(name, [])

    @property
    def events(self) -> list[Message]:
        found = []
        for _, value, _, _, headers in self.kind("events"):
            message, _ = BANK.appliers[raw(headers or [])[TYPE].decode()]
            found.append(message.FromString(value or b""))
        return found

    @property
    def replies(self) -> list[Reply]:
        return [Reply.FromString(value or b"") for _, value, *_ in self.kind("replies")]

    @property
    def reply(self) -> Reply:
        (only,) = self.replies
        return only

    @property
    def result(self) -> QueryResult:
        ((_, value, *_),) = self.kind("replies")
        return QueryResult.FromString(value or b"")

    @property
    def dead(self) -> list[DeadLetter]:
        return [DeadLetter.FromString(value or b"") for _, value, *_ in self.kind("dead-letters")]


class StepFixture:
    """Commands for one partition. `live` keeps its states between batches, as a worker does."""

    def __init__(
        self,
        aggregate: type[Aggregate[Any]] = Accounts,
        *,
        edition: str = "main",
        partition: int = 0,
        partitions: int = 1,
        store: MemoryStore | None = None,
        **limits: Any,
    ) -> None:
        self.place = StepContext(Names(), edition, partition, partitions, reply_partitions=2, **limits)
        self.spec = spec_of(aggregate)
        self.store = MemoryStore() if store is None else store
        self.topic = Names().topic(edition, self.spec.name, "commands")
        self.step = AggregateStep(self.spec, self.store, self.place)
        self._count = len(self.store.results)  # no id comes twice unless wanted

    def restart(self) -> None:
        """Forget all but the store, as a worker that was killed does."""
        self.step = AggregateStep(self.spec, self.store, self.place)

    def record(
        self,
        command: Message,
        root: str = "r",
        *,
        id: str | None = None,
        expected: int | None = None,
        reply_to: str | None = ANSWER,
        headers: Mapping[str, bytes | None] | None = None,
        time: int = NOW,
        **fields: Any,
    ) -> Record:
        """A good command; `headers` replace its own (b"" and None too), `fields` those of the Record."""
        self._count += 1
        good = request(
            self.topic,
            command,
            root,
            time=time,
            command_id=id or f"c{self._count}",
            expected_sequence=expected,
            reply_to=reply_to,
        )
        changed: Any = {**good.headers, **(headers or {})}
        return good._replace(partition=self.place.partition, offset=self._count, headers=changed)._replace(**fields)

    def run(self, *records: Record) -> Outcome:
        """One batch, committed."""
        outputs = self.handle(*records)
        self.store.put(self.step.finish(NOW))
        outputs.extend(self.step.outputs)
        return Outcome(outputs, self.step.committed())

    def handle(self, *records: Record) -> list[Output]:
        """The start of a batch: what it writes so far, taken from the step as the engine takes it."""
        for record in records:
            self.step.handle(record)
        taken = list(self.step.outputs)
        self.step.outputs.clear()
        return taken

    def tell(self, *commands: Message, root: str = "r", **more: Any) -> Outcome:
        """One batch of good commands."""
        return self.run(*(self.record(command, root, **more) for command in commands))

    def snapshot(self, root: str = "r") -> Snapshot:
        return Snapshot.FromString(self.store.snapshot(root.encode()) or b"")

    def state(self, root: str = "r") -> Any:
        state = self.spec.state()
        state.MergeFromString(self.snapshot(root).state)
        return state


def header(output: Output, name: str) -> str:
    """One header of an output; KeyError when it is not there."""
    headers: Headers = output[4] or []
    return raw(headers)[name].decode()


def without(record: Record, *names: str) -> Record:
    """The same record, less these headers."""
    return record._replace(headers={k: v for k, v in record.headers.items() if k not in names})


__all__ = ["ANSWER", "BANK", "ID", "NOW", "REPLY_TO", "Outcome", "Reply", "StepFixture", "header", "spec_of", "without"]
