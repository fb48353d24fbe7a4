"""The time, and how long to wait before something is tried again."""

import time


def now_ms() -> int:
    """Wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


def backoff(attempt: int) -> float:
    """Seconds before the next attempt: 0.1, 0.2, 0.4, … 5."""
    return min(5.0, 0.1 * 2.0**attempt)
