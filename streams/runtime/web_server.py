"""The worker's web server, whose pages stay reachable however many connections somebody holds open."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp.web import Application, AppRunner, Request, StreamResponse, middleware

MOST = 200
"""Connections at a time; files and sockets of the engine need descriptors too."""
IDLE = 15.0
"""Seconds that a connection may be open without a whole request, or between two."""
_CHECK_INTERVAL = 1.0
_SHUTDOWN = 2.0  # seconds that open requests have when the worker ends
Handler = Callable[[Request], Awaitable[StreamResponse]]


class LimitedRunner(AppRunner):
    """Serves an application. A connection that is idle makes way for another one, at the latest after `IDLE` seconds.

    aiohttp has no such limits of its own: it waits for a request for ever, on as many connections as there are.
    """

    __slots__ = ("_at_work", "_idle_since", "_watch")

    def __init__(self, app: Application) -> None:
        super().__init__(app, access_log=None, keepalive_timeout=IDLE, shutdown_timeout=_SHUTDOWN)
        self._idle_since: dict[Any, float] = {}
        """Open connections without a request that is being answered."""
        self._at_work: set[Any] = set()
        """Those whose request is being answered, which may take its time."""
        self._watch: asyncio.Task[None] | None = None
        app.middlewares.append(self._answering())

    async def setup(self) -> None:
        await super().setup()
        self._watch = asyncio.create_task(self._close_idle())

    async def cleanup(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        await super().cleanup()

    @property
    def server(self) -> Any:
        """What makes a protocol for each new connection."""
        return None if self._server is None else self._accept

    def _accept(self) -> asyncio.Protocol:
        assert self._server is not None
        if len(self._idle_since) + len(self._at_work) >= MOST:
            if len(self._at_work) >= MOST:
                return _TurnedAway()
            open_ = set(self._server.connections)
            self._forget_closed(open_)
            if idle := self._idle_since.keys() & open_:
                self._close(min(idle, key=self._idle_since.__getitem__))
        protocol = self._server()
        self._idle_since[protocol] = time.monotonic()
        return protocol

    def _answering(self) -> Any:
        @middleware
        async def answering(request: Request, handler: Handler) -> StreamResponse:
            protocol = request.protocol
            self._idle_since.pop(protocol, None)
            self._at_work.add(protocol)
            try:
                return await handler(request)
            finally:
                self._at_work.discard(protocol)
                self._idle_since[protocol] = time.monotonic()

        return answering

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_INTERVAL)
            assert self._server is not None
            self._forget_closed(set(self._server.connections))
            long_ago = time.monotonic() - IDLE
            for protocol in [one for one, since in self._idle_since.items() if since < long_ago]:
                self._close(protocol)

    def _forget_closed(self, open_: set[Any]) -> None:
        a_moment_ago = time.monotonic() - _CHECK_INTERVAL  # newer ones may not be open yet
        for protocol, since in list(self._idle_since.items()):
            if protocol not in open_ and since < a_moment_ago:
                del self._idle_since[protocol]

    def _close(self, protocol: Any) -> None:
        del self._idle_since[protocol]
        protocol.force_close()


class _TurnedAway(asyncio.Protocol):
    """A connection too many, all others being at work."""

    def connection_made(self, transport: Any) -> None:
        transport.abort()
