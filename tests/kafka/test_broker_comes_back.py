"""A broker comes back: work goes on at once, not after some time-out of a transaction."""

import asyncio
import shutil
import time

import pytest

from headrace.embedded import EmbeddedKafka
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import Deployment

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]


@pytest.fixture(scope="module")
def bootstrap(own_kafka: EmbeddedKafka) -> str:
    """The broker that may be killed."""
    return own_kafka.bootstrap


def test_commands_are_answered_soon_after_a_broker_was_killed(bank: Deployment, own_kafka: EmbeddedKafka) -> None:
    """Producers know a coordinator that has gone; asked for it, librdkafka waits until its time is up."""
    worker = bank.worker().start().await_ready()

    async def scenario() -> list[float]:
        took: list[float] = []
        async with bank.client() as client:

            async def deposit() -> None:
                started = time.monotonic()
                reply = await client.execute(pb.Deposit(amount=1), root="r", timeout=60)
                assert reply.accepted
                took.append(time.monotonic() - started)

            for _ in range(2):  # with each of the producers
                await deposit()
            await asyncio.to_thread(own_kafka.kill)
            await asyncio.to_thread(own_kafka.restart)
            await asyncio.to_thread(worker.await_ready)
            for _ in range(2):
                await deposit()
        return took[2:]

    took = asyncio.run(scenario())
    assert max(took) < 5, f"seconds that commands took after the broker was there again: {took}"
    assert worker.metrics()['headrace_transactions_in_doubt_total{domain="account"}'] == 0


def test_workers_join_again_when_the_broker_has_forgotten_their_group(
    bank: Deployment, own_kafka: EmbeddedKafka
) -> None:
    """For librdkafka that is the end of a consumer; the engine takes another one, and loses and doubles nothing."""
    workers = [bank.worker(name).start().await_ready() for name in ("one", "two")]

    async def scenario() -> int:
        async with bank.client() as client:

            async def deposits() -> None:
                calls = (client.execute(pb.Deposit(amount=1), root=f"r{n}", timeout=60) for n in range(8))
                assert all(reply.accepted for reply in await asyncio.gather(*calls))

            await deposits()
            await asyncio.to_thread(own_kafka.kill)
            for folder in own_kafka.data_dir.glob("**/__consumer_offsets-*"):
                shutil.rmtree(folder)
            await asyncio.to_thread(own_kafka.restart)
            await deposits()
            for worker in workers:
                await asyncio.to_thread(worker.await_ready)
            await deposits()
            states = [await client.state(f"r{n}") for n in range(8)]
            return sum(state.balance for state in states)

    assert asyncio.run(scenario()) == 24
    assert sum(worker.log.read_text().count("another one joins") for worker in workers) > 0
