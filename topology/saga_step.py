"""A saga at work: events of its source become commands for others; nothing behind a dead event overtakes it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from headrace.schemas import codecs
from headrace.schemas.headrace_v1_pb2 import Aborted, DeadLetter
from headrace.schemas.record import (
    CASCADE,
    CAUSATION,
    CONTENT_TYPE,
    CORRELATION,
    DISCARD,
    ID,
    PATH,
    REJECT_TO,
    REPLAY_OF,
    SEQUENCE,
    SOURCE,
    SUBJECT,
    TIME,
    TRACEPARENT,
    TYPE,
    Headers,
    Record,
    check,
    rfc3339,
)
from headrace.topology import answers
from headrace.topology.inspection import Reaction, SagaSpec, type_name
from headrace.topology.place import PARK_PREFIX, HandlerError, HopLimit, InvalidArgument, Place, WorkflowAborted
from headrace.topology.saga import EventContext, Send, Transient
from headrace.topology.step import PROTOBUF, Step
from headrace.topology.store import Store

ABORTED = type_name(Aborted).encode()
_WAITS = (0.05, 0.2, 0.8)
"""Seconds before a transient failure is tried again."""


class SagaStep(Step):
    """One saga in one partition of its source's events; see `Step` for how a batch goes."""

    def __init__(self, spec: SagaSpec, takers: dict[str, set[str]], store: Store, place: Place) -> None:
        """`takers` are the domains of the topology with the command types that each handles."""
        super().__init__(f"saga:{spec.domain}", spec.domain, store, place)
        self._spec, self._takers = spec, takers
        self._inbox = place.names.topic(place.edition, spec.domain, "inbox")
        self._reactions = {name.encode(): reaction for name, reaction in spec.reactions.items()}
        self._parked: set[bytes] | None = None
        self._cascade = spec.on_rejection.value

    def handle(self, record: Record) -> None:
        try:
            if record.topic == self._inbox:
                self._again(record)
                return
            event_type = record.headers.get(TYPE)
            if event_type not in self._reactions and event_type != ABORTED:
                return
            check(record.headers)
            root = record.headers.get(SUBJECT) or (record.key or b"").rpartition(b"|")[0]
            if root in self._parked_roots():
                self._park(record, root)
                return
            self._react(record, root)
        except Exception as error:
            self._fail(record, error)

    def rolled_back(self) -> None:
        self._parked = None
        super().rolled_back()

    # ---- one event

    def _react(self, record: Record, root: bytes) -> bool:
        """Handle one event; False when it is dead, and its root therefore parked."""
        length = len(self.outputs)
        try:
            if record.headers[TYPE] == ABORTED:
                raise WorkflowAborted(f"{root.decode()} was aborted: {Aborted.FromString(record.value or b'').reason}")
            reaction = self._reactions[record.headers[TYPE]]
            for index, send in enumerate(self._sends(record, root, reaction)):
                self.outputs.append(self._command(record, root, reaction, send, index))
                self._counts["sends"] += 1
        except Exception as error:
            del self.outputs[length:]
            self._fail(record, error)
            self._park(record, root)
            return False
        self._counts["accepted"] += 1
        return True

    def _sends(self, record: Record, root: bytes, reaction: Reaction) -> Iterable[Any]:
        content_type = (record.headers.get(CONTENT_TYPE) or PROTOBUF).decode()
        event = codecs.decode(record.value, reaction.event, content_type)
        arguments = (event, self._context(record, root)) if reaction.wants_context else (event,)
        for wait in (*_WAITS, None):
            try:
                result = reaction.call(*arguments)
                if result is None:
                    return ()
                return (result,) if isinstance(result, Send) else tuple(result)
            except Transient:
                if wait is None:
                    raise
                self._place.pause(wait)
        return ()

    def _context(self, record: Record, root: bytes) -> EventContext:
        headers = record.headers
        time = headers.get(TIME)
        return EventContext(
            root=root.decode(),
            sequence=int(headers.get(SEQUENCE) or b"-1"),
            event_id=self._event_id(record),
            correlation_id=(headers.get(CORRELATION) or b"").decode(),
            now=datetime.fromisoformat(time.decode()) if time else datetime.fromtimestamp(record.timestamp / 1000, UTC),
            edition=self._place.edition,
        )

    def _event_id(self, record: Record) -> str:
        return f"{record.headers[SOURCE].decode()}/{record.headers[ID].decode()}"

    def _command(self, record: Record, root: bytes, reaction: Reaction, send: Any, index: int) -> Any:
        where = f"{self._spec.name}.{reaction.method}"
        if not isinstance(send, Send):
            raise HandlerError(f"{where} yielded {type(send).__name__}; a reaction yields to(domain, root, command)")
        name = type_name(type(send.message))
        if name not in self._takers.get(send.domain, ()):
            known = ", ".join(sorted(self._takers))
            raise InvalidArgument(f"{where} sends {name} to {send.domain!r}, which handles none; domains: {known}")
        if not send.root:
            raise InvalidArgument(f"{where} sends {name} to {send.domain} without a root")
        headers = record.headers
        path = headers.get(PATH) or b""
        if path.count(b">") >= self._place.hop_limit:
            raise HopLimit(f"{self._place.hop_limit} hops led here and no end: {path.decode()}{self._spec.domain}")
        event_id = self._event_id(record)
        out: Headers = [
            *self._static_headers(name),
            # the same event, component and index give the same id, so that doing it again changes nothing
            (ID, f"{event_id}>{self._spec.domain}/{index}"),
            (SUBJECT, send.root),
            (TIME, headers.get(TIME) or rfc3339(record.timestamp)),
            (CORRELATION, headers.get(CORRELATION) or headers[ID]),
            (CAUSATION, event_id),
            (PATH, path + self._spec.domain.encode() + b">"),
            (REJECT_TO, f"rejections:{self._spec.source}:{root.decode()}"),
        ]
        if self._cascade != "compensate":
            out.append((CASCADE, self._cascade))
        if (trace := headers.get(TRACEPARENT)) is not None:
            out.append((TRACEPARENT, trace))
        topic = self._place.names.topic(self._place.edition, send.domain, "commands")
        partition = self._place.partition_in(topic, send.root.encode())
        return topic, send.message.SerializeToString(), send.root, partition, out

    # ---- dead events, and those behind them

    def _parked_roots(self) -> set[bytes]:
        if self._parked is None:
            keys = (key for key, _ in self._store.entries(PARK_PREFIX))
            self._parked = {key[len(PARK_PREFIX) :].rpartition(b"\0")[0] for key in keys}
        return self._parked

    def _park(self, record: Record, root: bytes) -> None:
        """Keep an event until the dead one before it, or it itself, is replayed or discarded."""
        letter = answers.dead_letter(record, Parked("waits behind a dead event of its root"), self._component, "")
        key = PARK_PREFIX + root + b"\0%020d" % record.offset
        self._staged.entries[key] = letter
        self._parked_roots().add(root)
        self._counts["parked"] += 1

    def _again(self, record: Record) -> None:
        """A replay or discard of the dead event at the head of its root's queue; others are settled already."""
        letter_id = record.headers[REPLAY_OF].decode()
        root = record.headers.get(SUBJECT) or record.key or b""
        prefix = PARK_PREFIX + root + b"\0"
        queue = {key: value for key, value in self._store.entries(prefix)}
        queue.update({k: v for k, v in self._staged.entries.items() if k.startswith(prefix) and v is not None})
        waiting = sorted((k, v) for k, v in queue.items() if self._staged.entries.get(k, b"") is not None)
        for number, (key, value) in enumerate(waiting):
            letter = DeadLetter.FromString(value)
            parked = answers.letter_record(letter)
            if number == 0 and letter_id != f"{parked.topic}/{parked.partition}/{parked.offset}":
                return
            self._staged.entries[key] = None
            if number == 0:
                self._settled(record, "discarded" if DISCARD in record.headers else "replayed")
                if DISCARD in record.headers:
                    continue
            if not self._react(parked, root):
                return
        self._parked_roots().discard(root)


class Parked(Exception):
    """Why a parked record is kept."""
