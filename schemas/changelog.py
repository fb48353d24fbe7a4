"""Keys and values of the snapshots topic: the changelog of a component's store.

A root's key is its snapshot. All other keys begin with NUL and the name of a table, so that no root can be one.
"""

import struct
from hashlib import blake2b
from typing import NamedTuple

RESULTS = b"\0answers|"
"""Table of the results of commands, one record per batch: a `headrace.v1.CommandResults`."""
QUEUE = b"\0park|"
"""Table of records that wait behind another one of their root, each a `headrace.v1.DeadLetter`."""
READS = b"\0need|"
"""Table of states of other roots, read for an event that waits for them, each a `headrace.v1.StateRead`."""
TIMERS = b"\0timer|"
"""Table of time-outs, each a `headrace.v1.Timer`, in the order of time."""
TIMER_NAMES = b"\0timer-of|"
"""Table of the timer's key by root and name."""
FACTS = b"\0fact|"
"""Table of the events that record a fact, by root and external id."""
CASCADES = b"\0cascade|"
"""Table of the reports on commands whose cascades may have to be undone, each a `headrace.v1.Handled`."""
TAIL = b"\0tail|"
"""Table of the events since a root's snapshot, where not each batch writes one: sequence (8 bytes, big endian) and
stored event. An event's place is its sequence modulo the number of events between two snapshots, so that there are
never more, and a later one takes the place of one that a snapshot covers."""
KEPT = b"\0kept|"
"""Table of snapshots that are kept for ever, each a `headrace.v1.Snapshot`, by root and sequence."""
POSITIONS = b"\0positions|"
"""Key of a component's positions in its inputs: a `headrace.v1.Positions`."""
LAST_DUE = 9_999_999_999_999
"""The largest number of milliseconds with 13 digits, in the year 2286: the latest time at which a time-out is due."""
DIGEST_SIZE = 8
_TAIL = struct.Struct(">q")
_ACCEPTED = struct.Struct(f">c{DIGEST_SIZE}sqi")


def result_key(root: bytes, command_id: bytes) -> bytes:
    """Key of the result of a client's command within the results of its batch; ids contain no NUL."""
    return root + b"\0" + command_id


def inbox_result_key(root: bytes, command_id: bytes) -> bytes:
    """The same for a record from an inbox, so that no id chosen by a client equals that of a saga's command."""
    return root + b"\0\0" + command_id


def digest(type_name: bytes, value: bytes | None) -> bytes:
    """Distinguishes a record that is sent again from another record with the same id."""
    return blake2b(type_name + b"\0" + (value or b""), digest_size=DIGEST_SIZE).digest()


def results_key(milliseconds: int, first: bytes) -> bytes:
    """Key of one batch's results. It sorts by time, and is unique: no two batches share their first command."""
    return RESULTS + b"%013d|" % milliseconds + first


def results_time(key: bytes) -> int:
    """Milliseconds at which a batch of results was written."""
    return int(key.split(b"|", 2)[1])


def fact_key(root: bytes, external_id: bytes) -> bytes:
    """Key of a fact."""
    return FACTS + root + b"\0" + external_id


def fact_root(key: bytes) -> bytes:
    """Root of a fact."""
    return key[len(FACTS) :].split(b"\0", 1)[0]


def tail_key(root: bytes, place: int) -> bytes:
    """Key of an event since a root's snapshot."""
    return TAIL + root + b"\0%d" % place


def pack_tail(sequence: int, stored: bytes) -> bytes:
    """An event since a root's snapshot, as it is stored."""
    return _TAIL.pack(sequence) + stored


def unpack_tail(value: bytes) -> tuple[int, bytes]:
    """Its sequence, and the stored event."""
    return _TAIL.unpack_from(value)[0], value[_TAIL.size :]


def kept_prefix(root: bytes) -> bytes:
    """What the keys of a root's kept snapshots begin with."""
    return KEPT + root + b"\0"


def kept_key(root: bytes, sequence: int) -> bytes:
    """Key of a snapshot that is kept for ever."""
    return kept_prefix(root) + b"%020d" % sequence


def kept_root(key: bytes) -> bytes:
    """Root of a snapshot that is kept for ever."""
    return key[len(KEPT) :].rpartition(b"\0")[0]


def queue_key(root: bytes, number: int) -> bytes:
    """Key of a record in the queue of its root."""
    return QUEUE + root + b"\0%020d" % number


def queue_place(key: bytes) -> tuple[bytes, int]:
    """Root and number of a record in a queue."""
    root, _, number = key[len(QUEUE) :].rpartition(b"\0")
    return root, int(number)


def read_key(root: bytes, read_id: bytes) -> bytes:
    """Key of the state that a process manager's root has asked for."""
    return READS + root + b"\0" + read_id


def cascade_key(command_id: bytes, number: int | None = None) -> bytes:
    """Key of a report on a command; without a number, what all of them begin with."""
    return CASCADES + command_id + b"\0" + (b"" if number is None else b"%020d" % number)


def timer_key(due: int, root: bytes, name: bytes) -> bytes:
    """Key of a time-out that is due at `due` milliseconds, between 0 and LAST_DUE."""
    return TIMERS + b"%013d|" % due + root + b"\0" + name


def timer_due(key: bytes) -> int:
    """Milliseconds at which the time-out with this key is due."""
    return int(key[len(TIMERS) :][:13])


def timer_name_key(root: bytes, name: bytes) -> bytes:
    """Key of the entry that holds the key of a root's time-out."""
    return TIMER_NAMES + root + b"\0" + name


class Accepted(NamedTuple):
    """The result of an accepted command, or of a fact: where its events are."""

    first: int
    """Sequence of the first event; if there are no events, the sequence that it would have had."""
    number: int
    """Number of events."""


def pack_accepted(of: bytes, first: int, number: int) -> bytes:
    """The result of an accepted command, or of a fact, as it is stored; `of` is its digest."""
    return _ACCEPTED.pack(b"A", of, first, number)


def pack_rejected(of: bytes, reply: bytes) -> bytes:
    """The result of a rejected command, which is its serialised Reply, as it is stored; `of` is its digest."""
    return b"R" + of + reply


def result_digest(value: bytes) -> bytes:
    """The digest of the record that a stored result belongs to."""
    return value[1 : 1 + DIGEST_SIZE]


def is_rejected(value: bytes) -> bool:
    """Whether a stored result is that of a rejected command."""
    return value[:1] == b"R"


def unpack_result(value: bytes) -> Accepted | bytes:
    """A stored result: which events there are or, for a rejected command, its serialised Reply."""
    if is_rejected(value):
        return value[1 + DIGEST_SIZE :]
    _, _, first, number = _ACCEPTED.unpack(value)
    return Accepted(first, number)
