"""The time at which a command or fact is decided, where its sender may choose it."""

from datetime import datetime

from headrace.schemas.record import rfc3339, since_epoch
from headrace.topology.names import MAIN


def time_header(now: datetime | None, edition: str) -> str | None:
    """The value of `ce_now` for a sender that chooses `now`, None for one that does not.

    Raises ValueError in main, where a command is decided at the time of its record, and for a time without a zone.
    """
    if now is None:
        return None
    if edition == MAIN:
        raise ValueError(f"now={now}: in {MAIN} a command is decided at the time of its record; use an edition")
    return rfc3339(since_epoch(now))
