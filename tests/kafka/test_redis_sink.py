"""The sink to Redis, as a process, on a real Kafka and a real Redis. What is in Redis is compared with the log."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from redis.crc import key_slot

from headrace.bench.redis_sink import TARGETS, redis_sink
from headrace.connectors.redis import AsyncDocuments, Documents, DocumentUnreadable, NotLoaded, aget, get
from headrace.topology.partitioner import partition_of
from tests.support import deadlines
from tests.support.cards import BriefCards, Card, Cards, LaterCards, PlayerCards, cards
from tests.support.deployment import until
from tests.support.independent_reader import read_topics
from tests.support.log_ends import end_offsets
from tests.support.pages import ROOT, blocks, write_files
from tests.support.redis_server import RedisCluster, RedisServer
from tests.support.shell import Shell

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that do not end it."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def deployment(bootstrap: str, redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cards]:
    """Cards with a topic of their own; readers of this process are of the same deployment."""
    with cards(bootstrap, redis, tmp_path) as made:
        monkeypatch.setenv("REDIS_URL", redis.url)
        monkeypatch.setenv("HEADRACE_PREFIX", made.settings.prefix)
        yield made


def test_documents_are_loaded_changed_and_deleted(deployment: Cards) -> None:
    deployment.write(deployment.churn(1))
    writer = deployment.writer().start().await_ready()
    assert len(deployment.await_exact()) > 100
    deployment.write(deployment.churn(2))
    deployment.write(dict.fromkeys(deployment.churn(3)))
    deployment.await_exact()
    metrics = writer.metrics()
    written = sum(len(deployment.churn(seed)) for seed in (1, 2, 3))
    assert metrics['headrace_redis_documents_total{domain="player-cards-v1"}'] == written
    assert metrics['headrace_redis_partitions_begun_anew_total{domain="player-cards-v1"}'] == 3
    ends = {number: end for (_, number), end in end_offsets(deployment.settings.bootstrap, [deployment.topic]).items()}
    until(lambda: deployment.committed() == ends, "the group's lag is zero, markers of transactions counted")
    until(lambda: writer.metrics()['headrace_redis_lag_records{domain="player-cards-v1"}'] == 0, "no lag is shown")
    assert writer.stop() < deadlines.seconds(5)


def test_aborted_documents_never_appear(deployment: Cards) -> None:
    seen: set[bytes] = set()
    deployment.writer().start().await_ready()
    for seed in range(10):
        deployment.write({f"{name}-aborted": {"name": "aborted"} for name in deployment.churn(seed)}, commit=False)
        deployment.write(deployment.churn(seed, 20))
        seen |= deployment.stored().keys()
    seen |= deployment.await_exact().keys()
    there = read_topics(deployment.settings.bootstrap, [deployment.topic], "read_uncommitted")[deployment.topic]
    assert sum((entry.key or b"").endswith(b"-aborted") for entry in there) > 100, "they are on the log"
    assert not [key for key in seen if key.endswith(b"-aborted")]


def test_two_writers_share_the_partitions(deployment: Cards) -> None:
    one, two = deployment.writer("one").start().await_ready(), deployment.writer("two").start()
    deployment.write(deployment.churn(1))
    until(lambda: two.said("partitions are read"), "the second one had some too")
    deployment.write(deployment.churn(2))
    deployment.await_exact()
    one.stop()
    deployment.write(deployment.churn(3))
    deployment.await_exact()


def test_what_names_no_document_or_is_none_harms_only_itself(deployment: Cards) -> None:
    strange = {"": {"name": "empty"}, "}:{": {"name": "braces"}, "ä\0\n": {"name": "bytes"}, "x/position": {}}
    writer = deployment.writer().start()
    other = Producer({"bootstrap.servers": deployment.settings.bootstrap})
    other.produce(deployment.topic, b"no JSON", "mike", partition=partition_of(b"mike", 3))
    other.produce(deployment.topic, b"x" * 900_000, "large", partition=partition_of(b"large", 3))
    other.flush()
    deployment.write({**strange, "anna": {"name": "Anna"}})
    writer.await_ready()
    with Documents() as documents:
        until(lambda: documents.get(PlayerCards, "anna") == Card("Anna"), "anna's card is there")
        assert [documents.get(PlayerCards, name) for name in strange] == [
            Card("empty"),
            Card("braces"),
            Card("bytes"),
            Card(),
        ]
        with pytest.raises(DocumentUnreadable, match="player-cards-v1/mike in Redis is no PlayerCards document"):
            documents.get(PlayerCards, "mike")
    assert len(deployment.stored()) == 7
    assert writer.metrics()['headrace_redis_batches_refused_total{domain="player-cards-v1"}'] == 0


def test_a_topic_that_is_missing_is_named_and_waited_for(deployment: Cards) -> None:
    deployment.delete()
    writer = deployment.writer().start()
    until(lambda: writer.said("waiting for the brokers"), "it said what it waits for")
    assert f"there is no topic {deployment.topic}; `headrace topics create` makes it" in writer.tail()
    assert not writer.ready
    deployment.create()
    deployment.write(deployment.churn(1))
    writer.await_ready()
    deployment.await_exact()


def test_documents_that_expire(bootstrap: str, redis: RedisServer, tmp_path: Path) -> None:
    with cards(bootstrap, redis, tmp_path, BriefCards) as deployment:
        long_ago = int((datetime.now(UTC) - timedelta(hours=2)).timestamp() * 1000)
        other = Producer(deployment.settings.producer())
        other.produce(deployment.topic, b'{"name":"Anna"}', "anna", timestamp=long_ago)
        other.produce(deployment.topic, b'{"name":"Mike"}', "mike")
        other.flush()
        deployment.writer().start().await_ready()
        (key,) = deployment.stored()
        assert key.endswith(b":mike"), "anna's would have ended an hour ago"
        with redis.client() as client:
            assert 3500 < client.ttl(key) <= 3600


# ---- reads


def test_reads_follow_the_pointer(deployment: Cards) -> None:
    later = Cards(deployment.settings.bootstrap, deployment.redis, deployment.folder, LaterCards)
    later.settings, later.topic = deployment.settings, deployment.topic.replace("-v1", "-v2")
    later.create()
    with Documents(settings=deployment.settings) as documents:
        with pytest.raises(NotLoaded, match="nothing of player-cards-v1 is in this Redis"):
            documents.get(PlayerCards, "mike")
        assert documents.reached(PlayerCards) == {}
        deployment.write({"mike": {"name": "Mike", "bankroll": 5, "hands": ["h1"]}})
        later.write({"mike": {"name": "Mike the Second"}})
        deployment.writer("both", CARDS="player-cards").start().await_ready()
        assert documents.get(PlayerCards, "mike") == get(PlayerCards, "mike") == Card("Mike", 5, ["h1"])
        assert documents.get(LaterCards, "mike") == Card("Mike the Second")
        assert documents.get(PlayerCards, "anna") is None
        assert documents.serving(PlayerCards) is None
        documents.serve(LaterCards, 2)
        assert documents.serving(PlayerCards) == 2
        assert documents.get(PlayerCards, "mike") == get(PlayerCards, "mike") == Card("Mike the Second")
        documents.serve(LaterCards, 1)
        assert documents.get(LaterCards, "mike") == Card("Mike", 5, ["h1"])
        ends = end_offsets(deployment.settings.bootstrap, [deployment.topic])
        wanted = {number: end for (_, number), end in ends.items()}
        until(lambda: documents.reached(PlayerCards) == wanted, "Redis is at the end of the log")
    later.delete()


def test_reads_for_asyncio(deployment: Cards) -> None:
    deployment.write({"mike": {"name": "Mike"}})
    deployment.writer().start().await_ready()

    async def read() -> None:
        async with AsyncDocuments() as documents:
            found = list(await asyncio.gather(*map(documents.get, [PlayerCards] * 40, ["mike", "anna"] * 20)))
        assert found == [Card("Mike"), None] * 20
        assert await aget(PlayerCards, "mike") == Card("Mike")

    asyncio.run(read())
    asyncio.run(read())


def test_the_page_is_right(deployment: Cards, tmp_path: Path) -> None:
    """Its declaration, its command, and what its program prints."""
    page = ROOT / "docs/sinks/redis.md"
    write_files(page, tmp_path)
    shell = Shell(
        tmp_path,
        deployment.settings.bootstrap,
        deployment.settings.prefix,
        REDIS_URL=deployment.redis.url,
        HEADRACE_TOPOLOGY="cards:topology",
    )
    deployment.write({"mike": {"name": "Mike", "bankroll": 500}})
    with shell.worker("--projection", "player-cards", name=("sinks", "redis")):
        (shown,) = (block.text for block in blocks(page) if block.language == "text")
        assert shell.run("python read.py") == shown
    assert "no Redis is declared for 'player-card'; there are: player-cards" in shell.run(
        "headrace sinks redis --projection player-card"
    )


@pytest.mark.usefixtures("deployment")
def test_the_benchmark_measures_what_it_says(bootstrap: str) -> None:
    result = redis_sink(print, bootstrap, documents=6_000, partitions=2, rounds=1, reads=50)
    assert TARGETS.keys() <= result.keys()
    assert result["redis_documents_per_second"] > 0
    assert result["redis_writer_cpu_us"] > 0
    assert 0 < result["redis_get_p50_ms"] <= result["redis_get_p99_ms"]


# ---- a cluster, and a server with a password


def test_the_rights_that_the_page_names_are_enough(
    bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs/sinks/redis.md").read_text().partition("## Rights")[2].partition("##")[0]
    writing, reading = (re.findall(r"`([A-Z]{3,})`", part) for part in text.partition("In Redis:")[2].split(";")[:2])
    server = RedisServer(tmp_path / "redis").start()
    try:
        with cards(bootstrap, server, tmp_path) as deployment, server.client() as client:
            prefix = deployment.settings.prefix
            for user, commands in {"writer": writing, "reader": [*reading, "SET"]}.items():
                rights = [f"~{{{prefix}main.*", f"~{prefix}main.*", *(f"+{name.lower()}" for name in commands)]
                client.execute_command("ACL SETUSER", user, "on", ">hunter2", *rights)
            address = f"@127.0.0.1:{server.port}/0"
            deployment.write(deployment.churn(1))
            writer = deployment.writer(REDIS_URL=f"redis://writer:hunter3{address}").start()
            until(lambda: writer.said("waiting for Redis"), "the wrong password was noted")
            writer.kill()
            writer.start(REDIS_URL=f"redis://writer:hunter2{address}").await_ready()
            deployment.write({**deployment.churn(2), "mike": {"name": "Mike"}})
            deployment.await_exact()
            assert "hunter" not in writer.log.read_text()
            monkeypatch.setenv("REDIS_URL", f"redis://reader:hunter2{address}")
            with Documents(settings=deployment.settings) as documents:
                assert documents.get(PlayerCards, "mike") == Card("Mike")
                documents.serve(PlayerCards, 1)
                assert documents.serving(PlayerCards) == 1
                assert sum(documents.reached(PlayerCards).values()) > 0
    finally:
        server.stop()


def test_a_redis_cluster(bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three nodes: what a writer begins anew, what it writes, reads, a switch to another version, and a drop."""
    server = RedisCluster(tmp_path / "redis")
    monkeypatch.setenv("REDIS_URL", server.url)
    try:
        server.start()
        with cards(bootstrap, server, tmp_path) as deployment:  # type: ignore[arg-type]
            prefix = deployment.settings.prefix
            with server.client() as client:
                for number in range(3):
                    client.set(f"{{{prefix}main.player-cards-v1.{number}}}:left-over", "{}")
            later = Cards(bootstrap, server, tmp_path, LaterCards)  # type: ignore[arg-type]
            later.settings, later.topic = deployment.settings, deployment.topic.replace("-v1", "-v2")
            later.create()
            deployment.write(deployment.churn(1))
            writer = deployment.writer(CARDS="player-cards").start().await_ready()
            deployment.write(deployment.churn(2))
            wanted = deployment.await_exact()
            served = {slot_of(key) for key in wanted}
            assert len(served) > 1, "all documents are on one node"
            later.write({key.partition(b":")[2].decode(): {"name": "later"} for key in wanted})
            later.await_exact()
            key, value = next(iter(wanted.items()))
            name = key.partition(b":")[2].decode()

            async def read() -> list[Any]:
                async with AsyncDocuments(settings=deployment.settings) as documents:
                    names = [key.partition(b":")[2].decode() for key in wanted]
                    return [await documents.get(PlayerCards, name) for name in names]

            with Documents(settings=deployment.settings) as documents:
                found = documents.get(PlayerCards, name)
                assert found is not None
                assert found.bankroll == json.loads(value)["bankroll"]
                assert [card.bankroll for card in asyncio.run(read()) if card] == [
                    json.loads(value)["bankroll"] for value in wanted.values()
                ]
                documents.serve(LaterCards, 2)
                assert documents.get(PlayerCards, name) == Card("later")
                assert asyncio.run(read()) == [Card("later")] * len(wanted)
                assert writer.stop() < deadlines.seconds(5)
                assert documents.drop(PlayerCards) == len(wanted)
                assert documents.reached(PlayerCards) == {}
                assert deployment.stored() == {}
                assert len(later.stored()) == len(wanted)
            later.delete()
    finally:
        server.stop()


def slot_of(key: bytes) -> int:
    """Which third of the slots a key is in."""
    return 3 * key_slot(key) // 16384
