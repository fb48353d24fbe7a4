"""What librdkafka says, without the same thing a thousand times.

While no broker answers, each of a worker's clients tries to connect twenty times a second, and logs each refusal.
"""

import logging
import re
import time

_SELDOM = 30.0  # seconds; those of librdkafka's own rule, which forgets when it starts over with its first brokers
_MANY = 1000
_VARYING = re.compile(r"\[[^\]]*\]|\(after [^)]*\)")


class LogThrottle(logging.Filter):
    """Lets a trouble with a connection through once in half a minute, whichever client and thread met it."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this is to be said; other lines than those of failed connections always are."""
        text = record.getMessage()
        if not text.startswith("FAIL"):
            return True
        what, now = _VARYING.sub("", text), time.monotonic()
        if now - self._said.get(what, -_SELDOM) < _SELDOM:
            return False
        if len(self._said) >= _MANY:
            self._said.clear()
        self._said[what] = now
        return True


librdkafka = logging.getLogger("headrace.librdkafka")
"""The logger of all clients."""
librdkafka.addFilter(LogThrottle())
