"""A point in a root's past, as callers name it."""

from datetime import datetime

from headrace.schemas.record import since_epoch

AsOf = int | datetime
"""The sequence of the last event that counts, -1 for none; or a time: events that were recorded by then count."""


def point_of(as_of: AsOf | None) -> tuple[int | None, int | None]:
    """The sequence or the moment, in milliseconds since 1970, that is meant; at most one of them is not None.

    Raises ValueError for a sequence below -1, and for a time without a time zone.
    """
    if isinstance(as_of, datetime):
        if as_of.tzinfo is None:
            raise ValueError(f"as_of={as_of} names no time zone; write datetime(…, tzinfo=UTC)")
        return None, since_epoch(as_of)
    if as_of is not None and as_of < -1:
        raise ValueError(f"as_of={as_of}; sequences begin with 0, and -1 is before the first event")
    return as_of, None
