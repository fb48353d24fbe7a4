"""`sync="simple"` on real Kafka: once a command returns, documents have its events."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.streams.client import OutcomeUnknown, ProjectionFailed, ProjectionUnknown
from tests.support.bank import messages_pb2 as pb
from tests.support.independent_reader import read_topics
from tests.support.workflow_deployment import WorkflowDeployment, workflow_of

pytestmark = pytest.mark.kafka


@pytest.fixture
def projected(bootstrap: str, tmp_path: Path) -> Iterator[WorkflowDeployment]:
    """Accounts, and the projectors of their events: one direct, one with a feed."""
    with workflow_of(bootstrap, "projected", tmp_path) as deployment:
        yield deployment


def latest(projected: WorkflowDeployment, component: str) -> dict[str, Any]:
    entries = projected.read(component, "documents")
    return {(entry.key or b"").decode(): json.loads(entry.value or b"null") for entry in entries}


def test_documents_have_what_a_command_has_written(projected: WorkflowDeployment) -> None:
    projected.worker().start().await_ready()

    async def scenario() -> None:
        async with projected.client() as client:
            for number in range(1, 9):
                await client.execute(pb.Deposit(amount=number), root="a", sync="simple")
                cards = await asyncio.to_thread(latest, projected, "cards-v1")
                assert cards["a"]["deposits"] == number
            for number in range(1, 5):
                await client.execute(pb.Stash(pocket="x/y", amount=number), root=f"r{number}", sync="simple")
                pockets = await asyncio.to_thread(latest, projected, "pockets-v1")
                assert [pockets[name]["stashed"] for name in ("x", "y")] == [number, number]
            several = await client.execute(pb.Transfer(amounts=[1, 2, 3]), root="b", sync="simple")
            assert len(several.events) == 3
            cards = await asyncio.to_thread(latest, projected, "cards-v1")
            assert cards["b"]["deposits"] == 3
            assert not (await client.execute(pb.Touch(), root="a", sync="simple")).events
            assert not (await client.execute(pb.Withdraw(amount=10_000), root="a", sync="simple")).accepted
            passed_over = await client.execute(pb.Swell(bytes=10), root="a", sync="simple", timeout=20)
            assert passed_over.accepted

    asyncio.run(scenario())


def test_whoever_waits_is_told_when_documents_lack_an_event(projected: WorkflowDeployment) -> None:
    worker = projected.worker("accounts", BANK_COMPONENTS="account").start().await_ready()
    projector = projected.worker("projectors", BANK_COMPONENTS="cards-v1,pockets-v1,pockets-v1-feed").start()
    projector.await_ready()

    async def scenario() -> None:
        async with projected.client() as client:
            await client.execute(pb.Deposit(amount=1), root="a", sync="simple")
            for command in (pb.Annotate(note="poison"), pb.Deposit(amount=1)):  # dead, and behind a dead one
                with pytest.raises(ProjectionFailed, match=r"cards-v1: an event of a") as failed:
                    await client.execute(command, root="a", sync="simple", timeout=30)
                assert failed.value.reply.accepted
            with pytest.raises(ProjectionFailed, match=r"pockets-v1: an event of b"):
                await client.execute(pb.Stash(pocket="z", amount=-1), root="b", sync="simple", timeout=30)

            first = await client.execute(pb.Deposit(amount=1), root="c", command_id="c-1", sync="simple")
            with pytest.raises(ProjectionUnknown, match="decided before") as unknown:
                await client.execute(pb.Deposit(amount=1), root="c", command_id="c-1", sync="simple", timeout=1)
            assert unknown.value.reply.sequence == first.sequence

            await asyncio.to_thread(projector.stop)
            with pytest.raises(ProjectionUnknown, match="is a worker running that has them") as unknown:
                await client.execute(pb.Deposit(amount=1), root="c", sync="simple", timeout=3)
            assert unknown.value.reply.accepted
            assert unknown.value.missing == ["cards-v1", "pockets-v1"]
            await asyncio.to_thread(worker.stop)
            with pytest.raises(OutcomeUnknown):
                await client.execute(pb.Deposit(amount=1), root="c", sync="simple", timeout=1)

    asyncio.run(scenario())


def test_a_version_that_does_not_serve_yet_is_not_waited_for(bootstrap: str, tmp_path: Path) -> None:
    with workflow_of(bootstrap, "versions", tmp_path) as versions:
        versions.worker(BANK_COMPONENTS="account,cards-v1").start().await_ready()

        async def scenario() -> None:
            async with versions.client() as client:
                assert (await client.execute(pb.Deposit(amount=1), root="a", sync="simple", timeout=30)).accepted

        asyncio.run(scenario())


def test_a_restored_store_acknowledges_nothing_again(projected: WorkflowDeployment) -> None:
    worker = projected.worker().start().await_ready()

    async def scenario() -> None:
        async with projected.client() as client:
            await client.execute(pb.Deposit(amount=1), root="a", sync="simple")

    asyncio.run(scenario())
    acknowledged = [entry for entry in _replies(projected) if entry.headers["ce_type"] == b"headrace.v1.Projected"]
    assert {entry.headers["ce_source"] for entry in acknowledged} == {b"/main/cards-v1", b"/main/pockets-v1-feed"}
    worker.kill()
    shutil.rmtree(worker.folder / "0")  # a lost store is restored from documents, and acknowledges nothing
    worker.start().await_ready()
    projected.settled()
    assert len([e for e in _replies(projected) if e.headers["ce_type"] == b"headrace.v1.Projected"]) == len(
        acknowledged
    )


def _replies(projected: WorkflowDeployment) -> list[Any]:
    topic = projected.settings.names.replies
    return read_topics(projected.settings.bootstrap, [topic])[topic]
