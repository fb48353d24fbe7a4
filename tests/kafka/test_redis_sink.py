"""The sink to Redis, as a process, on a real Kafka and a real Redis. What is in Redis is compared with the log."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cards import Cards, cards
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that do not end it."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def deployment(bootstrap: str, redis: RedisServer, tmp_path: Path) -> Iterator[Cards]:
    """Cards with a topic of their own."""
    with cards(bootstrap, redis, tmp_path) as made:
        yield made


def test_documents_are_loaded_changed_and_deleted(deployment: Cards) -> None:
    deployment.write(deployment.churn(1))
    writer = deployment.writer().start().await_ready()
    assert len(deployment.await_exact()) > 100
    deployment.write(deployment.churn(2))
    deployment.write(dict.fromkeys(deployment.churn(3)))
    deployment.await_exact()
    assert writer.stop() < 5
