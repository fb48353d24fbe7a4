"""The step of an aggregate: commands, facts and rejections of its sagas' commands become events.

The code follows the data: record → decode → decide → apply → stage.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from google.protobuf.message import Message

from headrace.schemas.changelog import fact_key, inbox_result_key, result_key
from headrace.schemas.headers import (
    CASCADE,
    CORRELATION,
    DISCARD,
    EXPECTED,
    FACT,
    ID,
    NOW,
    ON_ERROR,
    REJECT_TO,
    REPLAY_OF,
    REPLY_TO,
    REPORT_TO,
    SYNC_MODE,
    TYPE,
)
from headrace.schemas.headrace_v1_pb2 import Follows, Query, Reply
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.ids import ReplyTarget
from headrace.schemas.record import Record, RecordError
from headrace.schemas.stored_event import to_events
from headrace.schemas.structured import understood
from headrace.streams.steps import compensation, replies
from headrace.streams.steps.batch import Written
from headrace.streams.steps.checks import LONGEST, check_ids, checked_root, decided_at, whole_number
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.deduplication import Deduplication, repeated_reply
from headrace.streams.steps.errors import HandlerError, InvalidArgument
from headrace.streams.steps.event_reader import decode
from headrace.streams.steps.event_writer import EventWriter
from headrace.streams.steps.handlers import Deciders, NewEvent, States
from headrace.streams.steps.queries import Queries
from headrace.streams.steps.registry import runs
from headrace.streams.steps.state_cache import CachedState, StateCache
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Staged, Store
from headrace.streams.steps.sync_modes import (
    COMPENSATE,
    DEAD_LETTER,
    ERROR_MODES,
    ISOLATED,
    SYNC_MODES,
    of_events,
    tracked,
)
from headrace.streams.steps.trust import Trust
from headrace.topology.aggregate import Flag, Rejected
from headrace.topology.inspection import type_name
from headrace.topology.inspection.aggregate import AggregateSpec
from headrace.topology.inspection.spec import AnyHandler
from headrace.topology.merge import Merge
from headrace.topology.partitioner import partition_of
from headrace.topology.topology import Topology

QUERY, REJECTION = type_name(Query).encode(), type_name(WireRejection).encode()


class AggregateStep(Step):
    """One aggregate in one partition of one edition; `Step` describes what happens to a batch."""

    def __init__(self, spec: AggregateSpec, store: Store, context: StepContext) -> None:
        super().__init__(f"aggregate:{spec.name}", spec.name, store, context)
        self._spec, self._partition = spec, context.partition
        self._trust = Trust(context.names, context.edition, spec.name)
        self._states = States(spec)
        self._cache = StateCache(self._states, store, context.live_states)
        self._deciders = Deciders(spec, self._states, context.edition, check_purity=context.check_purity)
        self._writer = EventWriter(spec.name, self._states, self._cache, self.batch, context, self._envelope)
        self._deduplication = Deduplication(self.batch)
        self._replier = replies.Replier(context, self._envelope)
        self._queries = Queries(self._states, self._cache, self.batch, self._replier, context)

    # ---- the batch, from outside

    def handle(self, record: Record) -> None:
        # settled whatever the replay leads to: if it fails again, that is a new dead letter
        if REPLAY_OF in record.headers and record.topic == self._trust.inbox:
            discarded = DISCARD in record.headers
            self._dead_letters.settle(record, "discarded" if discarded else "replayed")
            if discarded:
                return
        self._all_or_nothing(record, self.attempt)

    def attempt(self, record: Record) -> None:
        record = understood(record)
        if NOW in record.headers:
            record = decided_at(record, self._context.edition)
        key = record.key
        if key is None or key not in self._cache.live:
            key = checked_root(key)
            right = partition_of(key, self._context.partitions)
            if right != self._partition:
                self._forward(record, right)
                return
        origin = self._trust.origin(record)
        in_inbox = origin == self._trust.inbox
        live = self._cache.use(key, self.batch)
        if origin == self._trust.facts:
            self._fact(record, key, live)
        elif record.headers[TYPE] == QUERY:
            self._queries.answer(record, key, live, inboxes=in_inbox)
        elif in_inbox and record.headers[TYPE] == REJECTION:
            self._rejection(record, key, live)
        else:
            self._command(record, key, live, in_inbox)

    def finish(self, now: int) -> Staged:
        self._writer.finish()
        return super().finish(now)

    def committed(self) -> Written:
        self._cache.committed()
        return super().committed()

    def rolled_back(self) -> None:
        self._cache.rolled_back()
        super().rolled_back()

    # ---- one record

    def _command(self, record: Record, key: bytes, live: CachedState, in_inbox: bool) -> None:
        headers = record.headers
        answer_to = self._replier.target(headers.get(REPLY_TO))
        command_id = headers[ID]
        check_ids(headers)
        if SYNC_MODE in headers:
            self._check_mode(headers)
            record = tracked(record)
        name = inbox_result_key(key, command_id) if in_inbox else result_key(key, command_id)
        if (known := self._deduplication.known(name, record)) is not None:
            self._repeat(record, key, live, known, answer_to)
            return
        expected = None if (header := headers.get(EXPECTED)) is None else whole_number(header)
        handler, command = self._deciders.command(record)
        try:
            events = self._decide(record, key, live, handler, command, expected)
        except Rejected as rejected:
            reply = replies.rejected_reply(record, key, live.sequence, rejected)
            self._deduplication.rejected(name, record, reply)
            self._reject(record, key, live, rejected, reply, expected, answer_to)
            return
        self._deduplication.accepted(name, record, live.sequence + 1, len(events))
        self._accept(record, key, live, events, answer_to)

    def _fact(self, record: Record, key: bytes, live: CachedState) -> None:
        """Record what has happened outside: it cannot be rejected, and it is recorded once per external id, forever."""
        headers = record.headers
        answer_to = self._replier.target(headers.get(REPLY_TO))
        external = headers.get(FACT)
        if not external:
            raise RecordError(f"header {FACT} is missing; a fact needs the id that its source knows it by")
        handler = self._spec.facts.get(headers[TYPE].decode())
        if handler is None:
            known = ", ".join(self._spec.facts) or "none"
            raise InvalidArgument(f"{self._spec.class_name} records no {headers[TYPE].decode()}; it records: {known}")
        check_ids(headers, external)
        if SYNC_MODE in headers:
            self._check_mode(headers)
            record = tracked(record)
        known_fact = self.batch.entry(fact_key(key, external))
        if known_fact is not None:
            self._repeat(record, key, live, known_fact, answer_to)
            return
        fact = decode(record, handler.message)
        try:
            events = self._deciders.decide(handler, live.state, fact, record, key, live.sequence)
        except Rejected as rejected:
            raise HandlerError(f"{handler.where} rejects a fact: {rejected}") from rejected
        self._deduplication.recorded(fact_key(key, external), live.sequence + 1, len(events))
        self._accept(record, key, live, events, answer_to, external)

    def _rejection(self, record: Record, key: bytes, live: CachedState) -> None:
        """Compensate for a rejected command that was sent because of an event of this root."""
        check_ids(record.headers)
        name = inbox_result_key(key, record.headers[ID])
        if self._deduplication.known(name, record) is not None:
            self.batch.count("repeated")
            self._reports.add(record)
            return
        rejection = decode(record, WireRejection)
        outcome = self._compensate(rejection, key, live)
        self.batch.count("compensations")
        events = self._states.events(outcome.events, f"the compensation of {rejection.command_type}")
        if outcome.dead:  # handled again if its dead letter is replayed
            self._deduplication.rejected(name, record, Reply())
        else:
            self._deduplication.accepted(name, record, live.sequence + 1, len(events))
        if events:
            self._accept(record, key, live, events, None)
        elif outcome.dead:
            self._fail_for_good(record, outcome.dead)
        else:
            self._reports.add(record)
        if outcome.escalated:
            self.batch.staged.escalations.append(compensation.escalation(rejection, key, record.headers))

    def _check_mode(self, headers: Mapping[str, bytes]) -> None:
        """Raise InvalidArgument for a way to wait that does not exist, or that the aggregate does not permit."""
        for name, modes in ((SYNC_MODE, SYNC_MODES), (ON_ERROR, ERROR_MODES)):
            if (mode := headers.get(name)) is not None and mode not in modes:
                known = ", ".join(one.decode() for one in modes)
                raise InvalidArgument(f"{name} is {mode[:40]!r}; it is one of: {known}")
        if headers[SYNC_MODE] == ISOLATED and not self._spec.isolated:
            raise InvalidArgument(
                f"{self._spec.class_name} permits no isolated commands, whose events sagas and process managers pass "
                "over; it would with isolated = True in its class"
            )
        if headers.get(ON_ERROR) == COMPENSATE and not self._spec.compensated:
            raise InvalidArgument(f"{ON_ERROR} is compensate; that needs CascadeCompensation in the topology")

    # ---- decide

    def _decide(
        self,
        record: Record,
        key: bytes,
        live: CachedState,
        handler: AnyHandler,
        command: Message,
        expected: int | None,
    ) -> tuple[NewEvent, ...]:
        if expected is None or expected == live.sequence or handler.merge is Merge.AGGREGATE_HANDLES:
            return self._deciders.decide(handler, live.state, command, record, key, live.sequence)
        if handler.merge is Merge.MANUAL:
            raise RecordError(f"expected sequence {expected}, but {key.decode()} is at {live.sequence}")
        if handler.merge is Merge.STRICT or expected > live.sequence:
            raise replies.conflict(key, expected, live.sequence)
        events = self._deciders.decide(handler, live.state, command, record, key, live.sequence)
        then, after = self._cache.state_at(key, live, expected), self._states.copy(live.state)
        for event in events:
            self._states.apply(after, event)
        if fields := self._states.clash(then, live.state, after):
            raise replies.conflict(key, expected, live.sequence, f", and {fields} changed since")
        return events

    def _compensate(self, rejection: WireRejection, key: bytes, live: CachedState) -> compensation.Outcome:
        """What the aggregate's `@compensates` handler decides; without one, what the command's cascade mode says."""
        handler = self._spec.compensators.get(rejection.command_type)
        if handler is None:
            return compensation.uncompensated(self._spec.class_name, rejection)
        sequence = compensation.sequence_of(rejection.cause, self._envelope.source, key)
        answer = self._deciders.compensate(handler, live.state, rejection, sequence)
        if isinstance(answer, Flag):
            return compensation.flagged(handler.where, rejection, answer, sequence)
        return compensation.Outcome(answer)

    # ---- stage

    def _accept(
        self,
        record: Record,
        key: bytes,
        live: CachedState,
        events: tuple[NewEvent, ...],
        answer_to: ReplyTarget | None,
        fact: bytes = b"",
    ) -> None:
        command_id = record.headers[ID]
        correlation = record.headers.get(CORRELATION) or command_id
        self.batch.count("accepted")
        if REPORT_TO in record.headers:
            follows = self._follows(record, key, live.sequence + 1, [name for name, _, _ in events])
            self._reports.add(record, follows=follows)
        if answer_to is None:
            self._writer.write(record, key, live, events, command_id, correlation, fact, None, of_events(record))
            return
        reply = Reply(
            command_id=command_id.decode(),
            status=Reply.ACCEPTED,
            root=key.decode(),
            sequence=live.sequence + len(events),
            correlation_id=correlation.decode(),
        )
        self._writer.write(record, key, live, events, command_id, correlation, fact, reply, of_events(record))
        self.outputs.append(self._replier.reply(reply, answer_to, command_id))

    def _follows(self, record: Record, key: bytes, first: int, types: Sequence[str]) -> list[Follows]:
        """The events that a record has led to, for its report."""
        return self._reports.events(key.decode(), first, types) if REPORT_TO in record.headers else []

    # ---- the other outcomes of a record

    def _repeat(
        self, record: Record, key: bytes, live: CachedState, known: bytes, answer_to: ReplyTarget | None
    ) -> None:
        """Give a record that was answered before its first answer again, and do nothing else."""
        self.batch.count("repeated")
        if answer_to is None and REPORT_TO not in record.headers:
            return
        reply, (first, count) = repeated_reply(known, record, key)
        if count:
            reply.events.extend(to_events(self._cache.events(key, live, first, count), first))
        if answer_to is not None:
            self.outputs.append(self._replier.reply(reply, answer_to, record.headers[ID]))
        follows = self._follows(record, key, first, [event.type for event in reply.events])
        self._reports.add(record, status=reply.status, reason=reply.reason, code=reply.code, follows=follows)

    def _reject(
        self,
        record: Record,
        key: bytes,
        live: CachedState,
        rejected: Rejected,
        reply: Reply,
        expected: int | None,
        answer_to: ReplyTarget | None,
    ) -> None:
        headers = record.headers
        self.batch.count("rejected")
        reported = REJECT_TO in headers
        kept = reported and DEAD_LETTER in (headers.get(CASCADE), headers.get(ON_ERROR))
        follows = []
        if reported:
            source = self._envelope.source
            self.outputs.append(compensation.notice(record, reply, self._component, self._context, source))
            follows = compensation.notified(record, reply, source)
        self._reports.add(record, status=Reply.REJECTED, reason=reply.reason, code=reply.code, follows=follows)
        if (answer_to is None and not reported) or kept:
            self._dead_letters.add(record, rejected)  # nobody is told, and nothing may disappear
        if answer_to is not None:
            if rejected.code == replies.CONFLICT and expected is not None and expected < live.sequence:
                since = self._cache.events(key, live, expected + 1)
                reply.events.extend(to_events(since, expected + 1))
            self.outputs.append(self._replier.reply(reply, answer_to, headers[ID]))

    def _fail(self, record: Record, error: BaseException) -> None:
        self._fail_for_good(record, error)
        with suppress(ValueError):  # it may be for that that it fails
            record = understood(record)
        try:
            answer_to = self._replier.target(record.headers.get(REPLY_TO), inboxes=self._trust.in_inbox(record))
        except RecordError:
            return  # no place to answer to; the dead letter says so
        if answer_to is not None:
            reply = replies.failed_reply(record, error, self._dead_letters.topic)
            self.outputs.append(self._replier.reply(reply, answer_to, (record.headers.get(ID) or b"")[:LONGEST]))


@runs(AggregateSpec)
def aggregate_step(spec: AggregateSpec, topology: Topology, store: Store, context: StepContext) -> Step:
    """Makes the step of an aggregate."""
    return AggregateStep(spec, store, context)
