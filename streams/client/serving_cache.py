"""Which versions of projectors serve, read again when the answer is some seconds old."""

import asyncio
import time
from collections.abc import Mapping

from headrace.streams.admin.serving import serving
from headrace.streams.settings import Settings

_FRESH = 10.0
"""Seconds for which an answer is used. A version that no longer serves goes on for longer than that."""


class ServingCache:
    """For the calls of one client, which are on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: Mapping[str, int] = {}
        self._until = 0.0
        self._lock: asyncio.Lock | None = None

    async def recorded(self) -> Mapping[str, int]:
        """The recorded version of each projector that was ever switched. Raises KafkaException, TimeoutError."""
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            if time.monotonic() > self._until:
                found = await asyncio.to_thread(serving, self._settings)
                self._known = {name: row.version for name, row in found.items()}
                self._until = time.monotonic() + _FRESH
        return self._known
