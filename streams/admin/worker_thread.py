"""Runs blocking work outside the event loop: one piece at a time, abandoned when the server stops."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

from headrace.streams.admin.http_auth import Refused

T = TypeVar("T")
_WAITING = 8


class WorkerThread:
    """Runs each piece of work in a new daemon thread, so that the process can end without waiting for it.

    The event loop and the engine's threads continue meanwhile.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._closing = asyncio.Event()

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`; Refused with 503 if too many requests wait already, or if the server stops before."""
        if self._waiting == _WAITING:
            raise Refused(503, f"{_WAITING} requests wait already; try again later")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._run(work)
        finally:
            self._waiting -= 1

    async def _run(self, work: Callable[[], T]) -> T:
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()

        def run() -> None:
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)

        result = asyncio.wrap_future(future)
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            if not self._closing.is_set():
                Thread(target=run, name="worker-thread", daemon=True).start()
                both: set[asyncio.Future[Any]] = {result, closing}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if result.done():
                return result.result()
            raise Refused(503, "the worker stops; what was asked for may be done in part")
        finally:
            result.cancel()
            closing.cancel()

    async def close(self, _: Any = None) -> None:
        """End all waiting calls."""
        self._closing.set()
