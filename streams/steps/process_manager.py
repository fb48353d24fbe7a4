"""A process manager at work: events of many domains become its own events, commands and time-outs.

Its inbox holds events by correlation id; they are handled once each, in order, and behind a dead one they wait, as
behind one that waits for the states that it needs.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from google.protobuf.message import Message

from headrace.schemas import codecs
from headrace.schemas.headers import (
    CAUSATION,
    CONTENT_TYPE,
    CORRELATION,
    DISCARD,
    ID,
    PATH,
    REPLAY_OF,
    REPLY_TO,
    SOURCE,
    SPECVERSION,
    SUBJECT,
    TRACEPARENT,
    TYPE,
    Headers,
)
from headrace.schemas.headrace_v1_pb2 import Query, QueryResult, Reply, Timer
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.record import Record, check
from headrace.streams.steps import compensation
from headrace.streams.steps import replies as answers
from headrace.streams.steps.aggregate import AggregateStep
from headrace.streams.steps.checks import checked_root
from headrace.streams.steps.context import NEED_PREFIX, TIMER_NAME_PREFIX, TIMER_PREFIX, HandlerError, StepContext
from headrace.streams.steps.ordered_queue import Parking
from headrace.streams.steps.saga import context_fields, retry_transient
from headrace.streams.steps.sender import Sender, event_id
from headrace.streams.steps.state_cache import CachedState
from headrace.streams.steps.step import PROTOBUF, Step
from headrace.streams.steps.store import Store
from headrace.topology.aggregate import Flag
from headrace.topology.inspection import AggregateSpec, FeedSpec, MessageType, ProcessSpec, Reaction, type_name
from headrace.topology.partitioner import partition_of
from headrace.topology.process_manager import Cancel, ProcessContext, RootState, Schedule, StateOf
from headrace.topology.saga import Send

REJECTION = type_name(WireRejection).encode()
RESULT, REPLY = type_name(QueryResult).encode(), type_name(Reply).encode()
_LAST = 9_999_999_999_999
"""Milliseconds that 13 digits hold, in the year 2286: the last moment that a time-out can be due."""


class Wanting(Exception):
    """An event that waits for the states of other roots."""


class ProcessStep(AggregateStep):
    """One process manager in one partition of its inbox; see `Step` for how a batch goes."""

    def __init__(
        self, spec: ProcessSpec, aggregates: dict[str, AggregateSpec], store: Store, place: StepContext
    ) -> None:
        super().__init__(spec, store, place)
        self._component = f"process:{spec.domain}"
        self._process, self._aggregates = spec, aggregates
        self._inbox = place.names.topic(place.edition, spec.domain, "inbox")
        self._parking = Parking(store, self._component)
        command_routes = {domain: set(other.handlers) for domain, other in aggregates.items()}
        self._sender = Sender(spec.domain, place, command_routes, spec.on_rejection.value, self._static_headers)

    def handle(self, record: Record) -> None:
        try:
            if REPLAY_OF in record.headers and self._again(record, record.key or b""):
                return
            headers = check(record.headers)
            key = checked_root(record.key)
            right = partition_of(key, self._place.partitions)
            if right != self._partition:
                self._forward(record, right)
            elif headers[TYPE] in (RESULT, REPLY):
                self._staged.entries[_need_key(key, headers[ID])] = _result(record)
                self._go_on(key)
            elif self._parking.holds(key) or not self._react(record, key):
                self._park(record, key)
        except Exception as error:
            self._fail(record, error)

    def due(self, now: int) -> list[Record]:
        found: list[Record] = []
        for key, value in self._store.entries(TIMER_PREFIX):
            time = int(key[len(TIMER_PREFIX) :][:13])
            if time > now or len(found) == 1000:
                break
            timer = Timer.FromString(value)
            headers = {
                SPECVERSION: b"1.0",
                ID: f"timer/{timer.root}/{timer.name}/{time}".encode(),
                SOURCE: self._source.encode(),
                TYPE: timer.type.encode(),
                CORRELATION: timer.root.encode(),
                CAUSATION: timer.cause.encode(),
            }
            found.append(Record(self._inbox, self._partition, -1, time, timer.root.encode(), timer.data, headers))
        return found

    def fire(self, record: Record) -> None:
        """Bring a time-out that is due; it is gone, in the same transaction."""
        root = record.key or b""
        name = _timer_name(record)
        if self._timer(root, name) != _timer_key(record.timestamp, root, name):
            return  # another one of this moment has cancelled it, or started it again
        self._forget_timer(root, name)
        try:
            live = self._roots.live.get(root) or self._roots.load(root)
            over = self._process.finished(live.state)
        except Exception as error:
            self._fail(record, error)
            return
        if over:
            self._counts["ignored"] += 1
        else:
            self._counts["timeouts"] += 1
            self.handle(record)

    def refuse(self, record: Record, error: Exception) -> None:
        if record.offset < 0:
            self._forget_timer(record.key or b"", _timer_name(record))
        super().refuse(record, error)

    def rolled_back(self) -> None:
        self._parking.forget()
        super().rolled_back()

    # ---- one event

    def _react(self, record: Record, key: bytes) -> bool:
        """Handle one event; False when it is dead or waits, and those of its root behind it do."""
        length = len(self.outputs)
        try:
            live = self._roots.live.get(key) or self._roots.load(key)
            answer_key = key + b"\0" + event_id(record).encode()
            if answers.is_final(self._staged.answers.get(answer_key) or self._store.answer(answer_key), record.headers):
                self._counts["repeated"] += 1
                return True
            failed = self._counts["failed"]
            where, items = self._items(record, key, live)
            self._take(record, key, live, where, items)
            kept = self._counts["failed"] > failed  # a rejection, for a person: asked anew when it is sent again
            answer = answers.rejected(Reply()) if kept else answers.accepted(live.sequence, 0)
            self._staged.answers[answer_key] = answer
        except Wanting:
            return False
        except Exception as error:
            del self.outputs[length:]
            self._fail(record, error)
            return False
        return True

    def _items(self, record: Record, key: bytes, live: CachedState) -> tuple[str, Iterable[Any]]:
        content_type = (record.headers.get(CONTENT_TYPE) or PROTOBUF).decode()
        if record.headers[TYPE] == REJECTION:
            rejection = codecs.decode(record.value, WireRejection, content_type)
            return f"{self._spec.name}'s compensation of {rejection.command_type}", self._refused(
                record, rejection, live
            )
        reaction = self._process.reactions.get(record.headers[TYPE].decode())
        if reaction is None:
            return "", ()
        where = f"{self._spec.name}.{reaction.method}"
        event = codecs.decode(record.value, reaction.event, content_type)
        known = self._known(record, key, reaction, live, event)
        context = ProcessContext(**context_fields(record, key, self._place.edition), states=known)
        arguments = (live.state, event, context) if reaction.wants_context else (live.state, event)
        before = live.state.SerializeToString(deterministic=True) if self._place.check_purity else b""
        items = retry_transient(lambda: reaction.call(*arguments), self._place.pause)
        if self._place.check_purity and before != live.state.SerializeToString(deterministic=True):
            self._roots.reload(key, live)
            raise HandlerError(f"{where} changed the state it was given")
        return where, items

    def _take(self, record: Record, key: bytes, live: CachedState, where: str, items: Iterable[Any]) -> None:
        """Apply and stage what a reaction yielded: events of its own, commands, time-outs."""
        items = list(items)
        events = tuple(item for item in items if isinstance(item, Message))
        self._check_events(events, where)
        reject_to = f"inbox:{self._spec.domain}:{key.decode()}"
        commands = [item for item in items if not isinstance(item, (Message, Schedule, Cancel))]
        sends = [
            self._sender.command(
                where,
                _of_root(record, key),
                send,
                index,
                reject_to,
            )
            for index, send in enumerate(commands)
        ]
        timers = [(item, self._timer_key(record, key, item)) for item in items if isinstance(item, Schedule)]
        payloads = self._apply(key, live, events)
        # from here on nothing may fail: what is staged is not taken back
        caused = record._replace(headers={**record.headers, ID: event_id(record).encode(), CORRELATION: key})
        self._stage(caused, key, live, events, payloads, None)
        self.outputs.extend(sends)
        self._counts["sends"] += len(sends)
        due = iter(timers)
        for item in items:
            if isinstance(item, Schedule):
                self._start_timer(record, key, *next(due))
            elif isinstance(item, Cancel):
                self._forget_timer(key, item.name.encode())

    def _refused(self, record: Record, rejection: WireRejection, live: CachedState) -> Iterable[Any]:
        """Ask the process's own compensation; without one, the aggregate whose event began it is told."""
        handler = self._spec.compensators.get(rejection.command_type)
        self._counts["compensations"] += 1
        if handler is None:
            self.outputs.append(compensation.passed_on(record, rejection, self._place, self._aggregates))
            return ()
        command = codecs.decode(rejection.command, handler.command, rejection.content_type or None)
        answer = handler.call(live.state, command, compensation.refusal(rejection, -1))
        if isinstance(answer, Flag):
            return self._flagged(record, rejection, answer)
        return () if answer is None else (answer,) if isinstance(answer, (Message, Send)) else tuple(answer)

    def _flagged(self, record: Record, rejection: WireRejection, flag: Flag) -> Iterable[Any]:
        outcome = compensation.flagged(self._spec.name, rejection, flag, -1)
        if outcome.dead:
            self._counts["failed"] += 1
            self._dead_letter(record, outcome.dead)
        if outcome.escalated:
            self._staged.escalations.append(compensation.alarm(rejection, record.key or b"", record.headers))
        return outcome.events

    # ---- states of other roots

    def _known(
        self, record: Record, key: bytes, reaction: Reaction, live: CachedState, event: Any
    ) -> dict[StateOf, RootState]:
        """The states that a reaction needs; raises Wanting after asking for those that are not known yet."""
        if reaction.reads is None:
            return {}
        wanted = list(dict.fromkeys(reaction.reads(live.state, event)))
        query_ids = [f"{event_id(record)}?{self._spec.domain}/{index}" for index in range(len(wanted))]
        keys = [_need_key(key, query_id.encode()) for query_id in query_ids]
        found = [self._staged.entries.get(k) or self._store.entry(k) for k in keys]
        if not any(found) and wanted:
            self._ask(key, wanted, query_ids, event_id(record))
        if not all(found):
            raise Wanting
        for need_key in keys:
            self._staged.entries[need_key] = None
        results = (QueryResult.FromString(value or b"") for value in found)
        return {need: self._read(need, result) for need, result in zip(wanted, results, strict=True)}

    def _read(self, need: StateOf, result: QueryResult) -> RootState:
        if result.reason:
            raise HandlerError(f"the state of {need.domain} {need.root!r} could not be read: {result.reason}")
        state: MessageType = self._aggregates[need.domain].state
        return RootState(state.FromString(result.state) if result.sequence >= 0 else None, result.sequence)

    def _ask(self, key: bytes, wanted: list[StateOf], query_ids: list[str], cause: str) -> None:
        for need, query_id in zip(wanted, query_ids, strict=True):
            if need.domain not in self._aggregates or not need.root:
                raise HandlerError(f"{self._spec.name} needs the state of {need.domain!r} {need.root!r}; no such root")
            headers: Headers = [
                *self._static_headers(type_name(Query)),
                (ID, query_id),
                (SUBJECT, need.root),
                (CORRELATION, key),
                (CAUSATION, cause),
                (REPLY_TO, f"{self._inbox}/{self._partition}"),
            ]
            topic = self._place.names.topic(self._place.edition, need.domain, "commands")
            partition = self._place.partition_in(topic, need.root.encode())
            self.outputs.append((topic, Query(state=True).SerializeToString(), need.root, partition, headers))

    # ---- time-outs

    def _timer_key(self, record: Record, key: bytes, item: Schedule) -> bytes:
        """Where a time-out is kept until it is due."""
        name = item.name.encode()
        if b"/" in name or b"\0" in name:
            raise HandlerError(f"{self._spec.name} names a time-out {item.name!r}; a name has no slash and no NUL")
        due = record.timestamp + item.delay // timedelta(milliseconds=1)
        return _timer_key(min(max(0, due), _LAST), key, name)

    def _start_timer(self, record: Record, key: bytes, item: Schedule, timer_key: bytes) -> None:
        self._forget_timer(key, item.name.encode())
        timer = Timer(
            root=key.decode(),
            name=item.name,
            type=type_name(type(item.message)),
            data=item.message.SerializeToString(),
            cause=event_id(record),
        )
        self._staged.entries[timer_key] = timer.SerializeToString()
        self._staged.entries[TIMER_NAME_PREFIX + key + b"\0" + item.name.encode()] = timer_key

    def _forget_timer(self, key: bytes, name: bytes) -> None:
        timer_key = self._timer(key, name)
        if timer_key is not None:
            self._staged.entries[timer_key] = None
            self._staged.entries[TIMER_NAME_PREFIX + key + b"\0" + name] = None

    def _timer(self, key: bytes, name: bytes) -> bytes | None:
        """Changelog key of the time-out that a root has under a name."""
        name_key, staged = TIMER_NAME_PREFIX + key + b"\0" + name, self._staged.entries
        return staged[name_key] if name_key in staged else self._store.entry(name_key)

    # ---- events that wait

    def _park(self, record: Record, root: bytes) -> None:
        self._parking.put(self._staged, record, root)
        self._counts["parked"] += 1

    def _go_on(self, root: bytes, *, skip: bool = False) -> None:
        """Handle what waits for a root, in order, as far as it goes."""
        for number, (key, parked) in enumerate(self._parking.queue(self._staged, root)):
            if not (number == 0 and skip) and not self._react(parked, root):
                return
            self._staged.entries[key] = None
        self._parking.emptied(root)

    def _again(self, record: Record, root: bytes) -> bool:
        """A dead letter sent again or given up; False for one that kept none waiting: it is handled like any input."""
        letter_id, discarded = record.headers[REPLAY_OF].decode(), DISCARD in record.headers
        queue = [answers.place_of(parked) for _, parked in self._parking.queue(self._staged, root)]
        if letter_id in queue[1:]:
            return True  # it waits for its turn
        self._settled(record, "discarded" if discarded else "replayed")
        if letter_id in queue:
            self._parking.tried(self._staged, record, root)
            self._go_on(root, skip=discarded)
        return discarded or letter_id in queue


class FeedStep(Step):
    """Brings events that a process manager reacts to into its inbox, to the partition of their correlation id."""

    def __init__(self, spec: FeedSpec, store: Store, place: StepContext) -> None:
        super().__init__(f"feed:{spec.process.domain}", spec.domain, store, place)
        self._types = {name.encode() for name in spec.process.sources}
        self._inbox = place.names.topic(place.edition, spec.process.domain, "inbox")

    def handle(self, record: Record) -> None:
        if record.headers.get(TYPE) not in self._types:
            return
        try:
            headers = check(record.headers)
            root = headers.get(CORRELATION) or headers[ID]
            partition = self._place.partition_in(self._inbox, root)
            self.outputs.append((self._inbox, record.value, root, partition, list(headers.items())))
            self._counts["forwarded"] += 1
        except Exception as error:
            self._fail(record, error)


def _timer_key(time: int, root: bytes, name: bytes) -> bytes:
    return TIMER_PREFIX + b"%013d|" % time + root + b"\0" + name


def _result(record: Record) -> bytes:
    """What is known of a state that was asked for; why it is not, when the answer is that of a failed command."""
    if record.headers[TYPE] == RESULT:
        return record.value or b""
    failed = Reply.FromString(record.value or b"")
    return QueryResult(sequence=-1, reason=failed.reason).SerializeToString()


def _timer_name(record: Record) -> bytes:
    return record.headers[ID].split(b"/")[-2]


def _need_key(root: bytes, query_id: bytes) -> bytes:
    return NEED_PREFIX + root + b"\0" + query_id


def _of_root(record: Record, root: bytes) -> Record:
    """The record with the process's root for its correlation id, which its commands carry on."""
    kept = {name: record.headers[name] for name in (TRACEPARENT, PATH) if name in record.headers}
    ids = {SOURCE: record.headers[SOURCE], ID: record.headers[ID], CORRELATION: root}
    return record._replace(headers={**kept, **ids})
