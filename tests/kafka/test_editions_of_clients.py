"""Editions as a client makes them, while a worker runs that was started before: scenarios of the whole."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from headrace.streams.client import Client
from headrace.streams.editions import deletion
from headrace.streams.editions.diff import Difference
from headrace.streams.editions.registry import EditionUnknown, Registry
from tests.support import deadlines
from tests.support.bank import messages_pb2 as pb
from tests.support.workflow_deployment import WorkflowDeployment, workflow_of

pytestmark = pytest.mark.kafka
PURSE = "purse"


@pytest.fixture(scope="module")
def bank(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkflowDeployment]:
    with workflow_of(bootstrap, "topology", tmp_path_factory.mktemp("editions")) as deployment:
        deployment.worker().start().await_ready()
        yield deployment


@pytest.fixture(autouse=True)
def cleared(bank: WorkflowDeployment) -> Iterator[None]:
    yield
    names = [name for name, one in Registry(bank.settings).all().items() if one.state != "deleted"]
    for name in sorted(names, reverse=True):  # children come after their parents in the alphabet
        deletion.delete(bank.settings, name)


def play(bank: WorkflowDeployment, scenario: Callable[[Client], Awaitable[None]]) -> None:
    async def go() -> None:
        async with bank.client() as main:
            await scenario(main)

    asyncio.run(go())


async def deposit(client: Client, root: str, *amounts: int) -> list[int]:
    replies = [await client.execute(pb.Deposit(amount=amount), root=root) for amount in amounts]
    assert all(reply.accepted for reply in replies)
    return [reply.sequence for reply in replies]


async def amounts(client: Client, root: str) -> list[int]:
    """Of the root's deposits, in order of their sequences."""
    events = [event async for event in client.events(root, domain=PURSE)]
    assert [event.sequence for event in events] == list(range(len(events)))
    return [event.data.amount for event in events if isinstance(event.data, pb.Deposited)]


def test_an_edition_goes_on_from_main_and_main_does_not_see_it(bank: WorkflowDeployment) -> None:
    async def scenario(main: Client) -> None:
        await deposit(main, "a", 1)
        await main.editions.create("trial")
        async with main.edition("trial") as trial:
            assert await deposit(trial, "a", 2) == [1]
            assert await amounts(trial, "a") == [1, 2]
            await deposit(main, "a", 3, 4)
            assert await amounts(trial, "a") == [1, 2]
            assert await amounts(main, "a") == [1, 3, 4]

    play(bank, scenario)


def test_a_command_in_an_edition_is_decided_at_the_time_that_it_names(bank: WorkflowDeployment) -> None:
    async def scenario(main: Client) -> None:
        await main.editions.create("trial")
        new_year = datetime(2031, 1, 1, tzinfo=UTC)
        async with main.edition("trial") as trial:
            reply = await trial.execute(pb.Deposit(amount=1), root="new-year", now=new_year)
            assert [event.time for event in reply.events] == ["2031-01-01T00:00:00.000Z"]
        with pytest.raises(ValueError, match="in main a command is decided at the time of its record"):
            await main.execute(pb.Deposit(amount=1), root="new-year", now=new_year)
        assert await main.state("new-year", PURSE) is None

    play(bank, scenario)


def test_an_edition_begins_after_the_event_that_is_named(bank: WorkflowDeployment) -> None:
    async def scenario(main: Client) -> None:
        await deposit(main, "b", 1, 2, 3)
        await deposit(main, "later", 9)
        await main.editions.create("trial", at=f"{PURSE}/b:1")
        async with main.edition("trial") as trial:
            assert await amounts(trial, "b") == [1, 2]
            assert await trial.state("later", PURSE) is None
            assert await deposit(trial, "b", 5) == [2]

    play(bank, scenario)


def test_a_name_that_is_used_again_shows_nothing_old(bank: WorkflowDeployment) -> None:
    async def scenario(main: Client) -> None:
        await deposit(main, "c", 1)
        for amount in (2, 3):
            await main.editions.create("trial")
            async with main.edition("trial") as trial:
                assert await amounts(trial, "c") == [1]
                await deposit(trial, "c", amount)
                await deposit(trial, "only-here", amount)
                assert await amounts(trial, "only-here") == [amount]
            await main.editions.delete("trial")
        assert await main.state("only-here", PURSE) is None

    play(bank, scenario)


def test_the_differences_of_two_editions_are_named(bank: WorkflowDeployment) -> None:
    async def scenario(main: Client) -> None:
        async def differences() -> list[Difference]:
            return [one for one in await main.editions.diff("main", "trial") if one.component == PURSE]

        with pytest.raises(EditionUnknown, match="there is no edition 'trial'"):
            await differences()
        await deposit(main, "e", 1, 2)
        await deposit(main, "same", 1)
        await main.editions.create("trial", at=f"{PURSE}/same:0")
        assert await differences() == []
        async with main.edition("trial") as trial:
            await deposit(trial, "e", 3)
            await deposit(trial, "elsewhere", 4)
        await deposit(main, "same", 5)
        assert await differences() == [
            Difference(PURSE, "e", (1, 2), ("balance", "count")),
            Difference(PURSE, "elsewhere", (-1, 0), ("balance", "count")),
            Difference(PURSE, "same", (1, 0), ("balance", "count")),
        ]

    play(bank, scenario)


def test_editions_whose_time_is_over_are_pruned_children_first(bank: WorkflowDeployment) -> None:
    async def scenario(main: Client) -> None:
        moment = timedelta(milliseconds=1)
        await main.editions.create("over", expires=moment)
        await main.editions.create("over-too", parent="over", expires=moment)
        await main.editions.create("stays", expires=timedelta(days=1))
        assert [gone.name for gone in await main.editions.prune()] == ["over-too", "over"]
        assert [edition.name for edition in await main.editions.list()] == ["stays"]

    play(bank, scenario)


def test_a_saga_stays_in_its_edition(bank: WorkflowDeployment) -> None:
    """Each deposit is noted in a book by a saga."""

    async def notes(client: Client) -> int:
        return len([event async for event in client.events("f", domain="book")])

    async def scenario(main: Client) -> None:
        await deposit(main, "f", 1)
        await awaited(notes, main, 1)
        await main.editions.create("trial")
        async with main.edition("trial") as trial:
            assert await notes(trial) == 1
            await deposit(trial, "f", 2, 3)
            await awaited(notes, trial, 3)
            assert await notes(main) == 1

    play(bank, scenario)


async def awaited(count: Callable[[Client], Awaitable[int]], client: Client, wanted: int) -> None:
    deadline = time.monotonic() + deadlines.seconds(20)
    while (found := await count(client)) != wanted:
        assert time.monotonic() < deadline, f"{found} instead of {wanted}"


def test_an_edition_that_follows_sees_all_until_its_own_first_event(bank: WorkflowDeployment) -> None:
    async def scenario(main: Client) -> None:
        await deposit(main, "g", 1)
        await main.editions.create("trial", follow=True)
        async with main.edition("trial") as trial:
            await deposit(main, "g", 2)
            assert await amounts(trial, "g") == [1, 2]
            await deposit(trial, "g", 3)
            await deposit(main, "g", 4)
            assert await amounts(trial, "g") == [1, 2, 3]

    play(bank, scenario)


def test_editions_of_editions_and_beside_each_other(bank: WorkflowDeployment) -> None:
    async def scenario(main: Client) -> None:
        await deposit(main, "d", 1)
        await main.editions.create("one")
        await main.editions.create("other")
        async with main.edition("one") as one, main.edition("other") as other:
            await deposit(one, "d", 2)
            await deposit(other, "d", 3)
            await main.editions.create("one-more", parent="one")
            async with main.edition("one-more") as more:
                await deposit(one, "d", 4)
                await deposit(more, "d", 5)
                assert await amounts(more, "d") == [1, 2, 5]
            assert [await amounts(client, "d") for client in (main, one, other)] == [[1], [1, 2, 4], [1, 3]]

    play(bank, scenario)
