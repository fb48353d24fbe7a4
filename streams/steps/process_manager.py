"""The step of a process manager: events of many domains become events of its own, commands and time-outs.

Its inbox has events by correlation id. Each is handled once, in order; behind a dead event the others wait, and also
behind one that waits for states that its reaction reads.
"""

from google.protobuf.message import Message

from headrace.schemas.changelog import inbox_result_key
from headrace.schemas.headers import CORRELATION, DISCARD, ID, PATH, REPLAY_OF, SOURCE, TRACEPARENT, TYPE
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.headrace_v1_pb2 import Reply
from headrace.schemas.ids import IssuerRef
from headrace.schemas.record import Record, check
from headrace.streams.steps import compensation
from headrace.streams.steps.batch import Written
from headrace.streams.steps.checks import checked_root
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.contexts import process_context
from headrace.streams.steps.deduplication import Deduplication
from headrace.streams.steps.errors import HandlerError
from headrace.streams.steps.event_writer import EventWriter
from headrace.streams.steps.handlers import Deciders, States, decode, react
from headrace.streams.steps.ordered_queue import OrderedQueue
from headrace.streams.steps.registry import runs
from headrace.streams.steps.sender import Sender, event_id
from headrace.streams.steps.state_cache import CachedState, StateCache
from headrace.streams.steps.state_reads import StateReads, Waiting
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Staged, Store
from headrace.streams.steps.timers import Timers, timer_name
from headrace.topology.aggregate import Flag
from headrace.topology.context import RootState, StateOf
from headrace.topology.inspection import type_name
from headrace.topology.inspection.process_manager import ProcessManagerSpec
from headrace.topology.inspection.spec import Reaction
from headrace.topology.partitioner import partition_of
from headrace.topology.process_manager import Cancel, Schedule
from headrace.topology.topology import Topology

REJECTION = type_name(WireRejection).encode()


class ProcessManagerStep(Step):
    """One process manager in one partition of its inbox; `Step` describes what happens to a batch."""

    def __init__(self, spec: ProcessManagerSpec, topology: Topology, store: Store, context: StepContext) -> None:
        super().__init__(f"process:{spec.name}", spec.name, store, context)
        self._spec, self._aggregates = spec, topology.aggregates
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
        event = record.offset >= 0 and record.headers.get(TYPE, b"").decode(errors="replace") in self._spec.reactions
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
            return True
        kept = False
        if record.headers[TYPE] == REJECTION:
            where, items, kept = self._compensate(record, root, live)
        elif (reaction := self._spec.reactions.get(record.headers[TYPE].decode())) is not None:
            if reaction.from_inbox and record.offset >= 0 and PATH not in record.headers:  # a time-out is its own
                self.batch.count("ignored")
                return True
            where = reaction.where
            try:
                items = self._items(record, root, live, reaction)
            except Waiting:  # the queries for the states are staged, and stay so
                return False
        else:
            kinds = ", ".join(self._spec.reactions)
            name_of = record.headers[TYPE].decode()
            where, items, kept = "", (), True
            self._fail_for_good(
                record, LookupError(f"{self._spec.class_name} reacts to no {name_of} any more; it reacts to: {kinds}")
            )
        self._stage(record, root, live, where, items)
        if kept:  # handled again if its dead letter is replayed; nothing waits for it
            self._deduplication.rejected(name, record, Reply())
        else:
            self._deduplication.accepted(name, record, live.sequence, 0)
        return True

    def _items(self, record: Record, root: bytes, live: CachedState, reaction: Reaction) -> tuple[object, ...]:
        """What a reaction yields: events, commands and time-outs."""
        event = decode(record, reaction.message)
        states: dict[StateOf, RootState] = {}
        if reaction.reads is not None:
            states = self._reads.take(root, event_id(record), reaction.reads(live.state, event))
        context = (process_context(record, root, self._context.edition, states),) if reaction.wants_context else ()
        before = self._states.content(live.state) if self._context.check_purity else b""
        items = react(reaction, (live.state, event, *context), self._context.pause)
        if self._context.check_purity and before != self._states.content(live.state):
            raise HandlerError(f"{reaction.where} changed the state it was given")
        return items

    def _stage(self, record: Record, root: bytes, live: CachedState, where: str, items: tuple[object, ...]) -> None:
        """Apply and stage what a reaction has yielded, in that order."""
        events = self._states.events(tuple(item for item in items if isinstance(item, Message)), where)
        cause = event_id(record)
        self._writer.write(record, root, live, events, cause.encode(), root)
        sent = _of_root(record, root)
        reject_to = IssuerRef(self._spec.name, root.decode())
        index = 0
        for item in items:
            if isinstance(item, Schedule):
                self._timers.start(root, item, record, cause)
            elif isinstance(item, Cancel):
                self._timers.cancel(root, item.name.encode())
            elif not isinstance(item, Message):
                self.outputs.append(self._sender.command(where, sent, item, index, reject_to))
                self.batch.count("sends")
                index += 1
        self.batch.count("accepted")

    # ---- rejected commands

    def _compensate(self, record: Record, root: bytes, live: CachedState) -> tuple[str, tuple[object, ...], bool]:
        """Call the process's own compensation; without one, notify the aggregate whose event caused the command.

        Returns the method's name for error texts, what it yielded, and whether the rejection is kept for a person.
        """
        rejection = decode(record, WireRejection)
        where = f"{self._spec.class_name}'s compensation of {rejection.command_type}"
        handler = self._spec.compensators.get(rejection.command_type)
        self.batch.count("compensations")
        if handler is None:
            self.outputs.append(compensation.passed_on(record, rejection, self._context, self._aggregates))
            return where, (), False
        answer = self._deciders.compensate(handler, live.state, rejection, -1)
        if not isinstance(answer, Flag):
            return where, answer, False
        outcome = compensation.flagged(self._spec.class_name, rejection, answer, -1)
        if outcome.dead:
            self._fail_for_good(record, outcome.dead)
        if outcome.escalated:
            self.batch.staged.escalations.append(compensation.escalation(rejection, root, record.headers))
        return where, outcome.events, outcome.dead is not None

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
    kept = {name: record.headers[name] for name in (TRACEPARENT, PATH) if name in record.headers}
    ids = {SOURCE: record.headers[SOURCE], ID: record.headers[ID], CORRELATION: root}
    return record._replace(headers={**kept, **ids})


@runs(ProcessManagerSpec)
def process_manager_step(spec: ProcessManagerSpec, topology: Topology, store: Store, context: StepContext) -> Step:
    """A process manager at work."""
    return ProcessManagerStep(spec, topology, store, context)
