"""Answers: replies to clients, the answers kept against repetition, and dead letters."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.schemas import stored_event as history
from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.headers import (
    ATTEMPTS,
    CONTENT_TYPE,
    CORRELATION,
    ID,
    REPLAY_OF,
    SOURCE,
    SPECVERSION,
    TYPE,
    Headers,
)
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Query, QueryResult, Reply
from headrace.schemas.record import Record, RecordError
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.state_cache import CachedState
from headrace.topology.aggregate import Rejected

Target = tuple[str, int]
"""Topic and partition of an answer."""
PREFIX = b"\0answers|"
"""Of changelog keys that hold answers."""
CONFLICT = "sequence-conflict"
TOO_LARGE = "too-large"
_ACCEPTED = struct.Struct(">cqi")


def accepted(first: int, count: int) -> bytes:
    """The answer kept for an accepted command: where its events are."""
    return _ACCEPTED.pack(b"A", first, count)


def rejected(reply: Reply) -> bytes:
    """The answer kept for a rejected command: the reply itself."""
    return b"R" + reply.SerializeToString()


def read(value: bytes) -> tuple[Reply, int, int]:
    """A kept answer: the reply as far as it is stored, first sequence and number of the events."""
    if value[:1] == b"A":
        _, first, count = _ACCEPTED.unpack(value)
        return Reply(status=Reply.ACCEPTED), first, count
    return Reply.FromString(value[1:]), 0, 0


def batch_key(now: int, first: bytes) -> bytes:
    """Changelog key of one batch's answers; sorts by time, and no two batches of a partition share a command."""
    return PREFIX + b"%013d|" % now + first


def batch_time(key: bytes) -> int:
    """Milliseconds at which the batch with this changelog key was answered."""
    return int(key.split(b"|", 2)[1])


def conflict(root: bytes, expected: int | None, actual: int, more: str = "") -> Rejected:
    """The refusal of a command whose expected sequence is not the root's."""
    text = f"expected sequence {expected}, but {root.decode()} is at {actual}{more}"
    return Rejected(f"{text}; read it again and decide anew", code=CONFLICT, retryable=True)


def refusal(record: Record, root: bytes, sequence: int, rejected: Rejected) -> Reply:
    """The reply to a command that the domain refused."""
    command_id = record.headers[ID]
    return Reply(
        command_id=command_id.decode(),
        status=Reply.REJECTED,
        root=root.decode(),
        sequence=sequence,
        reason=rejected.reason,
        code=rejected.code,
        retryable=rejected.retryable,
        correlation_id=(record.headers.get(CORRELATION) or command_id).decode(),
    )


def complete(reply: Reply, record: Record, root: bytes, last: int) -> None:
    """Fill in what a kept answer leaves out; `last` is the sequence of the last event of an accepted command."""
    command_id = record.headers[ID]
    if reply.status == Reply.ACCEPTED:
        reply.command_id, reply.root, reply.sequence = command_id.decode(), root.decode(), last
        reply.correlation_id = (record.headers.get(CORRELATION) or command_id).decode(errors="replace")
    reply.already_processed = True


def query_result(query: Query, root: str, live: CachedState, events: Sequence[bytes], room: int) -> QueryResult:
    """What a query asked for, as far as it goes into one record of `room` bytes."""
    state_type = live.state.DESCRIPTOR.full_name
    result = QueryResult(root=root, sequence=live.sequence, state_type=state_type)
    if query.state:
        result.state = live.state.SerializeToString()
    room -= len(result.state)
    for sequence, value in enumerate(events, max(0, query.from_sequence)):
        room -= len(value) + 64
        if room < 0:
            break
        result.events.append(history.to_event(value, sequence))
    return result


def failure(record: Record, error: Exception, dead_topic: str) -> Reply:
    """The reply to a command that went to the dead letters."""
    command_id = record.headers.get(ID) or b""
    return Reply(
        command_id=command_id.decode(errors="replace"),
        status=Reply.FAILED,
        root=(record.key or b"").decode(errors="replace"),
        sequence=-1,
        reason=f"{_text(error)} ({type(error).__name__}; the command lies in {dead_topic})",
        code=TOO_LARGE if type(error).__name__.endswith("TooLarge") else "failed",
        correlation_id=(record.headers.get(CORRELATION) or command_id).decode(errors="replace"),
    )


def is_final(known: bytes | None, headers: Mapping[str, bytes]) -> bool:
    """Whether a kept answer is the last word; a refusal is not, for one whose dead letter is sent again."""
    return known is not None and not (known[:1] == b"R" and REPLAY_OF in headers)


def dead_letter(record: Record, error: Exception, component: str, detail: str) -> bytes:
    """The input whole, and why it could not be handled."""
    letter = DeadLetter(
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
        error=_text(error),
        detail=_storable(detail[-16_000:]),
        attempts=attempts(record) + 1,
        first_failed=record.timestamp,
        last_failed=record.timestamp,
    )
    for key, value in record.headers.items():
        if key != ATTEMPTS:
            letter.headers.add(key=key, value=value)
    return letter.SerializeToString()


def place_of(record: Record) -> str:
    """Topic, partition and offset of an input, its own id for one that lies on no topic; names its dead letter."""
    where = record.offset if record.offset >= 0 else record.headers[ID].decode(errors="replace")
    return f"{record.topic}/{record.partition}/{where}"


def letter_record(letter: DeadLetter) -> Record:
    """The input that a dead letter holds, as it was, and how often it was tried before."""
    headers = {header.key: header.value for header in letter.headers}
    if letter.attempts > 1:
        headers[ATTEMPTS] = b"%d" % (letter.attempts - 1)
    return Record(
        letter.topic,
        letter.partition,
        letter.offset,
        letter.timestamp,
        None if letter.key_missing else letter.key,
        None if letter.value_missing else letter.value,
        headers,
    )


def attempts(record: Record) -> int:
    """How often an input was tried before, as far as it says so."""
    text = record.headers.get(ATTEMPTS) or b"0"
    return int(text) if text.isdigit() and len(text) < 6 else 0


def _text(error: Exception) -> str:
    """What an error says, whatever its author made of that: bad input must not raise once more."""
    try:
        return _storable(str(error)[:4_000])
    except Exception:
        return "its text could not be made"


def _storable(text: str) -> str:
    return text.encode(errors="replace").decode()  # protobuf takes no lone surrogates


class Replier:
    """Makes reply records. Answers go to the deployment's replies topic and to inboxes, whatever a command asks for."""

    def __init__(self, place: StepContext, source: str, room: int) -> None:
        self._place, self._room = place, room
        self._topic, self._partitions = place.names.replies, place.reply_partitions
        self._known: dict[bytes, Target] = {}
        self._headers: dict[str, Headers] = {
            kind: [
                (SPECVERSION, "1.0"),
                (SOURCE, source),
                (TYPE, f"headrace.v1.{kind}"),
                (CONTENT_TYPE, PROTOBUF),
            ]
            for kind in ("Reply", "QueryResult")
        }

    def target(self, header: bytes | None) -> Target | None:
        """The topic and partition that `ce_replyto` names; None when no reply is asked for; else RecordError."""
        if header is None:
            return None
        target = self._known.get(header)
        if target is None:
            topic, _, number = header.decode(errors="replace").rpartition("/")
            if not number.isdecimal() or len(number) > 9 or int(number) >= self._partitions_of(topic):
                last = self._partitions - 1
                raise RecordError(
                    f"ce_replyto is {header[:99]!r}; answers go to {self._topic}/0 … {self._topic}/{last}"
                )
            target = (topic, int(number))
            if len(self._known) < 10_000:
                self._known[header] = target
        return target

    def _partitions_of(self, topic: str) -> int:
        """Partitions of a topic that may be answered to; 0 for any other."""
        if topic == self._topic:
            return self._partitions
        parts = self._place.names.split(topic)
        if parts is None or (parts[0], parts[2]) != (self._place.edition, "inbox"):
            return 0
        return self._place.counts.get(topic, 0 if self._place.counts else self._place.partitions)

    def reply(self, reply: Reply, target: Target, command_id: bytes) -> Any:
        """The record that answers a command; the events are left out if they are too large together."""
        data = reply.SerializeToString()
        if len(data) > self._room:
            del reply.events[:]
            reply.reason = f"{reply.reason[:1000]} [events left out: too large for one record]".strip()
            data = reply.SerializeToString()
        key = command_id if target[0] == self._topic else reply.correlation_id.encode()
        return target[0], data, key, target[1], [*self._headers["Reply"], (ID, command_id)]

    def result(self, result: QueryResult, target: Target, headers: Mapping[str, bytes]) -> Any:
        """The record that answers a query, which had these headers."""
        data = result.SerializeToString()
        if len(data) > self._room:
            result = QueryResult(root=result.root, sequence=result.sequence)
            result.reason = f"the state is {len(data)} bytes, too large for one record"
            data = result.SerializeToString()
        key = headers[ID] if target[0] == self._topic else headers.get(CORRELATION)
        return target[0], data, key, target[1], [*self._headers["QueryResult"], (ID, headers[ID])]
