"""Time in memory: it passes only when somebody says so."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from headrace.schemas.record import Record, since_epoch
from headrace.streams.steps.step import Step

Y2K = datetime(2000, 1, 1, tzinfo=UTC)
"""The time at which tests begin, unless they set another."""


def due_next(step: Step, now: int) -> list[Record]:
    """The time-outs that are due first by `now`, in milliseconds, as a worker finds them that was there at their time.

    However far a clock is moved, time-outs that follow from these become due in their turn.
    """
    first = next(iter(step.due(now)), None)
    return [] if first is None else list(step.due(first.timestamp))


class Clock:
    """The time of a topology in memory."""

    def __init__(self, start: datetime, moved: Callable[[], None]) -> None:
        self.milliseconds, self._moved = since_epoch(start), moved

    def set(self, now: datetime) -> None:
        """Set the time to `now`, which may be earlier or later; ValueError without a time zone."""
        self.milliseconds = since_epoch(now)
        self._moved()

    def advance(self, by: timedelta) -> None:
        """Let time pass; time-outs that are then due are delivered."""
        self.milliseconds += by // timedelta(milliseconds=1)
        self._moved()

    @property
    def now(self) -> datetime:
        """The current time, UTC, in whole milliseconds, as Kafka has it."""
        return datetime.fromtimestamp(self.milliseconds / 1000, UTC)
