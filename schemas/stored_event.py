"""An event on its log and in the store: its attributes and its bytes, which are never rewritten.

In the store it is not a protobuf message, because to rebuild one root 100,000 events may be read: splitting at seven
NULs takes a fifth of the time that parsing takes.
"""

from collections.abc import Iterable
from typing import NamedTuple

from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.event_schema import EventSchema, parse_key
from headrace.schemas.headrace_v1_pb2 import Event


class StoredEvent(NamedTuple):
    """Fields in the order in which they are stored; all but `data` are text without NUL."""

    schema: bytes
    """The type's name or, for another version than the first, the header `ce_dataschema`: see `event_schema`."""
    recorded: bytes
    """Recorded time: the timestamp of its record on the log, in milliseconds as decimal digits."""
    time: bytes
    """When it was decided: `ce_time`."""
    causation: bytes
    correlation: bytes
    fact: bytes
    content_type: bytes
    """Empty for protobuf."""
    data: bytes

    def pack(self) -> bytes:
        """As the store keeps it."""
        return b"\0".join(self)


def unpack(value: bytes) -> StoredEvent:
    """One value of the store's history."""
    return StoredEvent(*value.split(b"\0", 7))


def recorded_of(value: bytes) -> int:
    """The recorded time of one value of the store's history, in milliseconds."""
    return int(value.split(b"\0", 2)[1])


def stored_content_type(header: bytes | None) -> bytes:
    """A content type as it is stored."""
    return b"" if header is None or header == PROTOBUF.encode() else header


def event_key(root: str, sequence: int) -> str:
    """Key of an event on its log: one key per event, so that compaction keeps them all."""
    return f"{root}|{sequence:020d}"


def split_event_key(key: bytes) -> tuple[bytes, int]:
    """Root and sequence of an event on its log; ValueError for another key."""
    root, _, number = key.rpartition(b"|")
    return root, int(number)


def root_of(key: bytes | None) -> bytes:
    """Root of an event on its log; empty for a key of another form."""
    return (key or b"").rpartition(b"|")[0]


def to_event(value: bytes, sequence: int) -> Event:
    """The event as it is in replies and query results."""
    stored = unpack(value)
    schema = parse_key(stored.schema)
    return Event(
        type=schema.type,
        sequence=sequence,
        data=stored.data,
        content_type=stored.content_type.decode(),
        time=stored.time.decode(),
        correlation_id=stored.correlation.decode(),
        causation_id=stored.causation.decode(),
        fact_id=stored.fact.decode(),
        version=wire_version(schema),
    )


def wire_version(schema: EventSchema) -> int:
    """The version of an event in replies and query results, where 0 stands for the first."""
    return 0 if schema.version == 1 else schema.version


def to_events(values: Iterable[bytes], first: int) -> list[Event]:
    """Consecutive stored events; the first one has the sequence `first`."""
    return [to_event(value, sequence) for sequence, value in enumerate(values, first)]
