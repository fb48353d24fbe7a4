"""A version serves reads from Redis while the next one is built, under load, and until it takes over."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.connectors.redis import AsyncDocuments
from headrace.connectors.targets import targets
from headrace.streams.admin.projections import switch
from tests.support import cards, deadlines
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.projectors import Card, Cards
from tests.support.deployment import Worker
from tests.support.redis_server import RedisServer
from tests.support.two_versions import sinks, topology
from tests.support.workflow_deployment import WorkflowDeployment

pytestmark = pytest.mark.kafka
PLAYERS, EACH = [f"p{number}" for number in range(100)], 50
PER_SECOND, TOGETHER, AFTERWARDS = 1_000, 50, 1_000


def test_no_read_fails_and_none_is_of_a_version_that_is_half_built(
    versions: WorkflowDeployment, redis: RedisServer, record_property: Callable[[str, object], None]
) -> None:
    """Reads are begun by the clock, 1,000 a second as far as the machine does it, and deposits go on all the time.

    What a read gives tells its version: only the first one counts deposits. It must have all deposits of before.
    """
    versions.worker("first", BANK_COMPONENTS="account,cards-v1").start().await_ready()
    writer = Worker(
        versions.folder / "redis",
        versions.settings,
        REDIS_URL=redis.url,
        CARDS="cards",
        CARDS_TOPOLOGY="tests.support.two_versions:topology",
    )
    writer.runner = Path(cards.__file__)
    versions.workers.append(writer)
    writer.start().await_ready()
    versions.deposit(**{player: [1] * EACH for player in PLAYERS})

    async def scenario() -> None:
        async with AsyncDocuments(settings=versions.settings) as documents:
            deadline = time.monotonic() + deadlines.seconds(60)
            while await documents.get(Cards, PLAYERS[-1]) != Card(balance=EACH, deposits=EACH):
                assert time.monotonic() < deadline, "the first version did not come to be"
                await asyncio.sleep(0.05)

            async def build() -> int:
                """The next version from nothing, and the switch to it; returns the number of reads before that."""
                second = versions.worker("second", BANK_COMPONENTS="cards-v2")
                await asyncio.to_thread(lambda: second.start().await_ready())
                await asyncio.to_thread(_switch, versions)
                return len(given)

            async def pay() -> None:
                async with versions.client() as client:
                    while not switched.done():
                        for player in PLAYERS:
                            await client.send(pb.Deposit(amount=1), root=player)
                        await client.flush()

            async def read(player: str) -> Card | None:
                return await documents.get(Cards, player)

            given: list[Card | None] = []
            switched, paying = asyncio.create_task(build()), asyncio.create_task(pay())
            started = time.monotonic()
            while not switched.done() or len(given) < switched.result() + AFTERWARDS:
                due = int((time.monotonic() - started) * PER_SECOND) - len(given)
                if due <= 0:
                    await asyncio.sleep(0.005)
                names = [PLAYERS[(len(given) + number) % len(PLAYERS)] for number in range(min(due, TOGETHER))]
                given += await asyncio.gather(*map(read, names))
            await paying
            _check(given, switched.result())
            record_property("reads_per_second", round(len(given) / (time.monotonic() - started)))

    asyncio.run(scenario())


def _switch(versions: WorkflowDeployment) -> None:
    def no_connect() -> None:
        raise AssertionError("there is no sink that Connect runs")

    found = targets(sinks, versions.settings, "cards", 2, no_connect)  # type: ignore[arg-type]
    switch(versions.settings, topology, "cards", 2, found, timeout=deadlines.seconds(60))


def _check(given: list[Card | None], before: int) -> None:
    """`before` reads were answered when the switch had returned."""
    found = [card for card in given if card is not None]
    assert len(found) == len(given), "a document was missing"
    of = [1 if card.deposits else 2 for card in found]
    assert Counter(of).keys() == {1, 2}
    assert of == sorted(of), "a read was of the earlier version again"
    assert set(of[before + TOGETHER :]) == {2}
    assert all(card.balance >= EACH for card in found), "a read is of a version that is half built"
    assert any(card.balance > EACH for card in found[: of.index(2)]), "nothing was written meanwhile"
