"""The engine on real Kafka when nothing goes wrong: routing, answers, reads, pages, and an orderly end."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Deployment, deployed

pytestmark = pytest.mark.kafka


@pytest.fixture
def bank(bootstrap: str, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of its own for each test."""
    with deployed(bootstrap, tmp_path) as deployment:
        yield deployment


def test_topics_are_usable_as_soon_as_they_are_made(bootstrap: str, tmp_path: Path) -> None:
    """A client may be opened at once; for a moment brokers do not know a new topic, or lead none of it."""

    async def open_and_close(bank: Deployment) -> None:
        async with bank.client():
            pass

    for _ in range(3):
        with deployed(bootstrap, tmp_path, reply_partitions=50) as bank:
            asyncio.run(open_and_close(bank))
