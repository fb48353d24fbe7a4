"""An aggregate at work: commands, facts and rejections of its sagas' commands become events.

It reads in the order of the data: record → decode → decide → apply → stage.
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError, Message

from headrace.schemas import codecs
from headrace.schemas import stored_event as history
from headrace.schemas.headers import (
    CASCADE,
    CAUSATION,
    CONTENT_TYPE,
    CORRELATION,
    DISCARD,
    EXPECTED,
    FACT,
    ID,
    PATH,
    REJECT_TO,
    REPLAY_OF,
    REPLY_TO,
    SEQUENCE,
    SUBJECT,
    TIME,
    TRACEPARENT,
    TYPE,
    Headers,
)
from headrace.schemas.headrace_v1_pb2 import Event, Query, Reply
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.record import Record, RecordError, check, rfc3339
from headrace.streams.steps import compensation, merge
from headrace.streams.steps import replies as answers
from headrace.streams.steps.checks import check_ids, checked_root, whole_number
from headrace.streams.steps.context import FACT_PREFIX, HandlerError, InvalidArgument, StepContext, TooLarge, Written
from headrace.streams.steps.contexts import context
from headrace.streams.steps.state_cache import ENGINES_OWN, SNAPSHOT_EXTRA, CachedState, StateCache
from headrace.streams.steps.step import PROTOBUF, Step
from headrace.streams.steps.store import Staged, Store
from headrace.topology.aggregate import Merge, Rejected
from headrace.topology.inspection import AggregateSpec, Handler, type_name
from headrace.topology.names import event_key
from headrace.topology.partitioner import partition_of

QUERY = type_name(Query).encode()


class AggregateStep(Step):
    """One aggregate in one partition of one edition; see `Step` for how a batch goes."""

    def __init__(self, spec: AggregateSpec, store: Store, place: StepContext) -> None:
        super().__init__(f"aggregate:{spec.domain}", spec.domain, store, place)
        self._spec = spec
        self._events_topic = place.names.topic(place.edition, spec.domain, "events")
        self._facts_topic = place.names.topic(place.edition, spec.domain, "facts")
        self._rejections_topic = place.names.topic(place.edition, spec.domain, "rejections")
        self._handlers = {name.encode(): (h, h.command.FromString) for name, h in spec.handlers.items()}
        self._appliers = {
            message: (apply, name, self._static_headers(name))
            for name, (message, apply) in {**ENGINES_OWN, **spec.appliers}.items()
        }
        self._replier = answers.Replier(place, self._source, self._room)
        self._roots = StateCache(spec, store, place.live_states)
        self._clock = (-1, "")

    # ---- the batch, from outside

    def handle(self, record: Record) -> None:
        try:
            if REPLAY_OF in record.headers:  # whatever comes of it: that is a letter of its own
                self._settled(record, "discarded" if DISCARD in record.headers else "replayed")
                if DISCARD in record.headers:
                    return
            check(record.headers)
            live = self._roots.live.get(record.key)  # type: ignore[arg-type]
            key = record.key if live is not None else checked_root(record.key)
            assert key is not None
            if live is None:
                right = partition_of(key, self._place.partitions)
                if right != self._partition:
                    self._forward(record, right)
                    return
                live = self._roots.load(key)
            if record.topic == self._facts_topic:
                self._fact(record, key, live)
            elif record.topic == self._rejections_topic:
                self._rejection(record, key, live)
            else:
                self._command(record, key, live)
        except Exception as error:
            self._fail(record, error)

    def finish(self, now: int) -> Staged:
        for key, value in self._roots.snapshots(self._room):
            self._staged.snapshots[key] = value
            self.outputs.append((self._snapshots_topic, value, key, self._partition, None))
        return super().finish(now)

    def committed(self) -> Written:
        self._roots.committed()
        return self._clear()

    def rolled_back(self) -> None:
        self._roots.rolled_back()
        self._clear()

    # ---- one record

    def _command(self, record: Record, key: bytes, live: CachedState) -> None:
        headers = record.headers
        answer_to = self._replier.target(headers.get(REPLY_TO))
        if headers[TYPE] == QUERY:
            self._query(record, key, live, answer_to)
            return
        answer_key = key + b"\0" + headers[ID]
        known = self._staged.answers.get(answer_key) or self._store.answer(answer_key)
        if known is not None and answers.is_final(known, headers):
            self._repeat(record, key, live, known, answer_to)
            return
        handler, command, expected = self._decode(record)
        try:
            events = self._decide(record, key, live, handler, command, expected)
        except Rejected as rejected:
            self._reject(record, key, live, rejected, expected, answer_to)
            return
        payloads = self._apply(key, live, events)
        self._staged.answers[answer_key] = answers.accepted(live.sequence + 1, len(events))
        self._stage(record, key, live, events, payloads, answer_to)

    def _fact(self, record: Record, key: bytes, live: CachedState) -> None:
        """What has happened outside: it is not refused, and recorded once for each external id, for ever."""
        headers = record.headers
        answer_to = self._replier.target(headers.get(REPLY_TO))
        external = headers.get(FACT)
        if not external:
            raise RecordError(f"header {FACT} is missing; a fact needs the id that its source knows it by")
        handler = self._spec.facts.get(headers[TYPE].decode())
        if handler is None:
            known = ", ".join(self._spec.facts) or "none"
            raise InvalidArgument(f"{self._spec.name} records no {headers[TYPE].decode()}; it records: {known}")
        fact_key = FACT_PREFIX + key + b"\0" + external
        known_fact = self._staged.entries.get(fact_key) or self._store.entry(fact_key)
        if known_fact is not None:
            self._repeat(record, key, live, known_fact, answer_to)
            return
        check_ids(headers[ID], headers.get(CORRELATION) or b"", external)
        message = codecs.decode(record.value, handler.command, (headers.get(CONTENT_TYPE) or PROTOBUF).decode())
        try:
            events = self._call(record, key, live, handler, message)
        except Rejected as rejected:
            raise HandlerError(f"{self._spec.name}.{handler.method} rejects a fact: {rejected}") from rejected
        payloads = self._apply(key, live, events)
        self._staged.entries[fact_key] = answers.accepted(live.sequence + 1, len(events))
        self._stage(record, key, live, events, payloads, answer_to, external)

    def _rejection(self, record: Record, key: bytes, live: CachedState) -> None:
        """A saga's command was refused because of an event of this root: compensate."""
        headers = record.headers
        answer_key = key + b"\0" + headers[ID]
        if answers.is_final(self._staged.answers.get(answer_key) or self._store.answer(answer_key), headers):
            self._counts["repeated"] += 1
            return
        check_ids(headers[ID], headers.get(CORRELATION) or b"")
        rejection = codecs.decode(record.value, WireRejection, (headers.get(CONTENT_TYPE) or PROTOBUF).decode())
        outcome = compensation.decide(self._spec, rejection, live.state, self._source, key)
        self._counts["compensations"] += 1
        self._check_events(outcome.events, f"the compensation of {rejection.command_type}")
        payloads = self._apply(key, live, outcome.events)
        answer = answers.accepted(live.sequence + 1, len(outcome.events))
        # one that is kept for a person is decided anew when it is sent again
        self._staged.answers[answer_key] = answers.rejected(Reply()) if outcome.dead else answer
        if outcome.events:
            self._stage(record, key, live, outcome.events, payloads, None)
        if outcome.dead:
            self._counts["failed"] += 1
            self._dead_letter(record, outcome.dead)
        if outcome.escalated:
            self._staged.escalations.append(compensation.alarm(rejection, key, headers))

    # ---- decode

    def _decode(self, record: Record) -> tuple[Handler, Any, int | None]:
        headers = record.headers
        check_ids(headers[ID], headers.get(CORRELATION) or b"")
        entry = self._handlers.get(headers[TYPE])
        if entry is None:
            known = ", ".join(self._spec.handlers)
            raise LookupError(f"{self._spec.name} handles no {headers[TYPE].decode()}; it handles: {known}")
        handler, parse = entry
        content_type = headers.get(CONTENT_TYPE)
        expected = headers.get(EXPECTED)
        at = None if expected is None else whole_number(expected)
        if content_type is None or content_type == PROTOBUF:
            try:
                return handler, parse(record.value or b""), at
            except DecodeError:
                pass  # the codec says what is wrong
        return handler, codecs.decode(record.value, handler.command, (content_type or PROTOBUF).decode()), at

    # ---- decide

    def _decide(
        self, record: Record, key: bytes, live: CachedState, handler: Handler, command: Any, expected: int | None
    ) -> tuple[Any, ...]:
        if expected is None or expected == live.sequence or handler.merge is Merge.AGGREGATE_HANDLES:
            return self._call(record, key, live, handler, command)
        if handler.merge is Merge.MANUAL:
            raise RecordError(f"expected sequence {expected}, but {key.decode()} is at {live.sequence}")
        if handler.merge is Merge.STRICT or expected > live.sequence:
            raise answers.conflict(key, expected, live.sequence)
        events = self._call(record, key, live, handler, command)
        then = self._roots.state_at(key, live, expected)
        after = live.state.__class__()
        after.CopyFrom(live.state)
        for event in events:
            self._appliers[event.__class__][0](after, event)
        if fields := merge.clash(then, live.state, after):
            raise answers.conflict(key, expected, live.sequence, f", and {fields} changed since")
        return events

    def _call(self, record: Record, key: bytes, live: CachedState, handler: Handler, command: Any) -> tuple[Any, ...]:
        if self._place.check_purity:
            before = live.state.SerializeToString(deterministic=True)
        try:
            if handler.wants_context:
                result = handler.call(live.state, command, context(record, key, live.sequence, self._place.edition))
            else:
                result = handler.call(live.state, command)
            if isinstance(result, Message):
                events: tuple[Any, ...] = (result,)
            else:
                events = () if result is None else tuple(result) if isinstance(result, Iterable) else (result,)
        except Exception as error:
            if not (isinstance(error, Rejected) or self._place.check_purity):  # may have changed the state, unseen
                self._roots.reload(key, live)
            raise
        finally:
            if self._place.check_purity and before != live.state.SerializeToString(deterministic=True):
                self._roots.reload(key, live)
                raise HandlerError(f"{self._spec.name}.{handler.method} changed the state it was given")
        self._check_events(events, f"{self._spec.name}.{handler.method}")
        return events

    def _check_events(self, events: tuple[Any, ...], by: str) -> None:
        for event in events:
            if event.__class__ not in self._appliers:
                raise HandlerError(
                    f"{by} returned {type(event).__name__}, which {self._spec.name} does not apply; "
                    "return a declared event, a list of them or None"
                )

    # ---- apply

    def _apply(self, key: bytes, live: CachedState, events: tuple[Any, ...]) -> list[bytes]:
        """Change the live state; the events' bytes. On any failure the state is as it was."""
        payloads: list[bytes] = []
        for event in events:
            data = event.SerializeToString()
            if len(data) > self._room:
                raise TooLarge(f"an event of {len(data)} bytes is above the limit of {self._place.max_bytes}")
            payloads.append(data)
        try:
            for event in events:
                self._appliers[event.__class__][0](live.state, event)
            if self.enforce_state_size and (size := live.state.ByteSize() + SNAPSHOT_EXTRA) > self._room:
                raise TooLarge(f"a state of {size} bytes is above the limit of {self._place.max_bytes}")
        except Exception:
            self._roots.reload(key, live)
            raise
        return payloads

    # ---- stage

    def _stage(
        self,
        record: Record,
        key: bytes,
        live: CachedState,
        events: tuple[Any, ...],
        payloads: list[bytes],
        answer_to: answers.Target | None,
        fact: bytes = b"",
    ) -> None:
        timestamp = record.timestamp
        if timestamp != self._clock[0]:
            self._clock = (timestamp, rfc3339(timestamp))
        time = self._clock[1]
        headers = record.headers
        command_id = headers[ID]
        correlation = headers.get(CORRELATION) or command_id
        common: Headers = [(SUBJECT, key), (TIME, time), (CORRELATION, correlation), (CAUSATION, command_id)]
        if (trace := headers.get(TRACEPARENT)) is not None:
            common.append((TRACEPARENT, trace))
        if (path := headers.get(PATH)) is not None:
            common.append((PATH, path))
        if fact:
            common.append((FACT, fact))
        root, cause, trail = key.decode(), command_id.decode(), correlation.decode()
        sequence, written = live.sequence, []
        for event, data in zip(events, payloads, strict=True):
            _, name, static = self._appliers[event.__class__]
            sequence += 1
            ids: Headers = [(ID, f"{root}:{sequence}"), (SEQUENCE, str(sequence))]
            self.outputs.append(
                (self._events_topic, data, event_key(root, sequence), self._partition, [*static, *ids, *common])
            )
            value = b"\0".join((name.encode(), time.encode(), command_id, correlation, fact, b"", data))
            live.pending.append(value)
            self._staged.history.append((key, sequence, value))
            if answer_to is not None:
                written.append(
                    Event(
                        type=name,
                        sequence=sequence,
                        data=data,
                        time=time,
                        correlation_id=trail,
                        causation_id=cause,
                        fact_id=fact.decode(),
                    )
                )
        if events:
            live.sequence = sequence
            self._roots.touched[key] = live
            self._counts["events"] += len(events)
        self._counts["accepted"] += 1
        if answer_to is not None:
            reply = Reply(
                command_id=cause,
                status=Reply.ACCEPTED,
                root=root,
                sequence=sequence,
                correlation_id=trail,
                events=written,
            )
            self.outputs.append(self._replier.reply(reply, answer_to, command_id))

    # ---- the other outcomes of a record

    def _query(self, record: Record, key: bytes, live: CachedState, answer_to: answers.Target | None) -> None:
        if answer_to is None:
            raise RecordError("a query needs ce_replyto")
        query = codecs.decode(record.value, Query, None)
        first = max(0, query.from_sequence)
        events = self._roots.events(key, live, first, query.limit) if query.limit > 0 else []
        self._counts["queries"] += 1
        result = answers.query_result(query, key.decode(), live, events, self._room)
        self.outputs.append(self._replier.result(result, answer_to, record.headers))

    def _repeat(
        self, record: Record, key: bytes, live: CachedState, known: bytes, answer_to: answers.Target | None
    ) -> None:
        """A command that was answered before: the first answer again, and nothing else."""
        self._counts["repeated"] += 1
        if answer_to is not None:
            reply, first, count = answers.read(known)
            if count:
                reply.events.extend(history.to_events(self._roots.events(key, live, first, count), first))
            answers.complete(reply, record, key, first + count - 1)
            self.outputs.append(self._replier.reply(reply, answer_to, record.headers[ID]))

    def _reject(
        self,
        record: Record,
        key: bytes,
        live: CachedState,
        rejected: Rejected,
        expected: int | None,
        answer_to: answers.Target | None,
    ) -> None:
        reply = answers.refusal(record, key, live.sequence, rejected)
        self._staged.answers[key + b"\0" + record.headers[ID]] = answers.rejected(reply)
        self._counts["rejected"] += 1
        if (issuer := record.headers.get(REJECT_TO)) is not None:
            self.outputs.append(compensation.notice(record, reply, self._component, self._source, issuer, self._place))
        if (answer_to is None and issuer is None) or record.headers.get(CASCADE) == b"dead-letter":
            self._dead_letter(record, rejected)  # nobody listens, and nothing may disappear
        if answer_to is not None:
            if rejected.code == answers.CONFLICT and expected is not None and expected < live.sequence:
                since = self._roots.events(key, live, expected + 1)
                reply.events.extend(history.to_events(since, expected + 1))
            self.outputs.append(self._replier.reply(reply, answer_to, record.headers[ID]))

    def _fail(self, record: Record, error: Exception) -> None:
        super()._fail(record, error)
        try:
            answer_to = self._replier.target(record.headers.get(REPLY_TO))
        except RecordError:
            return  # no place to answer to; the dead letter says so
        if answer_to is not None:
            reply = answers.failure(record, error, self._dead_topic)
            self.outputs.append(self._replier.reply(reply, answer_to, record.headers.get(ID) or b""))
