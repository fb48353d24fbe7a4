"""Editions beside main, on real Kafka: what the engine does with those that it is told of."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from headrace.streams.admin import topics
from headrace.streams.client import Client
from headrace.streams.clock import now_ms
from headrace.streams.editions.record import Edition
from headrace.streams.editions.registry import new_id
from headrace.topology.cut import Cut
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import topology
from tests.support.deployment import Deployment, until
from tests.support.engine_threads import EngineThreads

pytestmark = pytest.mark.kafka


def branched(bank: Deployment, name: str, cut: Cut | None = None, parent: str = "main") -> Edition:
    """A new edition with its topics; cut now, if nothing else is said."""
    names, partitions = bank.settings.names, bank.settings.partitions
    topics.create(bank.settings, topology.topics(names, partitions, name, ["account"]))
    return Edition(name, new_id(), parent, Cut(now_ms()) if cut is None else cut, now_ms())


def client_of(bank: Deployment, name: str) -> Client:
    return Client(topology, bank.settings.model_copy(update={"edition": name}))


def begin(engine: EngineThreads, *branches: Edition) -> None:
    """Run these editions, and no others."""
    engine.editions = {one.id: one for one in branches}
    wanted = {one.name: "ready" for one in branches}
    until(lambda: engine.components["account"].editions == wanted, f"editions are {wanted}")


async def sequences(client: Client, root: str) -> list[int]:
    return [event.sequence async for event in client.events(root)]


Scenario = Callable[[EngineThreads, Client], Awaitable[None]]


def run(bank: Deployment, folder: Path, scenario: Scenario) -> None:
    """Play it, with main's client, while a worker runs."""

    async def play(engine: EngineThreads) -> None:
        async with bank.client() as main:
            await scenario(engine, main)

    with EngineThreads(bank.settings, topology, ["account"], folder) as engine:
        asyncio.run(play(engine))


async def deposit(client: Client, root: str, *amounts: int) -> None:
    for amount in amounts:
        assert (await client.execute(pb.Deposit(amount=amount), root=root)).accepted


async def balances(clients: Mapping[str, Client], root: str) -> dict[str, int]:
    states = {name: await client.state(root) for name, client in clients.items()}
    return {name: 0 if state is None else state.balance for name, state in states.items()}


def test_an_edition_that_is_made_while_a_worker_runs_goes_on_where_main_was(bank: Deployment, tmp_path: Path) -> None:
    async def scenario(engine: EngineThreads, main: Client) -> None:
        await deposit(main, "a", 10, 20, 30)
        held = dict(engine.components["account"]._assignment.partitions)
        begin(engine, branched(bank, "trial"))
        async with client_of(bank, "trial") as trial:
            reply = await trial.execute(pb.Withdraw(amount=60), root="a")
            assert (reply.accepted, reply.sequence) == (True, 3)
            await deposit(main, "a", 1)
            assert await balances({"main": main, "trial": trial}, "a") == {"main": 61, "trial": 0}
            assert await sequences(trial, "a") == await sequences(main, "a") == [0, 1, 2, 3]
            await deposit(main, "new", 5)
            assert await balances({"main": main, "trial": trial}, "new") == {"main": 5, "trial": 0}
        now = engine.components["account"]._assignment.partitions
        assert {n: (one, one.generation) for n, one in now.items()} == {n: (one, 1) for n, one in held.items()}

    run(bank, tmp_path / "w", scenario)


def test_a_cut_is_at_a_sequence_at_a_moment_or_moves_with_the_parent(bank: Deployment, tmp_path: Path) -> None:
    async def scenario(engine: EngineThreads, main: Client) -> None:
        await deposit(main, "a", 1, 2, 4)
        begin(
            engine,
            branched(bank, "exact", Cut(now_ms(), roots={("account", "a"): 1})),
            branched(bank, "now"),
            branched(bank, "moving", Cut()),
        )
        async with (
            client_of(bank, "exact") as exact,
            client_of(bank, "now") as now,
            client_of(bank, "moving") as moving,
        ):
            clients = {"exact": exact, "now": now, "moving": moving}
            assert await balances(clients, "a") == {"exact": 3, "now": 7, "moving": 7}
            await deposit(main, "a", 8)
            assert await balances(clients, "a") == {"exact": 3, "now": 7, "moving": 15}
            for client in clients.values():
                await deposit(client, "a", 100)
            await deposit(main, "a", 16)
            assert await balances(clients, "a") == {"exact": 103, "now": 107, "moving": 115}
            assert [len(await sequences(one, "a")) for one in clients.values()] == [3, 4, 5]

    run(bank, tmp_path / "w", scenario)


def test_an_edition_of_an_edition_and_a_restart_with_and_without_the_disk(bank: Deployment, tmp_path: Path) -> None:
    branches: list[Edition] = []

    async def first(engine: EngineThreads, main: Client) -> None:
        await deposit(main, "a", 1, 2)
        branches.append(branched(bank, "parent"))
        begin(engine, *branches)
        async with client_of(bank, "parent") as parent:
            await deposit(parent, "a", 4)
            branches.append(branched(bank, "child", parent="parent"))
            begin(engine, *branches)
            await deposit(parent, "a", 8)
            async with client_of(bank, "child") as child:
                await deposit(child, "a", 100)
                assert await balances({"main": main, "parent": parent, "child": child}, "a") == wanted
                assert await sequences(child, "a") == [0, 1, 2, 3]

    async def again(engine: EngineThreads, main: Client) -> None:
        begin(engine, *branches)
        async with client_of(bank, "parent") as parent, client_of(bank, "child") as child:
            assert await balances({"main": main, "parent": parent, "child": child}, "a") == wanted
            assert await sequences(child, "a") == [0, 1, 2, 3]

    wanted = {"main": 3, "parent": 15, "child": 107}
    run(bank, tmp_path / "w", first)
    run(bank, tmp_path / "w", again)
    run(bank, tmp_path / "another disk", again)


def test_a_name_that_is_used_again_shows_nothing_old(bank: Deployment, tmp_path: Path) -> None:
    async def scenario(engine: EngineThreads, main: Client) -> None:
        await deposit(main, "a", 1)
        begin(engine, other := branched(bank, "other"), branched(bank, "trial"))
        async with client_of(bank, "trial") as trial:
            await deposit(trial, "a", 100)
            begin(engine, other)
            remove(bank, "trial")
            await deposit(main, "a", 2)
            begin(engine, other, branched(bank, "trial"))
            assert await balances({"trial": trial}, "a") == {"trial": 3}
            await deposit(trial, "a", 10)
            async with client_of(bank, "other") as unchanged:
                assert await balances({"main": main, "trial": trial, "other": unchanged}, "a") == {
                    "main": 3,
                    "trial": 13,
                    "other": 1,
                }

    run(bank, tmp_path / "w", scenario)


def test_an_edition_whose_topic_was_deleted_stops_alone_and_says_so(
    bank: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario(engine: EngineThreads, main: Client) -> None:
        await deposit(main, "a", 1)
        begin(engine, branched(bank, "well"), branched(bank, "broken"))
        remove(bank, "broken")
        states = {"well": "ready", "broken": "stopped"}
        until(lambda: engine.components["account"].editions == states, f"editions are {states}")
        async with client_of(bank, "well") as well:
            await deposit(well, "a", 10)
            await deposit(main, "a", 2)
            assert await balances({"main": main, "well": well}, "a") == {"main": 3, "well": 11}

    run(bank, tmp_path / "w", scenario)
    assert "an edition is stopped; main goes on" in capsys.readouterr().out


def remove(bank: Deployment, name: str) -> None:
    """Delete an edition's topics."""
    admin = topics.admin(bank.settings)
    names = [spec.name for spec in topology.topics(bank.settings.names, 1, name, ["account"])]
    for future in admin.delete_topics(names, request_timeout=20).values():
        future.result()
    until(lambda: not set(names) & set(admin.list_topics(timeout=10).topics), "the topics are gone")
