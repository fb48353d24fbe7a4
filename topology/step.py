"""The pure step: one record of a commands topic becomes records to write and entries for the store.

It reads in the order of the data: record → decode → decide → apply → stage. Committing is the caller's: the
engine in streams/ does it with a Kafka transaction, the test driver in memory.
"""

import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import DecodeError, Message

from headrace.schemas import codecs
from headrace.schemas.headrace_v1_pb2 import Answers, Event, Query, Reply
from headrace.schemas.record import (
    CAUSATION,
    CONTENT_TYPE,
    CORRELATION,
    EXPECTED,
    ID,
    REPLY_TO,
    SEQUENCE,
    SOURCE,
    SPECVERSION,
    SUBJECT,
    TIME,
    TRACEPARENT,
    TYPE,
    Headers,
    Record,
    RecordError,
    check,
    rfc3339,
)
from headrace.topology import answers, history, merge
from headrace.topology.aggregate import Context, Merge, Rejected
from headrace.topology.checks import checked_root, whole_number
from headrace.topology.inspection import AggregateSpec, Handler, type_name
from headrace.topology.names import event_key, source
from headrace.topology.partitioner import partition_of
from headrace.topology.place import HandlerError, Place, SnapshotTooLarge, TooLarge, Written
from headrace.topology.roots import SNAPSHOT_EXTRA, Live, Roots
from headrace.topology.store import Staged, Store

# topic, value, key, partition, headers
Output = tuple[str, bytes | None, bytes | str | None, int, Headers | None]

PROTOBUF = codecs.PROTOBUF.encode()
QUERY = type_name(Query).encode()
OVERHEAD = 2048
"""Bytes kept free, under the broker's limit, for headers and framing of a record."""


class AggregateStep:
    """Commands of one aggregate in one partition of one edition.

    `handle` each record, send off `outputs` (and empty it) whenever convenient, then `finish` for the snapshots
    and what the store must take. After a commit call `committed`, after an abort `rolled_back`.
    """

    def __init__(self, spec: AggregateSpec, store: Store, place: Place) -> None:
        self.outputs: list[Output] = []
        self.careful = False  # look at the state's size after each command, not once a batch
        self._spec, self._store, self._place = spec, store, place
        topic = place.names.topic
        self._events_topic = topic(place.edition, spec.domain, "events")
        self._snapshots_topic = topic(place.edition, spec.domain, "snapshots")
        self._dead_topic = topic(place.edition, spec.domain, "dead-letters")
        self._source = source(place.edition, spec.domain)
        self._partition = place.partition
        self._room = place.max_bytes - OVERHEAD
        self._handlers = {name.encode(): (h, h.command.FromString) for name, h in spec.handlers.items()}
        self._appliers = {
            message: (apply, name, self._static_headers(name)) for name, (message, apply) in spec.appliers.items()
        }
        self._replier = answers.Replier(place.names.replies, place.reply_partitions, self._source, self._room)
        self._roots = Roots(spec, store, place.live_states)
        self._staged = Staged()
        self._clock = (-1, "")
        self._counts = dict.fromkeys(Written._fields, 0)

    # ---- the batch, from outside

    def handle(self, record: Record) -> None:
        """Stage whatever one record leads to. What is wrong with a record harms that record only."""
        try:
            headers = check(record.headers)
            live = self._roots.live.get(record.key)  # type: ignore[arg-type]
            key = record.key if live is not None else checked_root(record.key)
            assert key is not None
            if live is None:
                right = partition_of(key, self._place.partitions)
                if right != self._partition:
                    self._forward(record, right)
                    return
                live = self._roots.load(key)
            answer_to = self._replier.target(headers.get(REPLY_TO))
            if headers[TYPE] == QUERY:
                self._query(record, key, live, answer_to)
                return
            answer_key = key + b"\0" + headers[ID]
            known = self._staged.answers.get(answer_key) or self._store.answer(answer_key)
            if known is not None:
                self._repeat(record, key, live, known, answer_to)
                return
            handler, command, expected = self._decode(record)
            try:
                events = self._decide(record, key, live, handler, command, expected)
            except Rejected as rejected:
                self._reject(record, key, live, rejected, expected, answer_to)
                return
            payloads = self._apply(key, live, events)
            self._stage(record, key, live, events, payloads, answer_to)
        except Exception as error:
            self._fail(record, error)

    def refuse(self, record: Record, error: Exception) -> None:
        """Send a record to the dead letters unhandled."""
        self._fail(record, error)

    def finish(self, now: int) -> Staged:
        """Stage the snapshots and answers of the batch; what the store must take once they are committed.

        `now`, in milliseconds, dates the answers, so that they can be forgotten later.
        """
        staged, outputs, topic = self._staged, self.outputs, self._snapshots_topic
        for key, live in self._roots.touched.items():
            value = self._roots.snapshot(live)
            if len(value) > self._room:
                raise SnapshotTooLarge(key)
            staged.snapshots[key] = value
            outputs.append((topic, value, key, self._partition, None))
        for old in self._store.expired(now):
            staged.forgotten.append(old)
            outputs.append((topic, None, old, self._partition, None))
        if staged.answers:
            # last of the batch in this partition: its offset tells how far the store has come
            staged.answers_key = answers.batch_key(now, next(iter(staged.answers)))
            value = Answers(keys=staged.answers.keys(), values=staged.answers.values()).SerializeToString()
            outputs.append((topic, value, staged.answers_key, self._partition, None))
        return staged

    def committed(self) -> Written:
        """The batch stands; what it came to."""
        self._roots.committed()
        return self._clear()

    def rolled_back(self) -> None:
        """The batch does not stand: forget all that it did."""
        self._roots.rolled_back()
        self._clear()

    def _clear(self) -> Written:
        written = Written(**self._counts)
        self.outputs.clear()
        self._staged = Staged()
        self._counts = dict.fromkeys(Written._fields, 0)
        return written

    # ---- decode

    def _decode(self, record: Record) -> tuple[Handler, Any, int | None]:
        headers = record.headers
        command_id, correlation = headers[ID], headers.get(CORRELATION) or b""
        if b"\0" in command_id or b"\0" in correlation:
            raise RecordError("ce_id and ce_correlationid must not hold a NUL")
        command_id.decode(), correlation.decode()  # text, or it is no CloudEvent
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
        self, record: Record, key: bytes, live: Live, handler: Handler, command: Any, expected: int | None
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
        both = merge.overlap(merge.changed(then, live.state), merge.changed(live.state, after))
        if both:
            fields = ", ".join(sorted(".".join(map(str, path)) for path in both))
            raise answers.conflict(key, expected, live.sequence, f", and {fields} changed since")
        return events

    def _call(self, record: Record, key: bytes, live: Live, handler: Handler, command: Any) -> tuple[Any, ...]:
        if self._place.check_purity:
            before = live.state.SerializeToString(deterministic=True)
        try:
            if handler.wants_context:
                result = handler.call(live.state, command, self._context(record, key, live))
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
        for event in events:
            if event.__class__ not in self._appliers:
                raise HandlerError(
                    f"{self._spec.name}.{handler.method} returned {type(event).__name__}, "
                    f"which {self._spec.name} does not apply; return a declared event, a list of them or None"
                )
        return events

    def _context(self, record: Record, key: bytes, live: Live) -> Context:
        command_id = record.headers[ID]
        return Context(
            root=key.decode(),
            command_id=command_id.decode(),
            correlation_id=(record.headers.get(CORRELATION) or command_id).decode(),
            sequence=live.sequence,
            now=datetime.fromtimestamp(record.timestamp / 1000, UTC),
            edition=self._place.edition,
        )

    # ---- apply

    def _apply(self, key: bytes, live: Live, events: tuple[Any, ...]) -> list[bytes]:
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
            if self.careful and (size := live.state.ByteSize() + SNAPSHOT_EXTRA) > self._room:
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
        live: Live,
        events: tuple[Any, ...],
        payloads: list[bytes],
        answer_to: int | None,
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
        root, cause, trail = key.decode(), command_id.decode(), correlation.decode()
        sequence, written = live.sequence, []
        for event, data in zip(events, payloads, strict=True):
            _, name, static = self._appliers[event.__class__]
            sequence += 1
            ids: Headers = [(ID, f"{root}:{sequence}"), (SEQUENCE, str(sequence))]
            self.outputs.append(
                (self._events_topic, data, event_key(root, sequence), self._partition, [*static, *ids, *common])
            )
            value = b"\0".join((name.encode(), time.encode(), command_id, correlation, b"", b"", data))
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
                    )
                )
        self._staged.answers[key + b"\0" + command_id] = answers.accepted(live.sequence + 1, len(events))
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

    def _forward(self, record: Record, right: int) -> None:
        """A foreign producer's partitioner put it here; its own partition's writer is to handle it."""
        self._counts["forwarded"] += 1
        self.outputs.append((record.topic, record.value, record.key, right, list(record.headers.items())))

    def _query(self, record: Record, key: bytes, live: Live, answer_to: int | None) -> None:
        if answer_to is None:
            raise RecordError("a query needs ce_replyto")
        query = codecs.decode(record.value, Query, None)
        first = max(0, query.from_sequence)
        events = self._roots.events(key, live, first, query.limit) if query.limit > 0 else []
        result = answers.query_result(query, key.decode(), live, events, self._room)
        self._counts["queries"] += 1
        self.outputs.append(self._replier.result(result, answer_to, record.headers[ID]))

    def _repeat(self, record: Record, key: bytes, live: Live, known: bytes, answer_to: int | None) -> None:
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
        live: Live,
        rejected: Rejected,
        expected: int | None,
        answer_to: int | None,
    ) -> None:
        reply = answers.refusal(record, key, live.sequence, rejected)
        self._staged.answers[key + b"\0" + record.headers[ID]] = answers.rejected(reply)
        self._counts["rejected"] += 1
        if answer_to is None:  # nobody listens, and nothing may disappear
            self._dead_letter(record, rejected)
        else:
            if rejected.code == answers.CONFLICT and expected is not None and expected < live.sequence:
                since = self._roots.events(key, live, expected + 1)
                reply.events.extend(history.to_events(since, expected + 1))
            self.outputs.append(self._replier.reply(reply, answer_to, record.headers[ID]))

    def _fail(self, record: Record, error: Exception) -> None:
        self._counts["failed"] += 1
        self._dead_letter(record, error)
        try:
            answer_to = self._replier.target(record.headers.get(REPLY_TO))
        except RecordError:
            return  # no place to answer to; the dead letter says so
        if answer_to is not None:
            reply = answers.failure(record, error, self._dead_topic)
            self.outputs.append(self._replier.reply(reply, answer_to, record.headers.get(ID) or b""))

    def _dead_letter(self, record: Record, error: Exception) -> None:
        expected = isinstance(error, (Rejected, ValueError, LookupError, TooLarge))
        detail = "" if expected else "".join(traceback.format_exception(error))
        letter = answers.dead_letter(record, error, f"aggregate:{self._spec.domain}", detail)
        headers = self._static_headers("headrace.v1.DeadLetter")
        headers.append((ID, f"{record.topic}/{record.partition}/{record.offset}"))
        headers.append((TIME, rfc3339(record.timestamp)))
        headers.extend((name, record.headers[name]) for name in (CORRELATION, TRACEPARENT) if name in record.headers)
        self.outputs.append((self._dead_topic, letter, record.key, self._partition, headers))

    def _static_headers(self, name: str) -> Headers:
        return [(SPECVERSION, "1.0"), (SOURCE, self._source), (TYPE, name), (CONTENT_TYPE, codecs.PROTOBUF)]
