"""`sync="simple"` with sinks that confirm: once a command returns, Redis has the documents."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace import Client
from headrace.connectors.redis import AsyncDocuments
from headrace.streams.client import ProjectionUnknown
from headrace.topology.projector import Projector
from tests.support import cards
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.projectors import Card, Cards, Pocket, Pockets
from tests.support.confirmed_cards import sinks, topology
from tests.support.deployment import Worker, until
from tests.support.independent_reader import read_topics
from tests.support.redis_server import RedisServer
from tests.support.workflow_deployment import WorkflowDeployment, workflow_of

pytestmark = pytest.mark.kafka


@pytest.fixture
def projected(bootstrap: str, tmp_path: Path) -> Iterator[WorkflowDeployment]:
    """Accounts, and the projectors of their events: one direct, one with a feed."""
    with workflow_of(bootstrap, "projected", tmp_path) as deployment:
        yield deployment


def writer_of(projected: WorkflowDeployment, redis: RedisServer, name: str = "redis") -> Worker:
    """`headrace sinks redis` for both projectors, not started yet."""
    worker = Worker(
        projected.folder / name,
        projected.settings,
        REDIS_URL=redis.url,
        CARDS="cards-v1,pockets-v1",
        CARDS_TOPOLOGY="tests.support.confirmed_cards:topology",
    )
    worker.runner = Path(cards.__file__)
    projected.workers.append(worker)
    return worker


def client_of(projected: WorkflowDeployment) -> Client:
    return Client(topology, projected.settings, sinks=sinks)


def test_redis_has_what_a_command_has_written(projected: WorkflowDeployment, redis: RedisServer) -> None:
    """One after the other, many at once, an event of two documents, one of none, and one that deletes its document."""
    projected.worker().start().await_ready()
    writer_of(projected, redis).start().await_ready()

    async def scenario() -> None:
        async with client_of(projected) as client, AsyncDocuments(settings=projected.settings) as documents:

            async def read(projector: type[Projector[Any]], name: str) -> Any:
                return await documents.get(projector, name)

            async def deposit(root: str, number: int) -> None:
                for each in range(1, number + 1):
                    await client.execute(pb.Deposit(amount=1), root=root, sync="simple", timeout=30)
                    card = await read(Cards, root)
                    assert card.deposits == each

            await deposit("a", 20)
            await asyncio.gather(*(deposit(f"b{number}", 5) for number in range(40)))

            async def one_of_many() -> None:
                reply = await client.execute(pb.Deposit(amount=1), root="hot", sync="simple", timeout=30)
                card = await read(Cards, "hot")
                assert card.deposits > reply.events[0].sequence

            await asyncio.gather(*(one_of_many() for _ in range(100)))
            for number in range(1, 5):
                await client.execute(pb.Stash(pocket="x/y", amount=1), root=f"r{number}", sync="simple", timeout=30)
                assert [await read(Pockets, name) for name in ("x", "y")] == [Pocket(number, number)] * 2
            await client.execute(pb.Swell(bytes=10), root="a", sync="simple", timeout=20)
            await client.execute(pb.Annotate(note="close"), root="a", sync="simple", timeout=30)
            assert await read(Cards, "a") is None
            await client.execute(pb.Deposit(amount=1), root="a", sync="simple", timeout=30)
            assert await read(Cards, "a") == Card(balance=21, deposits=1)

    asyncio.run(scenario())


def test_a_writer_that_dies_before_it_has_said_so_is_no_reason_to_wait(
    projected: WorkflowDeployment, redis: RedisServer
) -> None:
    """It is killed behind the script, three times: the next one tells what it finds beside the position."""
    projected.worker().start().await_ready()
    writer = writer_of(projected, redis)
    writer.start().await_ready()

    async def scenario() -> None:
        async with client_of(projected) as client, AsyncDocuments(settings=projected.settings) as documents:
            for number in range(1, 4):
                writer.plan_fault("after", signal.SIGKILL)
                waiting = asyncio.create_task(client.execute(pb.Deposit(amount=1), root="a", sync="simple", timeout=60))
                await asyncio.to_thread(writer.await_fault)
                await asyncio.to_thread(until, lambda: not writer.alive, "the writer was dead")
                assert not waiting.done()
                await asyncio.to_thread(writer.start)
                assert (await waiting).accepted
                assert await documents.get(Cards, "a") == Card(balance=number, deposits=number)

    asyncio.run(scenario())


def test_without_a_writer_it_is_said_that_redis_is_missing(projected: WorkflowDeployment, redis: RedisServer) -> None:
    projected.worker().start().await_ready()
    writer = writer_of(projected, redis)

    async def scenario() -> None:
        async with client_of(projected) as client:
            with pytest.raises(ProjectionUnknown, match="cards-v1 in redis did not acknowledge") as unknown:
                await client.execute(pb.Deposit(amount=1), root="a", sync="simple", timeout=5)
            assert unknown.value.missing == ["cards-v1 in redis"]
        async with Client(topology, projected.settings) as knows_no_sinks:
            await knows_no_sinks.execute(pb.Deposit(amount=1), root="a", sync="simple", timeout=30)

    asyncio.run(scenario())
    writer.start().await_ready()  # both are told; nobody listens any more
    topic = projected.settings.names.replies

    def told() -> list[Any]:
        entries = read_topics(projected.settings.bootstrap, [topic])[topic]
        return [entry for entry in entries if entry.headers["ce_source"] == b"/main/cards-v1/redis"]

    until(lambda: len(told()) == 2, "both were told")
