"""Whether a sink may have missed deletions, so that its system has documents that are gone. No I/O.

A topic keeps a deletion for `delete.retention.ms`, then compaction removes it. Whoever reads later than that does not
see it: a sink that stood still for so long, or that took so long to read all documents for the first time.
"""

import json
from dataclasses import dataclass
from datetime import timedelta

from headrace.schemas.record import rfc3339


@dataclass(frozen=True, slots=True)
class Unread:
    """What a sink's group has not read of one partition, as Kafka says now."""

    next: int
    """Offset that is committed; negative if there is none."""
    first: int
    end: int
    oldest: int | None
    """Time of the next committed record, in milliseconds since 1970; None if there is none, or it is not known."""
    kept: int
    """Milliseconds for which the topic keeps deletions."""


@dataclass(frozen=True, slots=True)
class Begin:
    """When a sink began at the oldest record, as it was noted then."""

    at: int
    """Milliseconds since 1970."""
    end: int
    """Where the partition's log ended."""
    missed: str = ""
    """Why the sink may have missed deletions since then, as it was once seen; empty if it was not."""

    def metadata(self) -> str:
        """All but the end, as text that Kafka keeps beside an offset."""
        return json.dumps({"at": self.at, "missed": self.missed})

    @classmethod
    def parse(cls, end: int, metadata: str | None) -> "Begin | None":
        """None for what `metadata` has not made."""
        try:
            found = json.loads(metadata or "")
            return cls(int(found["at"]), end, str(found["missed"]))
        except (ValueError, TypeError, KeyError):
            return None


def missed_because(unread: Unread, begin: Begin | None, now: int) -> str:
    """Why a sink may have missed deletions in a partition; empty if it has not.

    Whoever has nothing to read has missed nothing, however long ago the last record was. Between the looks at a sink
    nothing is known: one that was away and has caught up in the meantime is not noticed.
    """
    if begin is not None and begin.missed:
        return begin.missed
    if unread.next > unread.end:
        return "the log ends before its place: the topic was made again"
    if 0 <= unread.next < unread.first:
        return "records after its place were deleted"
    if unread.oldest is None:
        return ""
    kept = f"the topic keeps deletions for {timedelta(milliseconds=unread.kept)}"
    if begin is not None and unread.next < begin.end:  # it reads what was there when it began, however old that is
        took = now - begin.at
        return f"it has read for {_text(took)} without coming to the end, and {kept}" if took > unread.kept else ""
    age = now - unread.oldest
    return f"its next record is of {rfc3339(unread.oldest)}, and {kept}" if age > unread.kept else ""


def _text(milliseconds: int) -> str:
    return str(timedelta(seconds=milliseconds // 1000))
