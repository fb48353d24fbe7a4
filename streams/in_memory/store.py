"""A store in dictionaries."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.schemas.stored_event import recorded_of
from headrace.streams.steps.store import LATEST, NOTHING, Head, Staged


class MemoryStore:
    """A Store in dictionaries, for what runs in memory."""

    def __init__(self) -> None:
        self.recorded = 0
        self.snapshots: dict[bytes, bytes] = {}
        self.results: dict[bytes, bytes] = {}
        self.documents: dict[bytes, bytes] = {}
        self.other: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._events: dict[bytes, list[tuple[int, bytes]]] = {}

    def head(self, root: bytes) -> Head:
        events = self._events.get(root, [])
        if (stored := self.snapshots.get(root)) is None:  # a test may put one without the other
            return Head(events[0][0], events[-1][0]) if events else NOTHING
        snapshot = Snapshot.FromString(stored)
        return Head(snapshot.first, max(snapshot.sequence, events[-1][0] if events else -1), snapshot)

    def last(self, root: bytes) -> int:
        return self.head(root).last

    def first(self, root: bytes) -> int:
        return self.head(root).first

    def last_at(self, root: bytes, moment: int) -> int:
        events = self._events.get(root, [])
        known = bisect_right(events, moment, key=lambda event: recorded_of(event[1]))
        return events[known - 1][0] if known else -1

    def snapshot(self, root: bytes, at: int = LATEST) -> bytes | None:
        stored = self.snapshots.get(root)
        if stored is None or at == LATEST:
            return stored
        return stored if Snapshot.FromString(stored).sequence <= at else None

    def result(self, key: bytes) -> bytes | None:
        return self.results.get(key)

    def history(self, root: bytes, first: int, last: int) -> Iterable[bytes]:
        events = self._events.get(root, [])
        start, end = bisect_left(events, (first, b"")), bisect_left(events, (last + 1, b""))
        return [value for _, value in events[start:end]]

    def document(self, document_id: bytes) -> bytes | None:
        return self.documents.get(document_id)

    def entry(self, key: bytes) -> bytes | None:
        return self.other.get(key)

    def entries(self, prefix: bytes, start: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
        keys, at = self._keys, bisect_left(self._keys, start or prefix)
        while at < len(keys) and keys[at].startswith(prefix):
            yield keys[at], self.other[keys[at]]
            at += 1

    def expired(self, now: int) -> list[bytes]:
        return []

    def put(self, staged: Staged) -> None:
        """Store what a batch staged."""
        self.recorded = max(self.recorded, staged.recorded)
        self.snapshots.update(staged.snapshots)
        self.results.update(staged.results)
        self.documents.update({name: data for name, data in staged.documents.items() if data is not None})
        for name in [name for name, data in staged.documents.items() if data is None]:
            self.documents.pop(name, None)
        for key, entry in staged.entries.items():
            if entry is not None:
                if key not in self.other:
                    insort(self._keys, key)
                self.other[key] = entry
            elif self.other.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]
        for root, sequence, value in staged.history:
            insort(self._events.setdefault(root, []), (sequence, value))
