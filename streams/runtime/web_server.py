"""The worker's web server. Its pages stay reachable, however many connections a client holds open."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp.web import Application, AppRunner, Request, StreamResponse, middleware

MOST = 200
"""The most connections at a time; the engine needs file descriptors for its files and sockets too."""
IDLE = 15.0
"""Seconds that a connection may be open before a whole request has arrived, and between two requests."""
_CHECK_INTERVAL = 1.0
_SHUTDOWN = 2.0  # seconds that open requests may take when the worker ends
Handler = Callable[[Request], Awaitable[StreamResponse]]


class LimitedRunner(AppRunner):
    """Serves an application. Idle connections are closed when others need their place, and after `IDLE` seconds.

    aiohttp has no such limits: it waits for a request forever, on any number of connections.
    """

    __slots__ = ("_at_work", "_idle_since", "_watch")

    def __init__(self, app: Application) -> None:
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=IDLE,
            shutdown_timeout=_SHUTDOWN,
            auto_decompress=False,  # a small body may become a large one
        )
        self._idle_since: dict[Any, float] = {}
        """When each open connection became idle: one without a request that is being answered."""
        self._at_work: set[Any] = set()
        """Connections whose request is being answered; they are not closed, however long that takes."""
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
        """The factory that makes a protocol for each new connection."""
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
    """A connection above the limit, while a request is being answered on each of the others."""

    def connection_made(self, transport: Any) -> None:
        transport.abort()
