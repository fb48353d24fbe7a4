"""Projectors on real Kafka: documents equal the fold of the log, whatever is killed."""

import asyncio
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import pytest
from google.protobuf.message import Message

from headrace.embedded import EmbeddedKafka
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import Load
from tests.support.projected import documents, expected_cards, expected_pockets
from tests.support.workflow_deployment import Ledger, WorkflowDeployment, run_on, workflow_of

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]
POINTS = [
    f"{component}:{point}"
    for component in ("cards-v1", "pockets-v1", "pockets-v1-feed")
    for point in ("flush", "offsets", "commit", "store")
]


@pytest.fixture(scope="module")
def bootstrap(own_kafka: EmbeddedKafka) -> str:
    """The broker that may be killed."""
    return own_kafka.bootstrap


@pytest.fixture
def projected(bootstrap: str, tmp_path: Path) -> Iterator[WorkflowDeployment]:
    """Accounts, and the projectors of their events."""
    with workflow_of(bootstrap, "projected", tmp_path) as deployment:
        yield deployment


def check(projected: WorkflowDeployment) -> Ledger:
    """Documents are the fold of the log."""
    ledger = projected.settled(120)
    partitions = projected.settings.partitions
    assert documents(ledger, "cards-v1", partitions) == expected_cards(ledger)
    assert documents(ledger, "pockets-v1", partitions) == expected_pockets(ledger)
    assert not ledger.entries("cards-v1", "dead-letters")
    assert not ledger.entries("pockets-v1", "dead-letters")
    return ledger


def test_documents_follow_the_log_while_workers_and_the_broker_are_killed(
    projected: WorkflowDeployment, own_kafka: EmbeddedKafka
) -> None:
    """20 kills of workers at all points of a transaction, 2 of the broker; what counts has counted nothing twice."""
    chance = random.Random(11)
    workers = [projected.worker(name, HEADRACE_TRANSACTION_TIMEOUT=3) for name in ("one", "two")]

    async def scenario() -> None:
        async with projected.client() as client:
            for worker in workers:
                await asyncio.to_thread(worker.start().await_ready)
            load = Load(client, 3, callers=8, roots=20, patience=3)
            await load.progress(200)
            for number in range(20):
                victim = workers[number % 2]
                victim.plan_fault(POINTS[number % len(POINTS)], SIGKILL)
                if number % 10 == 5:
                    await asyncio.to_thread(own_kafka.kill)
                    await asyncio.to_thread(own_kafka.restart)
                try:
                    await load.progress(chance.randrange(20, 60), 60)
                finally:
                    victim.kill()
                (victim.folder / "fault").unlink(missing_ok=True)
                if number % 7 == 3:
                    shutil.rmtree(victim.folder / "0", ignore_errors=True)
                victim.start()
            await load.finish()

    asyncio.run(scenario())
    ledger = check(projected)
    assert sum(card["deposits"] for card in expected_cards(ledger).values()) > 300
    for worker in workers:
        worker.await_ready()


def test_a_poisoned_event_parks_its_document_and_is_healed_in_order(
    projected: WorkflowDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others go on; a restart and a lost store change nothing."""
    worker = projected.worker().start().await_ready()

    async def execute(root: str, *commands: Message) -> None:
        async with projected.client() as client:
            for command in commands:
                assert (await client.execute(command, root=root, timeout=60)).accepted

    asyncio.run(execute("a", pb.Deposit(amount=1), pb.Annotate(note="poison"), pb.Deposit(amount=2)))
    asyncio.run(execute("b", pb.Deposit(amount=5)))
    cards = documents(projected.settled(), "cards-v1", 4)
    assert {root: card["balance"] for root, card in cards.items()} == {"a": 1, "b": 5}
    worker.kill()
    shutil.rmtree(worker.folder / "0")
    worker.start(BANK_HEALED="1").await_ready()
    asyncio.run(execute("a", pb.Deposit(amount=4)))
    assert documents(projected.settled(), "cards-v1", 4)["a"]["balance"] == 1
    run_on(projected, monkeypatch)("dead-letters", "replay", "--root", "a")
    ledger = projected.settled()
    assert documents(ledger, "cards-v1", 4) == expected_cards(ledger)
    assert expected_cards(ledger)["a"]["balance"] == 7
