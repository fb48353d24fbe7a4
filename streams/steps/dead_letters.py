"""Records of the dead-letters topic, which hold whole inputs that could not be handled."""

import traceback

from headrace.schemas.headers import (
    ATTEMPTS,
    CORRELATION,
    DISCARD,
    ID,
    ORIGIN,
    REPLAY,
    REPLAY_OF,
    SUBJECT,
    TIME,
    TRACEPARENT,
    TYPE,
    UNREADABLE,
    Headers,
)
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Settled
from headrace.schemas.ids import DeadLetterRef
from headrace.schemas.record import Record, rfc3339, split_headers
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.checks import LONGEST
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.errors import TooLarge
from headrace.topology.aggregate import Rejected
from headrace.topology.inspection import ComponentSpec
from headrace.topology.inspection.spec import Replay
from headrace.topology.names import Names

_LARGEST = 15 * 1024 * 1024
"""Bytes of an input that a dead letter holds whole; its topic takes 16 MB."""
_EXPECTED = (Rejected, ValueError, LookupError, TooLarge)
"""Errors whose text is enough; for all others the traceback is kept."""


class DeadLetters:
    """Writes dead letters of one component, and that they were settled."""

    def __init__(self, component: str, name: str, batch: Batch, context: StepContext, envelope: Envelope) -> None:
        self.topic = context.names.topic(context.edition, name, "dead-letters")
        self._component, self._batch, self._partition, self._envelope = component, batch, context.partition, envelope
        self._open = [context.names.topic(context.edition, name, kind) for kind in ("commands", "facts")]
        """Inputs that clients write; their records do not say how often they were tried."""

    def add(self, record: Record, error: BaseException, *, whole: bool = True) -> None:
        """Keep a record, and why it could not be handled; one that is too large by reference to where it was read."""
        detail = "" if isinstance(error, _EXPECTED) else "".join(traceback.format_exception(error))
        tried = 0 if record.topic in self._open else attempts(record)
        omitted = 0
        if not whole or _size(record) > _LARGEST:
            omitted = -1 if record.value is None else len(record.value)
            short = {name: value for name, value in record.headers.items() if value and len(value) <= LONGEST}
            record = record._replace(value=None, key=(record.key or b"")[:LONGEST], headers=short, dropped=())
        value = dead_letter(record, error, self._component, tried, detail, omitted)
        headers = self._envelope.headers("headrace.v1.DeadLetter")
        headers.append((ID, str(reference(record))))
        headers.append((TIME, rfc3339(record.timestamp)))
        for name in (CORRELATION, TRACEPARENT):
            if (value_of := record.headers.get(name)) is not None and len(value_of) <= LONGEST:
                headers.append((name, value_of))
        self._batch.outputs.append((self.topic, value, record.key, self._partition, headers))

    def settle(self, record: Record, outcome: str) -> None:
        """Write that the dead letter whose replay this record is was settled, whatever the replay leads to."""
        if outcome == "discarded":
            self._batch.count(outcome)
        dead_letter = record.headers[REPLAY_OF].decode(errors="replace")
        value = Settled(dead_letter_id=dead_letter, outcome=outcome).SerializeToString()
        headers = [*self._envelope.headers("headrace.v1.Settled"), (ID, f"settled/{dead_letter}")]
        self._batch.outputs.append((self.topic, value, record.key, self._partition, headers))


def dead_letter(
    record: Record, error: BaseException, component: str, tried: int, detail: str = "", omitted: int = 0
) -> bytes:
    """A dead letter with the whole input and the error; `tried` is the number of attempts before this one."""
    dead_letter = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        key=record.key or b"",
        key_missing=record.key is None,
        value=record.value or b"",
        value_missing=record.value is None,
        component=component,
        error_class=type(error).__name__,
        error=error_text(error),
        detail=_storable(detail[-16_000:]),
        attempts=tried + 1,
        first_failed=record.timestamp,
        last_failed=record.timestamp,
        omitted=omitted,
    )
    _add_headers(dead_letter, record, leave_out=ATTEMPTS if tried else "")  # it is in `attempts`
    return dead_letter.SerializeToString()


def _add_headers(dead_letter: DeadLetter, record: Record, leave_out: str = "") -> None:
    for key, value in record.all_headers:
        if key not in (leave_out, UNREADABLE):  # the latter is in `error`
            dead_letter.headers.add(key=key, value=value or b"", value_missing=value is None)


def reference(record: Record) -> DeadLetterRef:
    """The id of the dead letter of an input."""
    place = str(record.offset) if record.offset >= 0 else record.headers[ID].decode(errors="replace")
    return DeadLetterRef(record.topic, record.partition, place)


def to_record(dead_letter: DeadLetter) -> Record:
    """The input that a dead letter holds, unchanged, with the number of attempts."""
    headers, dropped = split_headers(all_headers(dead_letter))
    if dead_letter.attempts > 1:
        headers[ATTEMPTS] = b"%d" % (dead_letter.attempts - 1)
    return Record(
        dead_letter.topic,
        dead_letter.partition,
        dead_letter.offset,
        dead_letter.timestamp,
        None if dead_letter.key_missing else dead_letter.key,
        None if dead_letter.value_missing else dead_letter.value,
        headers,
        dropped,
    )


def input_headers(dead_letter: DeadLetter) -> dict[str, bytes]:
    """Headers of the input that count: the last one of each name, without those that are null."""
    return split_headers(all_headers(dead_letter))[0]


def all_headers(dead_letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    """Headers of the input, also those of the same name and those that are null."""
    return [(header.key, None if header.value_missing else header.value) for header in dead_letter.headers]


def settling(
    dead_letter_id: str, dead_letter: DeadLetter, spec: ComponentSpec, names: Names, edition: str, *, discard: bool
) -> tuple[str, bytes | None, bytes | None, Headers] | None:
    """Topic, value, key and headers of the record that settles a dead letter, in the partition of its input.

    None if the input cannot be sent again, as `spec` says; the dead letter can then only be discarded.
    """
    if dead_letter.omitted and not discard:
        return None
    value = None if dead_letter.value_missing else dead_letter.value
    key = None if dead_letter.key_missing else dead_letter.key
    own = input_headers(dead_letter)
    if spec.replay is not Replay.NEVER:
        inbox = names.topic(edition, spec.name, "inbox")
        origin: str | bytes = dead_letter.topic
        if origin == inbox:  # it may be a replay itself, and only in an inbox is this header to be trusted
            origin = own.get(ORIGIN) or inbox
        headers: Headers = [(name, value) for name, value in all_headers(dead_letter) if name not in REPLAY]
        headers += [(REPLAY_OF, dead_letter_id), (ATTEMPTS, str(dead_letter.attempts)), (ORIGIN, origin)]
        if discard:
            headers.append((DISCARD, "1"))
        if spec.replay is Replay.BY_ROOT:
            key = own.get(SUBJECT) or dead_letter.key
        return inbox, value, key, headers
    if not discard:
        return None
    settled = Settled(dead_letter_id=dead_letter_id, outcome="discarded").SerializeToString()
    return names.topic(edition, spec.name, "dead-letters"), settled, dead_letter.key, [(TYPE, b"headrace.v1.Settled")]


def with_value(dead_letter: DeadLetter, record: Record) -> DeadLetter:
    """A dead letter that was kept by reference, with its input, which was read again where it says."""
    whole = DeadLetter()
    whole.CopyFrom(dead_letter)
    whole.key, whole.key_missing = record.key or b"", record.key is None
    whole.value, whole.value_missing = record.value or b"", record.value is None
    del whole.headers[:]
    _add_headers(whole, record)
    whole.omitted = 0
    return whole


def attempts(record: Record) -> int:
    """How often an input was tried before, as its header says."""
    text = record.headers.get(ATTEMPTS) or b"0"
    return int(text) if text.isdigit() and len(text) < 6 else 0


def error_text(error: BaseException) -> str:
    """The text of an error. If the author's code for that raises too, a substitute: this function must not fail."""
    try:
        return _storable(str(error)[:4_000])
    except Exception:
        return "its text could not be made"


def _size(record: Record) -> int:
    headers = sum([len(name) + len(value or b"") for name, value in record.all_headers])
    return len(record.value or b"") + len(record.key or b"") + headers


def _storable(text: str) -> str:
    return text.encode(errors="replace").decode()  # protobuf takes no lone surrogates
