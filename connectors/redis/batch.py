"""Records of one partition on their way into Redis. No I/O."""

from dataclasses import dataclass, field

from headrace.connectors.redis.confirmation import Confirmation

MOST_RECORDS = 2000
"""Lua hands no more than 8000 values to a call, and a document takes two."""
MOST_BYTES = 4 * 1024 * 1024
"""Redis does nothing else while it takes a batch."""


@dataclass(slots=True)
class Batch:
    """What one script writes. Of several records of a document the last one counts."""

    begin: int
    """Where Redis must be for the batch to be written."""
    next: int
    """Where it is then."""
    at: int = 0
    """Time of the last record, in milliseconds."""
    records: int = 0
    size: int = 0
    documents: dict[bytes, tuple[bytes | None, int]] = field(default_factory=dict)
    """By id: the value, None to delete it, and the record's time in milliseconds."""
    confirmations: list[Confirmation] = field(default_factory=list)
    """Who is to be told once it is written."""

    @property
    def full(self) -> bool:
        """Whether it should be written before it takes more."""
        return self.records >= MOST_RECORDS or self.size >= MOST_BYTES

    def take(self, offset: int, key: bytes | None, value: bytes | None, at: int) -> None:
        """Add a record, the next one of the partition."""
        self.next, self.at = offset + 1, at
        self.records += 1
        if key is not None:  # brokers accept no others on a compacted topic
            self.size += len(key) + len(value or b"")
            self.documents[key] = (value, at)
