"""How far Redis has a partition of a documents topic, and whether what it has is still of use. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """What Redis says of one partition."""

    topic: str
    """Ids of the cluster and of the topic: a topic that is made again has the same name and another id."""
    next: int
    """Offset of the first record that is not in Redis."""
    at: int
    """A time by which nothing had been deleted that Redis does not know of; milliseconds since 1970."""
    loaded: bool
    """Whether Redis has had the whole partition since it was begun."""
    awaited: bytes = b""
    """Who waits for documents of the last batch, and may not have been told; see `confirmation`."""


@dataclass(frozen=True, slots=True)
class Log:
    """What Kafka says of the same partition."""

    topic: str
    first: int
    end: int
    """The high watermark; a transaction may be open before it."""
    partitions: int
    """Of the whole topic."""
    tombstones_kept: int
    """Milliseconds after which a deletion may disappear from the log."""


def parse(found: Mapping[bytes, bytes]) -> Position | None:
    """The hash under a partition's position; None when it is not there, or is not what a writer writes."""
    try:
        topic, offset, at = found[b"topic"].decode(), int(found[b"next"]), int(found[b"at"])
        return Position(topic, offset, at, found[b"loaded"] == b"1", found.get(b"awaited", b""))
    except (KeyError, ValueError):
        return None


def begun_anew_because(position: Position | None, log: Log, now: int) -> str:
    """Why Redis has to drop a partition and read it from the beginning; empty when it can go on at its position."""
    if position is None:
        return "Redis has no position of it"
    if position.topic != log.topic:
        return "the topic was made again"
    if position.next > log.end:
        return "the log ends before Redis's position"
    if position.next < log.first:
        return "records behind Redis's position were deleted"
    if position.next < log.end and now - position.at > log.tombstones_kept:
        return "deletions may be missing, which the log keeps only so long"
    return ""
