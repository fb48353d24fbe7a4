"""Time in tests: it passes only when a test says so."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from headrace.testing.request import since_epoch

Y2K = datetime(2000, 1, 1, tzinfo=UTC)
"""When tests begin, unless they say otherwise."""


class Clock:
    """What the driver takes for the present."""

    def __init__(self, start: datetime, moved: Callable[[], None]) -> None:
        self.milliseconds, self._moved = since_epoch(start), moved

    def set(self, now: datetime) -> None:
        """Make it `now`, earlier or later; ValueError without a time zone."""
        self.milliseconds = since_epoch(now)
        self._moved()

    def advance(self, by: timedelta) -> None:
        """Let time pass; time-outs that come due by then come."""
        self.milliseconds += by // timedelta(milliseconds=1)
        self._moved()

    @property
    def now(self) -> datetime:
        """The present, UTC, in whole milliseconds as Kafka counts them."""
        return datetime.fromtimestamp(self.milliseconds / 1000, UTC)
