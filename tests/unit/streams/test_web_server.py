"""A worker's pages are there, whoever holds connections open; real sockets, no brokers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, web

from headrace.streams.admin import dead_letters_http
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime import web_server
from headrace.streams.runtime.host import Host
from headrace.streams.settings import Settings
from tests.support.bank import reactions
from tests.support.deadlines import seconds

Play = Callable[[Any, int], Awaitable[None]]


def served(play: Play) -> None:
    """Run `play` with the runner and the port of a worker's web server."""

    async def go() -> None:
        host: Any = Host(Settings(), reactions.topology, [], Metrics())
        await host.web.wsgi()
        runner = host.web._runner
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            await play(runner, runner.addresses[0][1])
        finally:
            await runner.cleanup()

    asyncio.run(go())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test reaches soon."""
    monkeypatch.setattr(web_server, "MOST", 20)
    monkeypatch.setattr(web_server, "IDLE", 0.5)
    monkeypatch.setattr(web_server, "_CHECK_INTERVAL", 0.1)
    monkeypatch.setattr(dead_letters_http, "BODY_SECONDS", 0.5)


async def health(port: int) -> int:
    async with ClientSession() as client, client.get(f"http://127.0.0.1:{port}/healthz") as answer:
        return answer.status


@pytest.mark.usefixtures("small")
def test_pages_are_reached_beside_connections_that_say_nothing() -> None:
    async def play(runner: Any, port: int) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
        for _, writer in held[::2]:
            writer.write(b"GET /healthz HTTP/1.1\r\nX: ")
        assert await health(port) == 200
        async with asyncio.timeout(seconds(10)):
            for reader, _ in held:
                assert await reader.read() == b"", "idle connections are closed"
        assert await health(port) == 200

    served(play)


@pytest.mark.usefixtures("small")
def test_a_body_that_does_not_come_is_408() -> None:
    async def play(runner: Any, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        about = b"POST /dead-letters/replay HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        writer.write(about + b"Content-Length: 100\r\n\r\n{")
        async with asyncio.timeout(seconds(10)):
            status = await reader.readline()
        assert b"408" in status

    served(play)


def test_an_answer_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only connections without a request are closed."""
    monkeypatch.setattr(web_server, "IDLE", 0.1)
    monkeypatch.setattr(web_server, "_CHECK_INTERVAL", 0.02)
    gone = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        other, writer = await asyncio.open_connection("127.0.0.1", request.url.port)
        assert await other.read() == b""  # an idle one was closed meanwhile
        writer.close()
        gone.set()
        return web.Response(text="done")

    async def go() -> None:
        app = web.Application()
        app.router.add_get("/", slow)
        runner = web_server.LimitedRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with (
            asyncio.timeout(seconds(10)),
            ClientSession() as client,
            client.get(f"http://127.0.0.1:{runner.addresses[0][1]}/") as answer,
        ):
            assert await answer.text() == "done"
        await runner.cleanup()

    asyncio.run(go())
    assert gone.is_set()
