"""A store in dictionaries, for tests and the in-memory driver."""

from bisect import bisect_left, insort
from collections.abc import Iterable

from headrace.streams.steps.store import Staged


class MemoryStore:
    """A Store in dictionaries, for the test driver."""

    def __init__(self) -> None:
        self.snapshots: dict[bytes, bytes] = {}
        self.results: dict[bytes, bytes] = {}
        self.other: dict[bytes, bytes] = {}
        self._events: dict[bytes, list[tuple[int, bytes]]] = {}

    def snapshot(self, root: bytes) -> bytes | None:
        return self.snapshots.get(root)

    def result(self, key: bytes) -> bytes | None:
        return self.results.get(key)

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
        self.results.update(staged.results)
        for key, entry in staged.entries.items():
            if entry is None:
                self.other.pop(key, None)
            else:
                self.other[key] = entry
        for root, sequence, value in staged.history:
            insort(self._events.setdefault(root, []), (sequence, value))
