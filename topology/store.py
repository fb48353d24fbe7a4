"""What the step needs of a store, and what it stages for one; with a store in memory for tests."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class Staged:
    """Writes of one batch in one partition of one edition; all of them are put, or none."""

    snapshots: dict[bytes, bytes] = field(default_factory=dict)
    """Snapshot messages by root."""
    answers: dict[bytes, bytes] = field(default_factory=dict)
    """Values as in `Answers`, by root NUL command id."""
    answers_key: bytes = b""
    """Key in the changelog of the record that holds all of `answers`."""
    history: list[tuple[bytes, int, bytes]] = field(default_factory=list)
    """Root, sequence and stored event."""
    entries: dict[bytes, bytes | None] = field(default_factory=dict)
    """Facts, parked records and timers, by changelog key; None removes one."""
    escalations: list[dict[str, str]] = field(default_factory=list)
    """What a person is to be told once the batch is committed."""
    forgotten: list[bytes] = field(default_factory=list)
    """Changelog keys of answers that have grown too old."""


class Store(Protocol):
    """One partition of one edition, as the step reads it."""

    def snapshot(self, root: bytes) -> bytes | None:
        """The root's Snapshot message, serialised; None for a root that has no events."""

    def answer(self, key: bytes) -> bytes | None:
        """The answer given to root NUL command id; None when that command was not handled yet."""

    def history(self, root: bytes, first: int, last: int) -> Iterable[bytes]:
        """The root's stored events from `first` to `last`, without a gap."""

    def entry(self, key: bytes) -> bytes | None:
        """One of the store's other entries, by changelog key."""

    def entries(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Entries whose key begins with `prefix`, in order of keys."""

    def expired(self, now: int) -> list[bytes]:
        """Changelog keys of answers older than the store remembers them; `now` in milliseconds."""


class MemoryStore:
    """A Store in dictionaries, for the test driver."""

    def __init__(self) -> None:
        self.snapshots: dict[bytes, bytes] = {}
        self.answers: dict[bytes, bytes] = {}
        self.other: dict[bytes, bytes] = {}
        self._events: dict[bytes, list[tuple[int, bytes]]] = {}

    def snapshot(self, root: bytes) -> bytes | None:
        return self.snapshots.get(root)

    def answer(self, key: bytes) -> bytes | None:
        return self.answers.get(key)

    def history(self, root: bytes, first: int, last: int) -> Iterable[bytes]:
        events = self._events.get(root, [])
        start = bisect_left(events, (first, b""))
        return [value for sequence, value in events[start:] if sequence <= last]

    def entry(self, key: bytes) -> bytes | None:
        return self.other.get(key)

    def entries(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        return sorted((k, v) for k, v in self.other.items() if k.startswith(prefix))

    def expired(self, now: int) -> list[bytes]:
        return []

    def put(self, staged: Staged) -> None:
        """Take what a batch staged."""
        self.snapshots.update(staged.snapshots)
        self.answers.update(staged.answers)
        for key, entry in staged.entries.items():
            if entry is None:
                self.other.pop(key, None)
            else:
                self.other[key] = entry
        for root, sequence, value in staged.history:
            insort(self._events.setdefault(root, []), (sequence, value))
