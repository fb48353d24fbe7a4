"""`headrace projections switch` moves the search alias and the pointer in Redis, and moves them back."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import reload
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.connectors.redis import Documents
from headrace.embedded import EmbeddedConnect
from tests.support.bank import messages_pb2 as pb
from tests.support.bank import sunk
from tests.support.bank.projectors import Card, Cards, LaterCard, LaterCards
from tests.support.deployment import until
from tests.support.redis_server import RedisServer
from tests.support.search_server import OPENSEARCH, SearchServer
from tests.support.workflow_deployment import WorkflowDeployment

pytestmark = pytest.mark.kafka


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Iterator[SearchServer]:
    with SearchServer(OPENSEARCH) as server:
        monkeypatch.setenv("BANK_SEARCH_URL", server.url)
        yield server


@pytest.fixture
def headrace(
    versions: WorkflowDeployment,
    search: SearchServer,
    redis: RedisServer,
    connect: EmbeddedConnect,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """The command, and a writer to Redis beside it."""
    settings = versions.settings
    for name, value in {
        "TOPOLOGY": "tests.support.bank.sunk:topology",
        "BOOTSTRAP": settings.bootstrap,
        "PREFIX": settings.prefix,
        "CONNECT_URL": connect.url,
    }.items():
        monkeypatch.setenv(f"HEADRACE_{name}", value)
    reload(sunk)  # its sinks name this test's search server

    def run(*arguments: str, code: int = 0) -> list[dict[str, Any]]:
        result = CliRunner().invoke(app, [*arguments, "--json"])
        assert result.exit_code == code, result.output
        return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]

    command = [sys.executable, "-m", "headrace.cli.main", "sinks", "redis", "--web-port", "0"]
    with subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.DEVNULL) as writer:
        try:
            yield run
        finally:
            writer.terminate()
            for version in ("1", "2"):
                CliRunner().invoke(app, ["connect", "delete", f"cards-v{version}.search"])


def test_readers_see_one_version_and_then_the_other(
    versions: WorkflowDeployment, headrace: Any, search: SearchServer
) -> None:
    versions.worker("first", BANK_COMPONENTS="account,cards-v1").start().await_ready()
    second = versions.worker("second", BANK_COMPONENTS="cards-v2").start().await_ready()
    alias, first, other = (f"{versions.settings.prefix}main.{name}" for name in ("cards", *_INDEXES))

    async def deposit(amount: int) -> None:
        async with versions.client() as client:
            assert (await client.execute(pb.Deposit(amount=amount), root="a")).accepted

    def found(index: str) -> list[dict[str, Any]]:
        search.request("POST", f"/{index}/_refresh")
        return [hit["_source"] for hit in search.request("GET", f"/{index}/_search")[1]["hits"]["hits"]]

    asyncio.run(deposit(3))
    headrace("connect", "deploy")
    with Documents(settings=versions.settings) as documents:
        (switched,) = headrace("projections", "switch", "cards", "1")
        assert len(switched["done"]) == 2
        assert found(alias) == [{"owner": "", "balance": 3, "deposits": 1, "notes": []}]
        assert documents.get(Cards, "a") == Card(balance=3, deposits=1)

        asyncio.run(deposit(4))
        headrace("projections", "switch", "cards", "2")
        assert found(alias) == [{"balance": 7, "largest": 4}]
        assert documents.serving(Cards) == 2
        assert documents.get(LaterCards, "a") == LaterCard(balance=7, largest=4)
        until(lambda: found(first)[0]["balance"] == 7, "the earlier version went on", 60)

        headrace("projections", "switch", "cards", "1")
        assert found(alias)[0]["deposits"] == 2
        assert documents.serving(Cards) == 1
        second.stop()
        (dropped,) = headrace("projections", "drop", "cards", "2")
        assert [line.split()[0] for line in dropped["dropped"]] == [
            "deleted",
            "deleted",
            "Redis:",
            *["deleted"] * 5,  # the last ones are topics, one of them its sink's
        ]
        assert search.request("GET", f"/{other}")[0] == 404
        left = AdminClient({"bootstrap.servers": versions.settings.bootstrap}).list_consumer_groups().result(20).valid
        assert not [group.group_id for group in left if "cards-v2" in group.group_id and "connect-" in group.group_id]
        assert documents.get(Cards, "a") == Card(balance=7, deposits=2)
    states = headrace("connect", "status", code=1)  # the one that was dropped is declared still
    assert {row["name"].rpartition("main.")[2]: row["state"] for row in states} == {
        "cards-v1.search": "RUNNING",
        "cards-v2.search": "MISSING",
    }


_INDEXES = ("cards-v1.documents", "cards-v2.documents")
