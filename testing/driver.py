"""A whole topology in memory, with a clock that a test sets: for tests without Kafka.

The steps are those of production; topics are lists, and a command is handled before `execute` returns. Each driver has
one edition. Ids are numbered, so that each run of a test writes the same records.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from google.protobuf.message import Message

from headrace.schemas.documents import DocumentCodec
from headrace.schemas.headers import TYPE, Headers
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Handled, Projected, Settled
from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.schemas.ids import ReplyTarget
from headrace.schemas.record import Record, split_headers
from headrace.schemas.stored_event import to_events
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.dead_letters import reference, settling, to_record
from headrace.streams.steps.errors import SnapshotTooLarge
from headrace.streams.steps.handlers import States
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.state_cache import StateCache
from headrace.streams.steps.step import Step
from headrace.streams.waits.cascade import CascadeWait
from headrace.streams.waits.projections import ProjectionWait, concerned, serving_versions
from headrace.testing.clock import Y2K, Clock, due_next
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import request, sent
from headrace.topology.as_of import AsOf, point_of
from headrace.topology.inspection import ComponentSpec, type_name
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.names import MAIN, Names
from headrace.topology.partitioner import partition_of
from headrace.topology.projector import Projector, version_name
from headrace.topology.reply import Event, OnError, Reply, SendSync, Sync
from headrace.topology.topology import Domain, Topology

D = TypeVar("D")
# a component's name, and its step and store in one partition
Worker = tuple[str, Step, MemoryStore]
HANDLED, PROJECTED, REPLY = (type_name(one).encode() for one in (Handled, Projected, WireReply))
_ENDLESS = 10_000  # records that one input may lead to; more means that components answer each other forever


class TopologyDriver:
    """Runs the topology of one edition, with the `names` and `partitions` of a deployment.

    It has the methods of `headrace.Client`, without `await`; `DriverClient` has them with `await`.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        start: datetime = Y2K,
        partitions: int = 4,
        edition: str = MAIN,
        names: Names | None = None,
    ) -> None:
        self.clock = Clock(start, self._run)
        self.escalations: list[dict[str, str]] = []
        """Escalations that a person would have been told of, in order."""
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        """The outcomes of inputs, by component, as in a worker's metrics."""
        self._edition, self._partitions = edition, partitions
        self._names = names or Names()
        self._log: dict[str, list[Record]] = defaultdict(list)
        self._offsets: dict[tuple[str, int], int] = defaultdict(int)
        self._due: deque[Record] = deque()  # records on input topics that are not handled yet
        self._sent = 0
        # for each topic, the components that read it: a step and its store per partition
        self._workers: dict[str, list[list[Worker]]] = defaultdict(list)
        self._stores: dict[str, list[MemoryStore]] = {}
        self._timed: list[Worker] = []
        self._running = False
        self.deploy(topology)

    def deploy(self, topology: Topology) -> None:
        """Let another topology go on with the topics and stores that are there, as when a release is deployed.

        A component that is new begins with what comes from now on.
        """
        self._topology = topology
        self._workers.clear()
        self._timed.clear()
        for name in topology.components:
            stores = self._stores.setdefault(name, [MemoryStore() for _ in range(self._partitions)])
            workers = [self._worker(name, partition, store) for partition, store in enumerate(stores)]
            for topic in topology.inputs(name, self._names, self._edition):
                self._workers[topic].append(workers)
            if topology.component(name).has_timers:
                self._timed.extend(workers)

    def _worker(self, name: str, partition: int, store: MemoryStore) -> Worker:
        context = StepContext(
            self._names,
            self._edition,
            partition,
            self._partitions,
            reply_partitions=1,
            check_purity=True,
            pause=lambda seconds: self.clock.advance(timedelta(seconds=seconds)),
        )
        return name, make_step(self._topology, name, store, context), store

    def topic(self, component: str, kind: str) -> str:
        """Name of a topic of this edition."""
        return self._names.topic(self._edition, component, kind)

    # ---- what a client does

    def execute(
        self,
        command: Message,
        root: str,
        *,
        expected_sequence: int | None = None,
        command_id: str | None = None,
        correlation_id: str | None = None,
        domain: Domain = None,
        sync: Sync = "decision",
        on_error: OnError = "fail-fast",
    ) -> Reply:
        """Send a command and return its reply, after everything that follows from it has been handled.

        `domain` is only needed if several domains handle the command; LookupError if none does. `sync` and `on_error`
        are as for a client, which tells of failures in a cascade if it waits for it.
        """
        spec = self._topology.handler_of(type(command), domain)
        record = request(
            self.topic(spec.name, "commands"),
            command,
            root,
            time=self.clock.milliseconds,
            command_id=command_id or self._next_id("command"),
            expected_sequence=expected_sequence,
            correlation_id=correlation_id,
            reply_to=str(ReplyTarget(self._names.replies, 0)),
            sync=sync,
            on_error=on_error,
        )
        seen = len(self._log[self._names.replies])
        reply = self._answer(record, spec)
        if reply.accepted and sync == "cascade":
            return self._cascade(reply, seen, on_error)
        if reply.accepted and sync == "simple":
            self._check_projected(reply, seen, spec)
        return reply

    def send(
        self,
        command: Message,
        root: str,
        *,
        expected_sequence: int | None = None,
        command_id: str | None = None,
        correlation_id: str | None = None,
        domain: Domain = None,
        sync: SendSync = "async",
    ) -> str:
        """Send a command without waiting for its reply, and return its id. If rejected, it goes to the dead letters."""
        spec = self._topology.handler_of(type(command), domain)
        command_id = command_id or self._next_id("command")
        record = request(
            self.topic(spec.name, "commands"),
            command,
            root,
            time=self.clock.milliseconds,
            command_id=command_id,
            expected_sequence=expected_sequence,
            correlation_id=correlation_id,
            sync=sync,
        )
        self._write(record)
        return command_id

    def record_fact(
        self,
        fact: Message,
        root: str,
        *,
        external_id: str,
        correlation_id: str | None = None,
        domain: Domain = None,
    ) -> Reply:
        """State that something has happened outside; it is recorded once per `external_id`."""
        spec = self._topology.recorder_for(type(fact), domain)
        record = request(
            self.topic(spec.name, "facts"),
            fact,
            root,
            time=self.clock.milliseconds,
            command_id=self._next_id("fact"),
            correlation_id=correlation_id,
            reply_to=str(ReplyTarget(self._names.replies, 0)),
            external_id=external_id,
        )
        return self._answer(record, spec)

    def state(self, root: str, domain: str | type[Any] | None = None, *, as_of: AsOf | None = None) -> Any:
        """A copy of the root's state; None if it has no events. `domain` may also name a process manager.

        With `as_of`, the state as it was after the event with this sequence, or at this time.
        """
        spec, key = self._folded(domain), root.encode()
        store = self._store(spec, root)
        cache = StateCache(States(spec), store, live_states=1)
        found, last = cache.use(key, Batch(store)), self._last(store, key, as_of)
        return None if last < 0 else cache.state_at(key, found, last)

    def events(
        self,
        root: str,
        from_sequence: int = 0,
        domain: str | type[Any] | None = None,
        *,
        as_of: AsOf | None = None,
        lift: bool = True,
    ) -> list[Event]:
        """The root's events in order, from a sequence on; without `lift`, as the log has them.

        With `as_of`, up to the event with this sequence, or those that were recorded by this time. `domain` may also
        name a process manager.
        """
        spec, key = self._folded(domain), root.encode()
        store = self._store(spec, root)
        stored = store.history(key, from_sequence, self._last(store, key, as_of))
        return [one for event in to_events(stored, from_sequence) for one in Event.read(event, spec, root, lift=lift)]

    def messages(self, root: str, domain: str | type[Any] | None = None) -> list[Any]:
        """The messages of the root's events, in order."""
        return [event.data for event in self.events(root, domain=domain)]

    def documents(self, projector: type[Projector[D]]) -> dict[str, D]:
        """All documents of a projector's version, by id."""
        name = version_name(projector.name, projector.version)
        spec = self._topology.component(name)
        assert isinstance(spec, ProjectorSpec)
        codec = DocumentCodec(spec.document)
        return {
            document_id.decode(): codec.decode(data)
            for store in self._stores[name]
            for document_id, data in store.documents.items()
        }

    # ---- dead letters

    def dead_letters(self, component: str) -> list[DeadLetter]:
        """The dead letters of a component, including settled ones."""
        self._topology.component(component)
        dead_letters = self._log[self.topic(component, "dead-letters")]
        return [
            DeadLetter.FromString(r.value or b"") for r in dead_letters if r.headers[TYPE] == b"headrace.v1.DeadLetter"
        ]

    def replay(self, component: str, dead_letter: DeadLetter | None = None) -> None:
        """Send the input of one dead letter again, or the inputs of all open ones, oldest first.

        ValueError for a dead letter that can only be discarded.
        """
        self._settle(component, dead_letter, discard=False)

    def discard(self, component: str, dead_letter: DeadLetter | None = None) -> None:
        """Discard one dead letter, or all open ones; the events that wait behind it are handled."""
        self._settle(component, dead_letter, discard=True)

    def _settle(self, component: str, dead_letter: DeadLetter | None, *, discard: bool) -> None:
        spec = self._topology.component(component)
        for found in self._open(component) if dead_letter is None else [dead_letter]:
            dead_letter_id = str(reference(to_record(found)))
            again = settling(dead_letter_id, found, spec, self._names, self._edition, discard=discard)
            if again is None:
                raise ValueError(f"{dead_letter_id}: {spec.class_name} keeps nothing to replay; discard it")
            topic, value, key, headers = again
            self._append(topic, value, key, found.partition, headers)
            self._run()

    def _open(self, component: str) -> list[DeadLetter]:
        found = {str(reference(to_record(one))): one for one in self.dead_letters(component)}
        for record in self._log[self.topic(component, "dead-letters")]:
            if record.headers[TYPE] == b"headrace.v1.Settled":
                found.pop(Settled.FromString(record.value or b"").dead_letter_id, None)
        return list(found.values())

    # ---- records

    def produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, str | bytes | None]] = (),
        partition: int | None = None,
    ) -> None:
        """Write a record unchanged, to the partition of its key unless another is given, and handle what follows.

        LookupError for a topic that no component reads.
        """
        if topic not in self._workers:
            raise LookupError(f"nothing reads {topic!r}; input topics are: {', '.join(self._workers)}")
        if partition is None:
            partition = partition_of(key or b"", self._partitions)
        self._append(topic, value, key, partition, list(headers))
        self._run()

    def records(self, topic: str) -> list[Record]:
        """All records of a topic, inputs and outputs, in the order in which they were written."""
        return list(self._log.get(topic, ()))

    # ---- inside

    def _next_id(self, kind: str) -> str:
        self._sent += 1
        return f"{kind}-{self._sent}"

    def _write(self, record: Record) -> None:
        self.produce(record.topic, record.key, record.value, record.headers.items())

    def _answer(self, record: Record, spec: ComponentSpec) -> Reply:
        replies = self._log[self._names.replies]
        seen = len(replies)
        self._write(record)
        answers = (WireReply.FromString(reply.value or b"") for reply in replies[seen:] if reply.headers[TYPE] == REPLY)
        command_id = record.headers["ce_id"].decode()
        return Reply.read(next(answer for answer in answers if answer.command_id == command_id), spec)

    def _cascade(self, reply: Reply, seen: int, on_error: OnError) -> Reply:
        """The reply, with what has failed of that to which an accepted command led."""
        wait = CascadeWait(self._topology, serving_versions(self._topology, {}), on_error)
        for record in self._log[self._names.replies][seen:]:
            if record.headers[TYPE] == HANDLED and record.key == reply.command_id.encode():
                wait.take(Handled.FromString(record.value or b""))
        return wait.result(reply, 0)

    def _check_projected(self, reply: Reply, seen: int, spec: ComponentSpec) -> None:
        """Raise ProjectionFailed if a projector could not handle an event of an accepted command."""
        wait = ProjectionWait(concerned(self._topology, {}, spec.name))
        for record in self._log[self._names.replies][seen:]:
            if record.headers[TYPE] == PROJECTED and record.key == reply.command_id.encode():
                wait.take(Projected.FromString(record.value or b""))
        wait.check(reply, 0)

    def _folded(self, domain: str | type[Any] | None) -> ComponentSpec:
        if domain is None:
            return self._topology.component(self._topology.only_aggregate())
        if not isinstance(domain, str):
            domain = str(getattr(domain, "domain", None) or domain.name)
        return self._topology.folded(domain)

    def _store(self, spec: ComponentSpec, root: str) -> MemoryStore:
        return self._stores[spec.name][partition_of(root.encode(), self._partitions)]

    def _last(self, store: MemoryStore, root: bytes, as_of: AsOf | None) -> int:
        """Sequence of a root's last event at a point."""
        sequence, moment = point_of(as_of)
        if sequence is not None:
            return min(sequence, store.last(root))
        # while the clock stands, each batch is recorded 1 ms after the one before, so that the present is ahead of it
        past = moment is not None and moment < self.clock.milliseconds
        return store.last_at(root, moment or 0) if past else store.last(root)

    def _append(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | str | None,
        partition: int,
        headers: Headers,
        time: int | None = None,
    ) -> None:
        offset = self._offsets[topic, partition]
        self._offsets[topic, partition] += 1
        key = key.encode() if isinstance(key, str) else key
        time = self.clock.milliseconds if time is None else time
        record = Record(topic, partition, offset, time, key, value, *split_headers(sent(headers)))
        self._log[topic].append(record)
        if topic in self._workers:
            self._due.append(record)

    def _run(self) -> None:
        """Handle records until none is left; what they lead to may be input again."""
        if self._running:  # a step that waits lets time pass, which calls this again
            return
        self._running = True
        try:
            for _ in range(_ENDLESS):
                if self._due:
                    record = self._due.popleft()
                    for workers in self._workers[record.topic]:
                        self._handle(record, *workers[record.partition])
                elif not self._fire():
                    return
        finally:
            self._running = False
        raise RuntimeError(f"one input led to {_ENDLESS} records and no end; the last was {record}")

    def _fire(self) -> bool:
        """Deliver the time-outs that are due next in each process manager; whether there were any."""
        fired = False
        for worker in self._timed:
            for record in due_next(worker[1], self.clock.milliseconds):
                fired = True
                self._handle(record, *worker, timed=True)
        return fired

    def _handle(self, record: Record, name: str, step: Step, store: MemoryStore, *, timed: bool = False) -> None:
        handle = step.fire if timed else step.handle
        step.begin(self.clock.milliseconds)
        if step.looks_ahead:
            step.ahead([record])
        handle(record)
        try:
            staged = step.finish(self.clock.milliseconds)
        except SnapshotTooLarge:
            step.rolled_back()
            step.begin(self.clock.milliseconds)
            step.enforce_state_size = True
            handle(record)
            staged = step.finish(self.clock.milliseconds)
            step.enforce_state_size = False
        for topic, value, key, partition, headers in step.outputs:
            time = step.recorded if topic.endswith(".events") else None
            self._append(topic, value, key, partition, headers or [], time)
        store.put(staged)
        self.escalations.extend(staged.escalations)
        self.counts[name].update(step.committed()._asdict())
