"""A store in dictionaries, for tests and the in-memory driver."""

from bisect import bisect_left, insort
from collections.abc import Iterable

from headrace.streams.steps.store import Staged


class MemoryStore:
    """A Store in dictionaries, for the test driver."""

    def __init__(self) -> None:
        self.snapshots: dict[bytes, bytes] = {}
        self.results: dict[bytes, bytes] = {}
        self.documents: dict[bytes, bytes] = {}
        self.other: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._events: dict[bytes, list[tuple[int, bytes]]] = {}

    def snapshot(self, root: bytes) -> bytes | None:
        return self.snapshots.get(root)

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
