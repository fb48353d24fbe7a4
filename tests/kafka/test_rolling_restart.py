"""A rolling restart of static members moves no partition, and restores nothing."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.embedded import EmbeddedKafka
from tests.support import deadlines
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import Deployment, Worker, deployed, until

pytestmark = pytest.mark.kafka
ROOTS = [f"root-{number}" for number in range(24)]


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Deployment]:
    """On a broker whose sessions outlive a restart on any machine."""
    with (
        EmbeddedKafka(properties={"group.consumer.session.timeout.ms": 60_000}) as kafka,
        deployed(kafka.bootstrap, tmp_path) as deployment,
    ):
        yield deployment


def deposit(bank: Deployment) -> set[int]:
    """One deposit for each root; the sequences that they got."""

    async def go() -> set[int]:
        async with bank.client() as client:
            replies = await asyncio.gather(
                *(client.execute(pb.Deposit(amount=1), root=root, timeout=60) for root in ROOTS)
            )
            return {reply.sequence for reply in replies}

    return asyncio.run(go())


def partitions(worker: Worker) -> float:
    return worker.metrics()['headrace_partitions{domain="account"}']


def held(worker: Worker) -> set[int]:
    """The partitions that the worker was given since its last start."""
    return {number for line in worker.said("partitions assigned") for number in line["partitions"]}


def test_workers_come_back_to_their_partitions_and_stores(bank: Deployment) -> None:
    workers = [bank.worker(name, HEADRACE_STATIC_MEMBER="true") for name in ("a", "b")]
    for worker in workers:
        worker.start().await_ready()
    until(lambda: [partitions(worker) for worker in workers] == [2, 2], "each has half of the partitions", 60)
    assert deposit(bank) == {0}
    before = [{line["partition"] for line in worker.said("partition ready")} for worker in workers]
    for round_ in (1, 2):
        for worker in workers:
            assert worker.stop() < deadlines.seconds(5)
            worker.start().await_ready(60)
            assert worker.restored_records() == 0
        assert deposit(bank) == {round_}
        for worker, had, other in zip(workers, before, reversed(before), strict=True):
            assert held(worker) <= had
            assert len(held(worker)) == 2
            assert not held(worker) & (other - had)
