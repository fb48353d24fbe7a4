"""A saga at work: events of its source become commands for others; nothing behind a dead event overtakes it."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from headrace.schemas import codecs
from headrace.schemas.headers import CONTENT_TYPE, CORRELATION, DISCARD, REPLAY_OF, SEQUENCE, SUBJECT, TIME, TYPE
from headrace.schemas.headrace_v1_pb2 import Aborted
from headrace.schemas.record import Record, check
from headrace.streams.steps import replies as answers
from headrace.streams.steps.context import StepContext, WorkflowAborted
from headrace.streams.steps.ordered_queue import Parking
from headrace.streams.steps.sender import Sender, event_id
from headrace.streams.steps.step import PROTOBUF, Step
from headrace.streams.steps.store import Store
from headrace.topology.inspection import Reaction, SagaSpec, type_name
from headrace.topology.saga import EventContext, Transient

ABORTED = type_name(Aborted).encode()
_WAITS = (0.05, 0.2, 0.8)
"""Seconds before a transient failure is tried again."""


class SagaStep(Step):
    """One saga in one partition of its source's events; see `Step` for how a batch goes."""

    def __init__(self, spec: SagaSpec, command_routes: dict[str, set[str]], store: Store, place: StepContext) -> None:
        super().__init__(f"saga:{spec.domain}", spec.domain, store, place)
        self._spec = spec
        self._inbox = place.names.topic(place.edition, spec.domain, "inbox")
        self._reactions = {name.encode(): reaction for name, reaction in spec.reactions.items()}
        self._parking = Parking(store, self._component)
        self._sender = Sender(spec.domain, place, command_routes, spec.on_rejection.value, self._static_headers)

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
            if self._parking.holds(root) or not self._react(record, root):
                self._park(record, root)
        except Exception as error:
            self._fail(record, error)

    def rolled_back(self) -> None:
        self._parking.forget()
        super().rolled_back()

    # ---- one event

    def _react(self, record: Record, root: bytes) -> bool:
        """Handle one event; False when it is dead, and those of its root behind it are to wait."""
        length = len(self.outputs)
        try:
            if record.headers[TYPE] == ABORTED:
                raise WorkflowAborted(f"{root.decode()} was aborted: {Aborted.FromString(record.value or b'').reason}")
            reaction = self._reactions[record.headers[TYPE]]
            where = f"{self._spec.name}.{reaction.method}"
            reject_to = f"rejections:{self._spec.source}:{root.decode()}"
            for index, send in enumerate(self._sends(record, root, reaction)):
                self.outputs.append(self._sender.command(where, record, send, index, reject_to))
                self._counts["sends"] += 1
        except Exception as error:
            del self.outputs[length:]
            self._fail(record, error)
            return False
        self._counts["accepted"] += 1
        return True

    def _sends(self, record: Record, root: bytes, reaction: Reaction) -> Iterable[Any]:
        content_type = (record.headers.get(CONTENT_TYPE) or PROTOBUF).decode()
        event = codecs.decode(record.value, reaction.event, content_type)
        arguments = (event, self._context(record, root)) if reaction.wants_context else (event,)
        return retry_transient(lambda: reaction.call(*arguments), self._place.pause)

    def _context(self, record: Record, root: bytes) -> EventContext:
        return EventContext(**context_fields(record, root, self._place.edition))

    # ---- dead events, and those behind them

    def _park(self, record: Record, root: bytes) -> None:
        self._parking.put(self._staged, record, root)
        self._counts["parked"] += 1

    def _again(self, record: Record) -> None:
        """A replay or discard of the dead event at the head of its root's queue; of others, nothing is to be done."""
        letter_id = record.headers[REPLAY_OF].decode()
        root = record.headers.get(SUBJECT) or record.key or b""
        queue = self._parking.queue(self._staged, root)
        discarded = DISCARD in record.headers
        if not queue or letter_id != answers.place_of(queue[0][1]):
            if discarded and letter_id not in [answers.place_of(parked) for _, parked in queue]:
                self._settled(record, "discarded")
            return
        self._settled(record, "discarded" if discarded else "replayed")
        self._parking.tried(self._staged, record, root)
        for number, (key, parked) in enumerate(self._parking.queue(self._staged, root)):
            if not (number == 0 and discarded) and not self._react(parked, root):
                return
            self._staged.entries[key] = None
        self._parking.emptied(root)


def retry_transient(call: Callable[[], Any], pause: Callable[[float], object]) -> Iterable[Any]:
    """What a reaction yields; tried again, with pauses, while it raises Transient."""
    for wait in (*_WAITS, None):
        try:
            result = call()
            if result is None:
                return ()
            return tuple(result) if isinstance(result, Iterable) else (result,)
        except Transient:
            if wait is None:
                raise
            pause(wait)
    return ()


def context_fields(record: Record, root: bytes, edition: str) -> dict[str, Any]:
    """What any reaction may know of the event that it is called for."""
    headers = record.headers
    time = headers.get(TIME)
    return {
        "root": root.decode(),
        "sequence": int(headers.get(SEQUENCE) or b"-1"),
        "event_id": event_id(record),
        "correlation_id": (headers.get(CORRELATION) or b"").decode(),
        "now": datetime.fromisoformat(time.decode()) if time else datetime.fromtimestamp(record.timestamp / 1000, UTC),
        "edition": edition,
    }
