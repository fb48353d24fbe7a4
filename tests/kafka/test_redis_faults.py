"""The sink to Redis when something dies, freezes, is lost or comes back: afterwards Redis has what the log says."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.connectors.redis import Documents, NotLoaded
from headrace.embedded import EmbeddedKafka
from tests.support import deadlines
from tests.support.cards import Card, Cards, PlayerCards, cards
from tests.support.deployment import until
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.kafka


@pytest.fixture
def bootstrap(own_kafka: EmbeddedKafka) -> str:
    """A broker that soon takes a member of a group for dead."""
    return own_kafka.bootstrap


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, which may be killed."""
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.stop()


@pytest.fixture
def deployment(bootstrap: str, redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cards]:
    """Cards with a topic of their own; readers of this process are of the same deployment."""
    with cards(bootstrap, redis, tmp_path) as made:
        monkeypatch.setenv("REDIS_URL", redis.url)
        monkeypatch.setenv("HEADRACE_PREFIX", made.settings.prefix)
        yield made


# ---- the writer


@pytest.mark.parametrize("point", ["before", "after"])
def test_killed_under_load(deployment: Cards, point: str) -> None:
    """Before and after a script, four times each; documents are written meanwhile."""
    writer = deployment.writer()
    for seed in range(4):
        deployment.write(deployment.churn(2 * seed))
        writer.folder.mkdir(exist_ok=True)
        writer.plan_fault(point, signal.SIGKILL)
        writer.start()
        writer.await_fault()
        deployment.write(deployment.churn(2 * seed + 1))
    writer.start().await_ready()
    deployment.await_exact()


def test_frozen_while_another_takes_over_and_woken(deployment: Cards) -> None:
    """It holds a batch when it freezes, and sends the script when it is woken: Redis refuses it."""
    frozen, other = deployment.writer("frozen").start().await_ready(), deployment.writer("other")
    deployment.await_exact()
    frozen.plan_fault("before", signal.SIGSTOP)
    deployment.write(deployment.churn(1))
    until(frozen.fault_reached, "the first one is frozen")
    other.start()
    until(lambda: len(other.said("partitions are read")) > 0 and other.ready, "the other one has taken over", 60)
    deployment.write(deployment.churn(2))
    wanted = deployment.await_exact()
    frozen.send(signal.SIGCONT)
    refused = "Redis is elsewhere than this batch begins; nothing of it was written"
    until(lambda: frozen.said(refused), "the old batch was refused")
    assert deployment.stored() == wanted
    deployment.write(deployment.churn(3))
    deployment.await_exact()
    assert not other.said(refused)
    assert frozen.stop() < deadlines.seconds(5)
    assert other.stop() < deadlines.seconds(5)


# ---- Redis


def test_redis_away_for_a_while(deployment: Cards) -> None:
    deployment.redis.stop()
    writer = deployment.writer().start()
    until(lambda: writer.said("waiting for Redis"), "it said what it waits for")
    assert writer.readiness() == {"ready": False, "components": {"player-cards-v1": False}, "status": 503}
    deployment.write(deployment.churn(1))
    deployment.redis.start()
    deployment.await_exact()
    writer.await_ready()
    deployment.redis.restore(deployment.redis.save())
    deployment.redis.kill()
    until(lambda: not writer.ready, "it is not ready")
    deployment.write(deployment.churn(2))
    assert writer.stop() < deadlines.seconds(5)
    writer.start()
    deployment.redis.start()
    deployment.await_exact()
    assert writer.await_ready().stop() < deadlines.seconds(5)


def test_redis_restarted_empty(deployment: Cards) -> None:
    writer = deployment.writer().start().await_ready()
    deployment.write({**deployment.churn(1), "mike": {"name": "Mike"}})
    deployment.await_exact()
    deployment.redis.kill()
    deployment.redis.start()
    deployment.write(deployment.churn(2))
    with Documents(settings=deployment.settings) as documents:

        def found() -> bool:
            try:
                card = documents.get(PlayerCards, "mike")
            except NotLoaded:
                return False
            assert card is not None, "while Redis is filled, what is missing is not said to be deleted"
            return card == Card("Mike")

        until(found, "mike's card is there again")
    deployment.await_exact()
    lines = writer.said("Redis gets partitions from their beginning")
    assert sorted(number for line in lines for number in line["reasons"]) == ["0", "0", "1", "1", "2", "2"]


def test_redis_restored_from_an_older_copy(deployment: Cards) -> None:
    writer = deployment.writer().start().await_ready()
    deployment.write(deployment.churn(1))
    deployment.await_exact()
    older = deployment.redis.save()
    for seed in (2, 3, 4):
        deployment.write(deployment.churn(seed))
    deployment.await_exact()
    deployment.redis.kill()
    deployment.redis.restore(older)
    deployment.redis.start()
    assert deployment.stored() != deployment.folded()
    deployment.await_exact()
    assert len(writer.said("Redis gets partitions from their beginning")) == 1, "it went on where Redis was"


def test_an_older_copy_behind_a_running_writer_makes_it_seek_back(deployment: Cards) -> None:
    """Redis changes under the writer's connection, so that only the script's answer tells it."""
    writer = deployment.writer().start().await_ready()
    deployment.write(deployment.churn(1))
    deployment.await_exact()
    with deployment.redis.client() as client:
        older = {key: client.dump(key) for key in client.keys("*")}
        deployment.write(deployment.churn(2))
        deployment.await_exact()
        pipe = client.pipeline().flushall()
        for key, value in older.items():
            pipe.restore(key, 0, value)
        pipe.execute()
    deployment.write(deployment.churn(3))
    deployment.await_exact()
    (line, *_) = writer.said("Redis is elsewhere than this batch begins; nothing of it was written")
    assert int(line["redis"]) < line["batch"]


def test_a_copy_older_than_deletions_are_kept_is_dropped(bootstrap: str, redis: RedisServer, tmp_path: Path) -> None:
    """Its documents may have been deleted since, and nothing on the log would say so any more."""
    with cards(bootstrap, redis, tmp_path, config={"delete.retention.ms": "1"}) as deployment:
        writer = deployment.writer().start().await_ready()
        deployment.write(deployment.churn(1))
        deployment.await_exact()
        writer.stop()
        with redis.client() as client:
            client.set(f"{{{deployment.settings.prefix}main.player-cards-v1.0}}:deleted-long-ago", "{}")
        deployment.write(deployment.churn(2))
        writer.start()
        deployment.await_exact()
        (line,) = writer.said("Redis gets partitions from their beginning")
        assert set(line["reasons"].values()) == {"deletions may be missing, which the log keeps only so long"}


# ---- Kafka


@pytest.mark.parametrize("running", [True, False])
def test_the_topic_is_made_again(deployment: Cards, running: bool) -> None:
    """With more records than before, so that offsets do not tell."""
    writer = deployment.writer().start().await_ready()
    deployment.write(deployment.churn(1, 50))
    deployment.await_exact()
    if not running:
        writer.stop()
    deployment.delete()
    deployment.create()
    deployment.write(deployment.churn(2))
    if not running:
        writer.start()
    deployment.await_exact(60)
    said = writer.said("Redis gets partitions from their beginning")
    assert "the topic was made again" in said[-1]["reasons"].values()


def test_sigterm_while_the_broker_is_away(deployment: Cards, own_kafka: EmbeddedKafka) -> None:
    deployment.write(deployment.churn(1))
    writer = deployment.writer().start().await_ready()
    deployment.await_exact()
    own_kafka.kill()
    until(lambda: writer.said("waiting for the brokers"), "it said what it waits for")
    assert writer.stop() < deadlines.seconds(5)
    own_kafka.restart()
    deployment.write(deployment.churn(2))
    writer.start()
    deployment.await_exact()
