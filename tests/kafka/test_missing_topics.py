"""What would fail for every record stops the component, visibly; what somebody else left open is named and counted."""

import asyncio

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from headrace.streams.admin.topics import create, wanted
from tests.support import deadlines
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import topology
from tests.support.deployment import Deployment, until

pytestmark = pytest.mark.kafka
LAG = 'headrace_lag_records{domain="account"}'


def send(bank: Deployment, amount: int) -> None:
    """A command with an address for its answer, for which nobody waits."""

    async def go() -> None:
        async with bank.client() as client:
            await client.send(pb.Deposit(amount=amount), root="r")
            await client.flush()

    asyncio.run(go())


def execute(bank: Deployment, amount: int) -> int:
    async def go() -> int:
        async with bank.client() as client:
            return (await client.execute(pb.Deposit(amount=amount), root="r", timeout=60)).sequence

    return asyncio.run(go())


def delete(bank: Deployment, topic: str) -> None:
    client = AdminClient(bank.settings.client())
    client.delete_topics([topic])[topic].result()
    until(lambda: topic not in client.list_topics().topics, f"{topic} is gone")


def test_a_replies_topic_that_is_deleted(bank: Deployment) -> None:
    """No command becomes a dead letter for it, and all are decided once it is there again."""
    worker = bank.worker(HEADRACE_TRANSACTION_TIMEOUT=2).start().await_ready()
    assert execute(bank, 1) == 0

    async def go() -> None:
        async with bank.client() as client:
            delete(bank, bank.settings.names.replies)
            with pytest.raises(TimeoutError):
                await client.execute(pb.Deposit(amount=2), root="r", command_id="c", timeout=1)
            said = "topics are missing; nothing is handled until `headrace topics create` has made them"
            await asyncio.to_thread(until, lambda: worker.said(said), "it is said", 60)
            assert worker.said(said)[0]["topics"] == bank.settings.names.replies
            assert not worker.ready
            assert worker.page("/healthz")[0] == 200

    asyncio.run(go())
    create(bank.settings, [spec for spec in wanted(bank.settings, topology) if "replies" in spec.name])
    worker.await_ready(60)
    assert execute(bank, 3) == 2
    assert not bank.log().verify().dead_letters
    assert worker.stop() < deadlines.seconds(5)


def test_a_worker_ends_at_once_while_a_topic_is_missing(bank: Deployment) -> None:
    worker = bank.worker(HEADRACE_TRANSACTION_TIMEOUT=2).start().await_ready()

    async def go() -> None:
        async with bank.client() as client:
            delete(bank, bank.settings.names.replies)
            await client.send(pb.Deposit(amount=2), root="r")
            with pytest.raises(TimeoutError):
                await client.execute(pb.Deposit(amount=2), root="r", command_id="c", timeout=1)

    asyncio.run(go())
    until(lambda: not worker.ready, "it is not ready", 60)
    assert worker.stop() < deadlines.seconds(5)


def test_a_transaction_that_somebody_left_open(bank: Deployment) -> None:
    worker = bank.worker(HEADRACE_TRANSACTION_TIMEOUT=1).start().await_ready()
    stranger = Producer(bank.settings.producer(transactional_id=f"{bank.settings.prefix}stranger"))
    stranger.init_transactions(30)
    stranger.begin_transaction()
    stranger.produce(bank.topic("commands"), b"x", b"r")
    assert stranger.flush(30) == 0
    send(bank, 1)
    said = "a transaction is open on an input, and holds back what lies behind it"
    until(lambda: worker.said(said), "it is said", 90)
    until(lambda: worker.metrics()[LAG] == 2, "its record, and the one behind it, count")
    stranger.abort_transaction(30)
    until(lambda: worker.metrics()[LAG] == 0, "all is handled", 60)
    assert execute(bank, 2) == 1
