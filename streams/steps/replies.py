"""Replies to commands, and answers to queries."""

from collections.abc import Mapping, Sequence

from headrace.schemas.headers import CORRELATION, ID, Headers
from headrace.schemas.headrace_v1_pb2 import Query, QueryResult, Reply
from headrace.schemas.ids import ReplyTarget
from headrace.schemas.record import Record, RecordError
from headrace.schemas.stored_event import to_event
from headrace.streams.steps.batch import Output
from headrace.streams.steps.checks import LONGEST
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.dead_letters import error_text
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.errors import TooLarge
from headrace.topology.aggregate import Rejected

CONFLICT = "sequence-conflict"
TOO_LARGE = "too-large"


def conflict(root: bytes, expected: int | None, actual: int, more: str = "") -> Rejected:
    """The rejection of a command whose expected sequence is not the root's."""
    text = f"expected sequence {expected}, but {root.decode()} is at {actual}{more}"
    return Rejected(f"{text}; read it again and decide anew", code=CONFLICT, retryable=True)


def rejected_reply(record: Record, root: bytes, sequence: int, rejected: Rejected) -> Reply:
    """The reply to a rejected command."""
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


def failed_reply(record: Record, error: BaseException, dead_topic: str) -> Reply:
    """The reply to a command that went to the dead letters. It fits into a record, even if the ids are too long."""
    command_id = (record.headers.get(ID) or b"")[:LONGEST]
    return Reply(
        command_id=command_id.decode(errors="replace"),
        status=Reply.FAILED,
        root=(record.key or b"")[:LONGEST].decode(errors="replace"),
        sequence=-1,
        reason=f"{error_text(error)} ({type(error).__name__}; the command lies in {dead_topic})",
        code=TOO_LARGE if isinstance(error, TooLarge) else "failed",
        correlation_id=(record.headers.get(CORRELATION) or command_id)[:LONGEST].decode(errors="replace"),
    )


def query_result(
    query: Query, root: str, sequence: int, state_type: str, state: bytes, events: Sequence[bytes], room: int
) -> QueryResult:
    """What a query asked for, as far as it fits into one record of `room` bytes."""
    result = QueryResult(root=root, sequence=sequence, state_type=state_type, state=state)
    room -= len(state)
    if events and len(events[0]) + 64 > room:  # an empty page would look like the end of the history
        size = len(events[0])
        result.reason = f"event {max(0, query.from_sequence)} of {size} bytes is too large for an answer; read the log"
        return result
    for number, value in enumerate(events, max(0, query.from_sequence)):
        room -= len(value) + 64
        if room < 0:
            break
        result.events.append(to_event(value, number))
    return result


class Replier:
    """Makes records of answers. They go to the deployment's replies topic, or to an inbox if an inbox asks."""

    def __init__(self, context: StepContext, envelope: Envelope) -> None:
        self._context, self._room = context, context.room
        self._topic, self._partitions = context.names.replies, context.reply_partitions
        self._known: dict[bytes, ReplyTarget] = {}
        """Targets in the replies topic, by header."""
        self._reply_headers = envelope.headers("headrace.v1.Reply")
        self._result_headers = envelope.headers("headrace.v1.QueryResult")

    def target(self, header: bytes | None, *, inboxes: bool = False) -> ReplyTarget | None:
        """The target in `ce_replyto`; None if no reply is asked for; RecordError if no answer may go there."""
        if header is None:
            return None
        target = self._known.get(header)
        if target is None:
            target = ReplyTarget.parse(header.decode(errors="replace"))
            if target is None or target.partition >= self._partitions_of(target.topic, inboxes):
                last = self._partitions - 1
                raise RecordError(
                    f"ce_replyto is {header[:99]!r}; answers go to {self._topic}/0 … {self._topic}/{last}"
                )
            if target.topic == self._topic and len(self._known) < 10_000:
                self._known[header] = target
        return target

    def _partitions_of(self, topic: str, inboxes: bool) -> int:
        """Number of partitions of a topic to which answers may go; 0 for any other topic."""
        if topic == self._topic:
            return self._partitions
        context = self._context
        parts = context.names.split(topic)
        if not inboxes or parts is None or (parts[0], parts[2]) != (context.edition, "inbox"):
            return 0
        return context.counts.get(topic, 0 if context.counts else context.partitions)

    def reply(self, reply: Reply, target: ReplyTarget, command_id: bytes) -> Output:
        """The record that answers a command; the events are left out if they are too large together."""
        data = reply.SerializeToString()
        if len(data) > self._room:
            del reply.events[:]
            reply.reason = f"{reply.reason[:1000]} [events left out: too large for one record]".strip()
            data = reply.SerializeToString()
        key = command_id if target.topic == self._topic else reply.correlation_id.encode()
        return target.topic, data, key, target.partition, [*self._reply_headers, (ID, command_id)]

    def result(self, result: QueryResult, target: ReplyTarget, headers: Mapping[str, bytes]) -> Output:
        """The record that answers a query with these headers."""
        data = result.SerializeToString()
        if len(data) > self._room:
            result = QueryResult(root=result.root, sequence=result.sequence)
            result.reason = f"the state is {len(data)} bytes, too large for one record"
            data = result.SerializeToString()
        key = headers[ID] if target.topic == self._topic else headers.get(CORRELATION)
        out: Headers = [*self._result_headers, (ID, headers[ID])]
        return target.topic, data, key, target.partition, out
