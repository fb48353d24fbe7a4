"""The step of a process manager: events of many domains become events of its own, commands and time-outs.

Its inbox has events by correlation id. Each is handled once, in order; behind a dead event the others wait, and also
behind one that waits for states that its reaction reads.
"""

from collections.abc import Sequence

from google.protobuf.message import Message

from headrace.schemas.changelog import inbox_result_key
from headrace.schemas.headers import (
    CORRELATION,
    DISCARD,
    ID,
    ON_ERROR,
    PATH,
    REPLAY_OF,
    REPORT_TO,
    SOURCE,
    TRACEPARENT,
    TYPE,
)
from headrace.schemas.headrace_v1_pb2 import Follows, Reply
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.ids import IssuerRef
from headrace.schemas.record import Record, check
from headrace.streams.steps import compensation
from headrace.streams.steps.batch import Written
from headrace.streams.steps.checks import checked_root
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.contexts import process_context
from headrace.streams.steps.deduplication import Deduplication
from headrace.streams.steps.errors import HandlerError
from headrace.streams.steps.event_reader import EventReader, decode
from headrace.streams.steps.event_writer import EventWriter
from headrace.streams.steps.handlers import Deciders, States, react
from headrace.streams.steps.ordered_queue import OrderedQueue
from headrace.streams.steps.registry import runs
from headrace.streams.steps.sender import Sender, event_id
from headrace.streams.steps.state_cache import CachedState, StateCache
from headrace.streams.steps.state_reads import StateReads, Waiting
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Staged, Store
from headrace.streams.steps.sync_modes import reported_to
from headrace.streams.steps.timers import Timers, timer_name
from headrace.topology.aggregate import Flag
from headrace.topology.context import RootState, StateOf
from headrace.topology.inspection import type_name
from headrace.topology.inspection.process_manager import ProcessManagerSpec
from headrace.topology.partitioner import partition_of
from headrace.topology.process_manager import Cancel, Schedule
from headrace.topology.topology import Topology

REJECTION = type_name(WireRejection).encode()


class ProcessManagerStep(Step):
    """One process manager in one partition of its inbox; `Step` describes what happens to a batch."""

    def __init__(self, spec: ProcessManagerSpec, topology: Topology, store: Store, context: StepContext) -> None:
        super().__init__(f"process:{spec.name}", spec.name, store, context)
        self._spec, self._aggregates = spec, topology.aggregates
        self._reactions = {reaction.message: reaction for reaction in spec.reactions.values()}
        wanted = {name: reaction.message for name, reaction in spec.reactions.items()}
        self._events = EventReader(wanted, spec.sources, spec.source_upcasters)
        self._states = States(spec)
        self._cache = StateCache(self._states, store, context.live_states)
        self._deciders = Deciders(spec, self._states, context.edition, check_purity=context.check_purity)
        self._writer = EventWriter(spec.name, self._states, self._cache, self.batch, context, self._envelope)
        self._deduplication = Deduplication(self.batch)
        self._queue = OrderedQueue(self.batch, self._component)
        self._reads = StateReads(spec, topology.aggregates, self.batch, context, self._envelope)
        self._sender = Sender(spec.name, context, self._envelope, topology.command_routes, spec.on_rejection)
        inbox = context.names.topic(context.edition, spec.name, "inbox")
        self._timers = Timers(store, self.batch, inbox, context.partition, self._envelope.source)

    # ---- the batch, from outside

    def due(self, now: int) -> list[Record]:
        return list(self._timers.due(now))

    def attempt(self, record: Record) -> None:
        if REPLAY_OF in record.headers and self._replay(record, record.key or b""):
            return
        if not record.headers.get(TYPE):
            check(record.headers)  # raises: whether it is an event cannot be told, so nothing waits for it
        root = checked_root(record.key)
        right = partition_of(root, self._context.partitions)
        if right != self._context.partition:
            self._forward(record, right)
        elif self._reads.is_answer(record):
            check(record.headers)
            if self._reads.keep(record, root):
                self._queue.drain(root, self._handled)
            else:
                self.batch.count("ignored")
        else:
            self._queue.take(record, root, self._handled)

    def fire(self, record: Record) -> None:
        if self._timers.take(record):  # it is removed, whatever it leads to
            self._all_or_nothing(record, self._fire)

    def _fire(self, record: Record) -> None:
        if self._spec.finished(self._cache.use(record.key or b"", self.batch).state):
            self.batch.count("ignored")
        else:
            self.batch.count("timeouts")
            self.attempt(record)

    def refuse(self, record: Record, error: Exception, *, whole: bool = True) -> None:
        if record.offset < 0:
            self._timers.cancel(record.key or b"", timer_name(record))
        super().refuse(record, error, whole=whole)
        event = record.offset >= 0 and self._events.reads(record.headers)
        if whole and record.key and event:  # nothing of its root overtakes it, as behind any other dead event
            self._queue.add(record, record.key)

    def finish(self, now: int) -> Staged:
        self._writer.finish()
        return super().finish(now)

    def committed(self) -> Written:
        self._cache.committed()
        self._queue.committed()
        return super().committed()

    def rolled_back(self) -> None:
        self._cache.rolled_back()
        self._queue.rolled_back()
        super().rolled_back()

    # ---- one event

    def _handled(self, record: Record, root: bytes) -> bool:
        """Handle one event; False if it is dead or waits, so that later ones of its root wait too."""
        return self._all_or_nothing(record, lambda record: self._react(record, root))

    def _react(self, record: Record, root: bytes) -> bool:
        """React to one event; False if it waits for states that the reaction reads."""
        check(record.headers)
        live = self._cache.use(root, self.batch)
        name = inbox_result_key(root, event_id(record).encode())
        if self._deduplication.known(name, record) is not None:
            self.batch.count("repeated")
            self._reports.add(record)
            return True
        kept, follows, sends = False, list[Follows](), list[object]()
        if record.headers[TYPE] == REJECTION:
            where, items, kept, follows = self._compensate(record, root, live)
            follows += self._stage(record, root, live, where, items, sends)
        elif self._events.reads(record.headers):
            events = self._meant(record, self._events.read(record))
            if not events:
                self.batch.count("ignored")
                self._reports.add(record)
                return True
            try:
                states = self._read_states(record, root, live, events)
            except Waiting:  # the queries for the states are staged, and stay so
                return False
            for event in events:
                where, items = self._items(record, root, live, event, states)
                follows += self._stage(record, root, live, where, items, sends)
        else:
            kinds = ", ".join(self._spec.reactions)
            name_of = record.headers[TYPE].decode()
            kept = True
            self._fail_for_good(
                record, LookupError(f"{self._spec.class_name} reacts to no {name_of} any more; it reacts to: {kinds}")
            )
        self.batch.count("accepted")
        follows += self._sender.follows(record, sends)
        if kept:  # handled again if its dead letter is replayed; nothing waits for it
            self._deduplication.rejected(name, record, Reply())
        else:
            self._deduplication.accepted(name, record, live.sequence, 0)
            self._reports.add(record, follows=follows)
        return True

    def _meant(self, record: Record, events: Sequence[Message]) -> Sequence[Message]:
        """Those of the messages of an event that are for this process: some only if a saga or process manager sent the
        command that led to them."""
        if record.offset < 0 or PATH in record.headers:  # a time-out is its own
            return events
        return [event for event in events if not self._reactions[event.__class__].from_inbox]

    def _read_states(
        self, record: Record, root: bytes, live: CachedState, events: Sequence[Message]
    ) -> dict[StateOf, RootState]:
        """The states of other roots that the reactions to an event read; raises Waiting until all are there."""
        reading = [(reads, event) for event in events if (reads := self._reactions[event.__class__].reads) is not None]
        if not reading:
            return {}
        return self._reads.take(root, event_id(record), [one for reads, e in reading for one in reads(live.state, e)])

    def _items(
        self, record: Record, root: bytes, live: CachedState, event: Message, states: dict[StateOf, RootState]
    ) -> tuple[str, tuple[object, ...]]:
        """The reaction to an event, and what it yields: events, commands and time-outs."""
        reaction = self._reactions[event.__class__]
        context = (process_context(record, root, self._context.edition, states),) if reaction.wants_context else ()
        before = self._states.content(live.state) if self._context.check_purity else b""
        items = react(reaction, (live.state, event, *context), self._context.pause)
        if self._context.check_purity and before != self._states.content(live.state):
            raise HandlerError(f"{reaction.where} changed the state it was given")
        return reaction.where, items

    def _stage(
        self,
        record: Record,
        root: bytes,
        live: CachedState,
        where: str,
        items: tuple[object, ...],
        sends: list[object],
    ) -> list[Follows]:
        """Apply and stage what a reaction has yielded, in that order; returns the events that follow, for a report.

        `sends` has all commands that the record has led to so far; those of this reaction are added.
        """
        events = self._states.events(tuple(item for item in items if isinstance(item, Message)), where)
        cause = event_id(record)
        first = live.sequence + 1
        self._writer.write(record, root, live, events, cause.encode(), root, waits=reported_to(record))
        sent = _of_root(record, root)
        reject_to = IssuerRef(self._spec.name, root.decode())
        for item in items:
            if isinstance(item, Schedule):
                self._timers.start(root, item, record, cause)
            elif isinstance(item, Cancel):
                self._timers.cancel(root, item.name.encode())
            elif not isinstance(item, Message):
                self.outputs.append(self._sender.command(where, sent, item, len(sends), reject_to))
                self.batch.count("sends")
                sends.append(item)
        if REPORT_TO not in record.headers:
            return []
        return self._reports.events(root.decode(), first, [name for name, _, _ in events])

    # ---- rejected commands

    def _compensate(
        self, record: Record, root: bytes, live: CachedState
    ) -> tuple[str, tuple[object, ...], bool, list[Follows]]:
        """Call the process's own compensation; without one, notify the aggregate whose event caused the command.

        Returns the method's name for error texts, what it yielded, whether the rejection is kept for a person, and what
        follows if it is passed on.
        """
        rejection = decode(record, WireRejection)
        where = f"{self._spec.class_name}'s compensation of {rejection.command_type}"
        handler = self._spec.compensators.get(rejection.command_type)
        self.batch.count("compensations")
        if handler is None:
            self.outputs.append(compensation.passed_on(record, rejection, self._context, self._aggregates))
            return where, (), False, compensation.passed_to(record, rejection)
        answer = self._deciders.compensate(handler, live.state, rejection, -1)
        if not isinstance(answer, Flag):
            return where, answer, False, []
        outcome = compensation.flagged(self._spec.class_name, rejection, answer, -1)
        if outcome.dead:
            self._fail_for_good(record, outcome.dead)
        if outcome.escalated:
            self.batch.staged.escalations.append(compensation.escalation(rejection, root, record.headers))
        return where, outcome.events, outcome.dead is not None, []

    # ---- dead letters

    def _replay(self, record: Record, root: bytes) -> bool:
        """A dead letter sent again or given up; False for one that kept none waiting: it is handled like any input."""
        dead_letter_id, discarded = record.headers[REPLAY_OF].decode(), DISCARD in record.headers
        place = self._queue.place(root, dead_letter_id)
        if place:
            return True  # it waits for its turn
        self._dead_letters.settle(record, "discarded" if discarded else "replayed")
        if place == 0:
            self._queue.tried(record, root)
            self._queue.drain(root, self._handled, skip_first=discarded)
        return discarded or place == 0


def _of_root(record: Record, root: bytes) -> Record:
    """The record with the process's root as its correlation id, which is passed on to commands."""
    kept = {name: record.headers[name] for name in (TRACEPARENT, PATH, REPORT_TO, ON_ERROR) if name in record.headers}
    ids = {SOURCE: record.headers[SOURCE], ID: record.headers[ID], CORRELATION: root}
    return record._replace(headers={**kept, **ids})


@runs(ProcessManagerSpec)
def process_manager_step(spec: ProcessManagerSpec, topology: Topology, store: Store, context: StepContext) -> Step:
    """A process manager at work."""
    return ProcessManagerStep(spec, topology, store, context)
