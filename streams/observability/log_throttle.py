"""What librdkafka logs, without the same line a thousand times.

While no broker answers, each of a worker's clients tries to connect twenty times per second, and logs each refusal.
"""

import logging
import re
import time

_INTERVAL = 30.0  # seconds; those of librdkafka's own rule, which forgets when it starts over with its first brokers
_MAX_KEPT = 1000
_VARYING = re.compile(r"\[[^\]]*\]|\(after [^)]*\)")


class LogThrottle(logging.Filter):
    """Lets lines about failed connections through once per half minute, for all clients and threads together."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log this line; lines about anything but failed connections are always logged."""
        # the client's arguments: facility, name of the client, text
        facility, *_, text = record.args if isinstance(record.args, tuple) and record.args else ("", "")
        if facility != "FAIL":
            return True
        key, now = _VARYING.sub("", str(text)), time.monotonic()
        if now - self._logged.get(key, -_INTERVAL) < _INTERVAL:
            return False
        if len(self._logged) >= _MAX_KEPT:
            self._logged.clear()
        self._logged[key] = now
        return True


librdkafka = logging.getLogger("headrace.librdkafka")
"""The logger of all clients."""
librdkafka.addFilter(LogThrottle())
