"""One embedded Kafka for all tests of a session; each test takes topics and groups of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from headrace.embedded import EmbeddedKafka


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
