"""One embedded Kafka for all tests of a session; each test takes topics and groups of its own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.connectors.search.plugin import plugin
from headrace.embedded import EmbeddedConnect, EmbeddedKafka
from tests.support.deployment import Deployment, deployed
from tests.support.redis_server import RedisServer
from tests.support.workflow_deployment import WorkflowDeployment, workflow_of


@pytest.fixture(scope="session")
def kafka() -> Iterator[EmbeddedKafka]:
    """The session's own single broker."""
    with EmbeddedKafka() as running:
        yield running


@pytest.fixture(scope="session")
def bootstrap(request: pytest.FixtureRequest) -> str:
    """The `bootstrap.servers` to test against: HEADRACE_BOOTSTRAP if set, else the session's own broker."""
    given = os.environ.get("HEADRACE_BOOTSTRAP")
    if given:
        return given
    own: EmbeddedKafka = request.getfixturevalue("kafka")
    return own.bootstrap


@pytest.fixture(scope="session")
def connect(bootstrap: str) -> Iterator[EmbeddedConnect]:
    """The session's own Connect worker, with the search sink; a test may kill it, and starts it again."""
    # A worker that was killed is known to be dead after this time.
    quick = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}
    group = f"connect-{uuid.uuid4().hex[:8]}"
    light = ["-XX:TieredStopAtLevel=1"]  # for a quicker start
    with EmbeddedConnect(bootstrap, [plugin().parent], group=group, properties=quick, jvm=light) as running:
        yield running


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[EmbeddedKafka]:
    """A broker of the module's own, to be killed, that takes a worker for dead after a second and a half."""
    quick = {
        "group.consumer.min.session.timeout.ms": 1000,
        "group.consumer.session.timeout.ms": 1500,
        "group.consumer.min.heartbeat.interval.ms": 200,
        "group.consumer.heartbeat.interval.ms": 200,
    }
    with EmbeddedKafka(properties=quick) as kafka:
        yield kafka


@pytest.fixture
def bank(bootstrap: str, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of the bank for each test; a module that kills its broker has `bootstrap` name `own_kafka`."""
    with deployed(bootstrap, tmp_path) as deployment:
        yield deployment


@pytest.fixture
def workflow(bootstrap: str, tmp_path: Path) -> Iterator[WorkflowDeployment]:
    """A deployment of purse, book and keeper, likewise."""
    with workflow_of(bootstrap, "topology", tmp_path) as deployment:
        yield deployment


@pytest.fixture
def versions(bootstrap: str, tmp_path: Path) -> Iterator[WorkflowDeployment]:
    """Accounts, and two versions of their cards, likewise."""
    with workflow_of(bootstrap, "versions", tmp_path) as deployment:
        yield deployment


@pytest.fixture
def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A Redis for each test, which sinks and readers find by REDIS_URL."""
    server = RedisServer(tmp_path / "redis").start()
    monkeypatch.setenv("REDIS_URL", server.url)
    yield server
    server.stop()
