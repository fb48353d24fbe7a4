"""`sync="cascade"` on real Kafka: once a command returns, all that it leads to is there, or is undone."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.streams.client import CascadeFailed, CascadeUnknown, Client, Reply
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import until
from tests.support.workflow_deployment import WorkflowDeployment, workflow_of

pytestmark = pytest.mark.kafka
ROOTS = 40


@pytest.fixture
def undone(bootstrap: str, tmp_path: Path) -> Iterator[WorkflowDeployment]:
    """Purses, whose deposits a saga has noted in a book, and the component that undoes what fails."""
    with workflow_of(bootstrap, "undone", tmp_path) as deployment:
        yield deployment


async def deposit(client: Client, root: str, amount: int, command_id: str) -> Reply | None:
    """A deposit with its cascade; None if it is not known whether all of it is handled."""
    try:
        return await client.execute(
            pb.Deposit(amount=amount), root=root, domain="purse", command_id=command_id, sync="cascade", timeout=20
        )
    except CascadeUnknown:
        return None


def test_what_a_command_leads_to_is_there_when_it_returns(undone: WorkflowDeployment) -> None:
    undone.worker("purses", BANK_COMPONENTS="purse,keeper").start().await_ready()
    undone.worker("books", BANK_COMPONENTS="book,cascades").start().await_ready()

    async def scenario() -> None:
        async with undone.client() as client:

            async def one(number: int) -> None:
                await deposit(client, f"r{number}", 2, f"c{number}")
                for root in (f"r{number}", f"r{number}-copy"):
                    assert (await client.state(root, "book")).note

            await asyncio.gather(*(one(number) for number in range(ROOTS)))
            with pytest.raises(CascadeFailed, match="book rejected") as failed:
                await client.execute(pb.Deposit(amount=7), root="x", domain="purse", sync="cascade", timeout=30)
            assert failed.value.reply.accepted
            reply = await client.execute(
                pb.Deposit(amount=13), root="y", domain="purse", sync="cascade", on_error="continue", timeout=30
            )
            (failure,) = reply.failures
            assert (failure.component, failure.root, failure.code, failure.rejected) == (
                "keeper",
                "y",
                "ZeroDivisionError",
                False,
            )

    asyncio.run(scenario())


def test_workers_that_die_leave_no_cascade_half_reported(undone: WorkflowDeployment) -> None:
    """Each call returns or says that it does not know; what was reported as settled is on the logs."""
    points = ("keeper>inbox", "keeper:commit", "book:store")
    workers = [undone.worker(name).start().await_ready() for name in ("a", "b")]

    async def scenario() -> list[Reply | None]:
        async with undone.client() as client:
            found: list[Reply | None] = []
            for number, point in enumerate(points):
                worker = workers[number % 2]
                worker.plan_fault(point, signal.SIGKILL)
                calls = [deposit(client, f"{point}-{root}", 1, f"{point}-{root}") for root in range(ROOTS)]
                waiting = asyncio.gather(*calls)
                await asyncio.to_thread(until, worker.fault_reached, f"a worker died at {point}", 60)
                await asyncio.to_thread(worker.wait)
                await asyncio.to_thread(worker.start)
                found += await waiting
            return found

    found = asyncio.run(scenario())
    ledger = undone.settled()
    known = [reply for reply in found if reply is not None]
    assert len(known) >= len(found) // 2
    for reply in known:
        assert len(ledger.messages("book", reply.root)) == 1
    for root in {root for domain, root in ledger.events if domain == "purse"}:
        assert len(ledger.messages("book", root)) == 1  # each once, known or not
