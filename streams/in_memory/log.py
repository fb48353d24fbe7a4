"""Topics in memory: what was written, in order."""

from collections import defaultdict
from typing import NamedTuple

from headrace.schemas.headers import Headers
from headrace.schemas.record import Record, split_headers
from headrace.streams.in_memory.requests import sent


class Entry(NamedTuple):
    """A record as it was written."""

    order: int
    """Its number among all records of the log."""
    topic: str
    partition: int
    offset: int
    time: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    def record(self) -> Record:
        """As a reader gets it."""
        _, topic, partition, offset, time, key, value, written = self
        headers = {name: header.encode() if isinstance(header, str) else header for name, header in written}
        if len(headers) == len(written) and None not in headers.values():
            return Record(topic, partition, offset, time, key, value, headers)  # type: ignore[arg-type]
        return Record(topic, partition, offset, time, key, value, *split_headers(sent(written)))


class Log:
    """All topics. Records are kept as they were written, since few of them are ever read."""

    def __init__(self) -> None:
        self._topics: dict[str, list[Entry]] = defaultdict(list)
        self._offsets: dict[tuple[str, int], int] = defaultdict(int)
        self.size = 0
        """Number of records."""

    def append(
        self, topic: str, value: bytes | None, key: bytes | str | None, partition: int, headers: Headers, time: int
    ) -> Entry:
        """Write a record; `time` is in milliseconds."""
        place = topic, partition
        offset = self._offsets[place]
        self._offsets[place] = offset + 1
        key = key.encode() if isinstance(key, str) else key
        entry = Entry(self.size, topic, partition, offset, time, key, value, headers)
        self.size += 1
        self._topics[topic].append(entry)
        return entry

    def records(self, topic: str, since: int = 0) -> list[Record]:
        """The records of a topic, in the order in which they were written; those from the log's `since`th on."""
        entries = self._topics.get(topic, [])
        first = len(entries)
        while first and entries[first - 1].order >= since:
            first -= 1
        return [entry.record() for entry in entries[first:]]

    def since(self, order: int) -> list[Entry]:
        """All records from the log's `order`th on."""
        found: list[Entry] = []
        for entries in self._topics.values():
            for entry in reversed(entries):
                if entry.order < order:
                    break
                found.append(entry)
        return sorted(found)
