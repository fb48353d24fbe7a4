"""A worker's pages of dead letters in memory, served, and asked as clients do."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from aiohttp.test_utils import TestClient, TestServer
from typer.testing import CliRunner

from headrace import Topology
from headrace.cli.main import app
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.host import Host
from headrace.streams.settings import Settings
from tests.support.bank import reactions

T = TypeVar("T")
TOKEN = "correct horse"  # noqa: S105
ALL = {"since": "2026-01-01T00:00:00Z"}


class Answer(NamedTuple):
    status: int
    data: Any
    headers: Any


def served(
    play: Callable[[TestClient[Any, Any]], Awaitable[T]], topology: Topology = reactions.topology, **settings: Any
) -> T:
    """What `play` comes to, with a client of a worker's web server."""

    async def go() -> T:
        host: Any = Host(Settings(**settings), topology, [], Metrics())
        async with TestClient(TestServer(await host.web.wsgi())) as client:
            return await play(client)

    return asyncio.run(go())


def ask(
    method: str,
    path: str,
    *,
    worker: dict[str, Any] | None = None,
    topology: Topology = reactions.topology,
    **named: Any,
) -> Answer:
    """One request, to a worker with these settings."""

    async def play(client: TestClient[Any, Any]) -> Answer:
        async with client.request(method, f"/dead-letters{path}", **named) as answer:
            text = await answer.text()
            return Answer(
                answer.status, json.loads(text) if answer.content_type.endswith("json") else text, answer.headers
            )

    return served(play, topology, **(worker or {}))


def replay(body: Any, **named: Any) -> Answer:
    return ask("POST", "/replay", json=body, **named)


def roots(**params: Any) -> list[str]:
    return [dead_letter["root"] for dead_letter in ask("GET", "", params=params).data]


def command(*arguments: str) -> list[Any]:
    """What `headrace dead-letters` prints with --json."""
    printed = CliRunner().invoke(app, ["dead-letters", *arguments, "--json"]).stdout
    return [json.loads(line) for line in printed.splitlines()]
