"""The events since a root's snapshot, where not each batch writes one: a loaded root needs no others."""

from bisect import bisect_left
from collections.abc import Callable

from headrace.schemas.changelog import tail_key, unpack_tail
from headrace.schemas.headrace_v1_pb2 import Snapshot

Entry = Callable[[bytes], bytes | None]
"""Reads an entry of a store, by changelog key."""


def last_of(root: bytes, snapshot: Snapshot, entry: Entry) -> int:
    """Sequence of the root's last event; `snapshot` is its newest one."""
    if snapshot.every <= 1:
        return snapshot.sequence
    later = range(snapshot.sequence + 1, snapshot.sequence + snapshot.every)  # without a gap, from the first one on
    return snapshot.sequence + bisect_left(later, True, key=lambda at: _event(root, at, snapshot, entry) is None)


def events_of(root: bytes, snapshot: Snapshot, first: int, last: int, entry: Entry) -> list[bytes] | None:
    """The root's stored events, if all of these are after its newest snapshot; else None."""
    if snapshot.every <= 1 or first <= snapshot.sequence:
        return None
    found = [_event(root, at, snapshot, entry) for at in range(first, last + 1)]
    events = [event for event in found if event is not None]
    return events if len(events) == len(found) else None


def _event(root: bytes, sequence: int, snapshot: Snapshot, entry: Entry) -> bytes | None:
    value = entry(tail_key(root, sequence % snapshot.every))
    if value is None:
        return None
    at, stored = unpack_tail(value)
    return stored if at == sequence else None
