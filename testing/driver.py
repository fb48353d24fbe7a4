"""A whole topology in memory, with a clock that only moves when told to: for tests without Kafka.

The steps are those of production; topics are lists here, and a command is handled before `send` returns. One driver
is one edition; ids are counted, so that each run of a test writes the same records.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import Message

from headrace.schemas.headers import SUBJECT, TYPE, Headers
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Snapshot
from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.schemas.record import Record
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.errors import SnapshotTooLarge
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.step import Step
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import raw, request, since_epoch
from headrace.topology.inspection import ComponentSpec
from headrace.topology.names import MAIN, Names
from headrace.topology.partitioner import partition_of
from headrace.topology.topology import Topology

# a component's name, and its step and store in one partition
Worker = tuple[str, Step, MemoryStore]
_ENDLESS = 10_000  # records that one input may lead to; more means that components answer each other for ever


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a command; `wire` has the rest of it (ids, sequences of events, already_processed)."""

    status: str
    """accepted, rejected or failed."""
    events: list[Any]
    """Messages; after a sequence conflict, those since the expected sequence."""
    sequence: int
    reason: str
    code: str
    retryable: bool
    wire: WireReply

    @property
    def accepted(self) -> bool:
        """Whether the command was carried out."""
        return self.status == "accepted"


class Clock:
    """What the driver takes for the present."""

    def __init__(self, start: datetime, moved: Callable[[], None]) -> None:
        self.milliseconds, self._moved = since_epoch(start), moved

    def set(self, now: datetime) -> None:
        """Make it `now`, earlier or later; ValueError without a time zone."""
        self.milliseconds = since_epoch(now)
        self._moved()

    def advance(self, by: timedelta) -> None:
        """Let time pass; time-outs that come due by then come."""
        self.milliseconds += by // timedelta(milliseconds=1)
        self._moved()

    @property
    def now(self) -> datetime:
        """The present, UTC, in whole milliseconds as Kafka counts them."""
        return datetime.fromtimestamp(self.milliseconds / 1000, UTC)


class TopologyDriver:
    """Runs the topology of one edition; `names` and `partitions` are those of the deployment played."""

    def __init__(
        self,
        topology: Topology,
        *,
        start: datetime,
        partitions: int = 4,
        edition: str = MAIN,
        names: Names | None = None,
    ) -> None:
        self.clock = Clock(start, self._run)
        self.escalations: list[dict[str, str]] = []
        """What a person was told of, in order."""
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        """By component, what its inputs came to; a worker's metrics say the same."""
        self._topology, self._edition, self._partitions = topology, edition, partitions
        self._names = names or Names()
        self._log: dict[str, list[Record]] = {}
        self._offsets: dict[tuple[str, int], int] = defaultdict(int)
        self._due: deque[Record] = deque()  # records on input topics that are not handled yet
        self._sent = 0
        # what reads a topic: a step and its store for each partition, of each component
        self._workers: dict[str, list[list[Worker]]] = defaultdict(list)
        self._timed: list[Worker] = []
        self._running = False
        for word in topology.components:
            workers = [self._worker(word, partition) for partition in range(partitions)]
            for topic in topology.inputs(word, self._names, edition):
                self._workers[topic].append(workers)
            if topology.component(word).has_timers:
                self._timed.extend(workers)

    def _worker(self, word: str, partition: int) -> Worker:
        place = StepContext(
            self._names,
            self._edition,
            partition,
            self._partitions,
            reply_partitions=1,
            check_purity=True,
            pause=lambda seconds: self.clock.advance(timedelta(seconds=seconds)),
        )
        store = MemoryStore()
        return word, make_step(self._topology, word, store, place), store

    def topic(self, domain: str, kind: str) -> str:
        """Name of a topic of this edition."""
        return self._names.topic(self._edition, domain, kind)

    # ---- in

    def send(
        self,
        command: Message,
        root: str,
        *,
        domain: str | None = None,
        command_id: str | None = None,
        expected_sequence: int | None = None,
        correlation_id: str | None = None,
    ) -> Reply:
        """Send a command as a client does; its answer, after all that follows from it has been handled.

        `domain` is only needed when several handle the command; LookupError when none does.
        """
        spec = self._topology.aggregate(domain or self._topology.domain_of(type(command)))
        self._sent += 1
        command_id = command_id or f"command-{self._sent}"
        record = request(
            self.topic(spec.name, "commands"),
            command,
            root,
            time=self.clock.milliseconds,
            command_id=command_id,
            expected_sequence=expected_sequence,
            correlation_id=correlation_id,
            reply_to=f"{self._names.replies}/0",
        )
        seen = len(self.records(self._names.replies))
        self.produce(record.topic, record.key, record.value, record.headers.items())
        answers = (WireReply.FromString(r.value or b"") for r in self.records(self._names.replies)[seen:])
        return _reply(next(a for a in answers if a.command_id == command_id), spec)

    def produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, str | bytes | None]] = (),
        partition: int | None = None,
    ) -> None:
        """Write a record as it is, to the partition of its key unless another is given, and handle what follows.

        LookupError for a topic that no component reads.
        """
        if topic not in self._workers:
            raise LookupError(f"nothing reads {topic!r}; input topics are: {', '.join(self._workers)}")
        if partition is None:
            partition = partition_of(key or b"", self._partitions)
        self._append(topic, value, key, partition, list(headers))
        self._run()

    # ---- out

    def records(self, topic: str) -> list[Record]:
        """All records of a topic in the order they were written, inputs as well as outputs."""
        return list(self._log.get(topic, ()))

    def events(self, domain: str, root: str) -> list[Any]:
        """Events of a root, as messages, from its log."""
        appliers = self._topology.folded(domain).appliers
        return [
            appliers[record.headers[TYPE].decode()][0].FromString(record.value or b"")
            for record in self.records(self.topic(domain, "events"))
            if record.headers[SUBJECT] == root.encode()
        ]

    def state(self, domain: str, root: str) -> Any:
        """State of a root, from its snapshot; a state without any field set when it has no events."""
        state: Any = self._topology.folded(domain).state_type()
        key = root.encode()
        inputs = self._topology.inputs(domain, self._names, self._edition)
        _, _, store = self._workers[inputs[0]][0][partition_of(key, self._partitions)]
        if (stored := store.snapshot(key)) is not None:
            state.MergeFromString(Snapshot.FromString(stored).state)
        return state

    def dead_letters(self, domain: str) -> list[DeadLetter]:
        """What of a domain's inputs could not be handled, and why."""
        self._topology.component(domain)
        letters = self.records(self.topic(domain, "dead-letters"))
        return [DeadLetter.FromString(r.value or b"") for r in letters if r.headers[TYPE] == b"headrace.v1.DeadLetter"]

    # ---- round and round

    def _append(
        self, topic: str, value: bytes | None, key: bytes | str | None, partition: int, headers: Headers
    ) -> None:
        offset = self._offsets[topic, partition]
        self._offsets[topic, partition] += 1
        key = key.encode() if isinstance(key, str) else key
        record = Record(topic, partition, offset, self.clock.milliseconds, key, value, raw(headers))
        self._log.setdefault(topic, []).append(record)
        if topic in self._workers:
            self._due.append(record)

    def _run(self) -> None:
        """Handle records until none is left; what they lead to may be input again."""
        if self._running:  # a step lets time pass while it waits
            return
        self._running = True
        try:
            for _ in range(_ENDLESS):
                if not self._due and not self._fire():
                    return
                record = self._due.popleft()
                for workers in self._workers[record.topic]:
                    self._handle(record, *workers[record.partition])
        finally:
            self._running = False
        raise RuntimeError(f"one input led to {_ENDLESS} records and no end; the last was {self._due[0]}")

    def _fire(self) -> bool:
        """Bring time-outs that are due; whether that gave something to do."""
        for worker in self._timed:
            for record in worker[1].due(self.clock.milliseconds):
                self._handle(record, *worker, timed=True)
        return bool(self._due)

    def _handle(self, record: Record, word: str, step: Step, store: MemoryStore, *, timed: bool = False) -> None:
        handle = step.fire if timed else step.handle
        handle(record)
        try:
            staged = step.finish(self.clock.milliseconds)
        except SnapshotTooLarge:
            step.rolled_back()
            step.enforce_state_size = True
            handle(record)
            staged = step.finish(self.clock.milliseconds)
            step.enforce_state_size = False
        for topic, value, key, partition, headers in step.outputs:
            self._append(topic, value, key, partition, headers or [])
        store.put(staged)
        self.escalations.extend(staged.escalations)
        self.counts[word].update(step.committed()._asdict())


def _reply(wire: WireReply, spec: ComponentSpec) -> Reply:
    return Reply(
        status=WireReply.Status.Name(wire.status).lower(),
        events=[spec.appliers[event.type][0].FromString(event.data) for event in wire.events],
        sequence=wire.sequence,
        reason=wire.reason,
        code=wire.code,
        retryable=wire.retryable,
        wire=wire,
    )
