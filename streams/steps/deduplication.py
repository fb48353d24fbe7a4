"""What was handled already: a command, fact or event that is sent again changes nothing."""

from headrace.schemas.changelog import (
    DIGEST_SIZE,
    Accepted,
    digest,
    is_rejected,
    pack_accepted,
    pack_rejected,
    result_digest,
    unpack_result,
)
from headrace.schemas.headers import CORRELATION, ID, REPLAY_OF, TYPE
from headrace.schemas.headrace_v1_pb2 import Reply
from headrace.schemas.record import Record, RecordError
from headrace.streams.steps.batch import Batch


class Deduplication:
    """Results of one partition's records, by `result_key`."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def known(self, key: bytes, record: Record) -> bytes | None:
        """The final result of a record; None if it is to be handled, such as the replay of a rejected command.

        Raises RecordError if the result is that of another record with the same id.
        """
        result = self._batch.result(key)
        if result is None:
            return None
        check_same(result, record)
        return result if is_final(result, record) else None

    def accepted(self, key: bytes, record: Record, first: int, number: int) -> None:
        """Keep that the record led to this number of events, from sequence `first` on."""
        self._batch.set_result(key, pack_accepted(digest(record.headers[TYPE], record.value), first, number))

    def recorded(self, key: bytes, first: int, number: int) -> None:
        """Keep forever that the fact with this key led to this number of events, whatever it says the next time."""
        self._batch.set_entry(key, pack_accepted(bytes(DIGEST_SIZE), first, number))

    def rejected(self, key: bytes, record: Record, reply: Reply) -> None:
        """Keep that the record was rejected with this reply; it is decided again if its dead letter is replayed."""
        value = pack_rejected(digest(record.headers[TYPE], record.value), reply.SerializeToString())
        self._batch.set_result(key, value)


def check_same(result: bytes, record: Record) -> None:
    """RecordError unless the stored result is that of a record with this one's type and value."""
    if result_digest(result) != digest(record.headers[TYPE], record.value):
        name = record.headers[ID].decode(errors="replace")
        raise RecordError(f"the id {name} was used before for another type or value; every record needs its own id")


def is_final(result: bytes, record: Record) -> bool:
    """Whether a result stands; a rejection does not if the record is the replay of a dead letter."""
    return not (is_rejected(result) and REPLAY_OF in record.headers)


def repeated_reply(result: bytes, record: Record, root: bytes) -> tuple[Reply, Accepted]:
    """The first reply to a record again, and which events belong to it."""
    found = unpack_result(result)
    if isinstance(found, bytes):
        reply, events = Reply.FromString(found), Accepted(0, 0)
    else:
        command_id = record.headers[ID]
        events = found
        reply = Reply(
            status=Reply.ACCEPTED,
            command_id=command_id.decode(),
            root=root.decode(),
            sequence=found.first + found.number - 1,
            correlation_id=(record.headers.get(CORRELATION) or command_id).decode(errors="replace"),
        )
    reply.already_processed = True
    return reply, events
