"""Editions on real Kafka, with workers as processes and the registry: co-location, and chaos."""

import asyncio
import contextlib
import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.embedded import EmbeddedKafka
from headrace.streams.client import Client, OutcomeUnknown
from headrace.streams.editions.record import Edition
from headrace.streams.editions.registry import EditionUnknown
from tests.support import deadlines
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import topology
from tests.support.deployment import Deployment, Load, Worker, check_clients, deployed, until
from tests.support.engine_threads import EngineThreads
from tests.support.independent_reader import EMPTY, State, fold, message, read_topics

pytestmark = pytest.mark.kafka
KILLS, LIVE = int(os.environ.get("CHAOS_KILLS", "3")), int(os.environ.get("CHAOS_EDITIONS", "3"))
"""How often a worker is killed, and how many editions there are at a time; `make chaos` sets more."""


def ready(worker: Worker, *names: str) -> bool:
    """Whether a worker runs just these editions, all of them READY."""
    found = worker.readiness() or {}
    return bool(found.get("editions", {}).get("account", {}) == dict.fromkeys(names, "ready"))


def test_an_edition_lives_from_its_creation_to_its_deletion_while_a_worker_runs(bank: Deployment) -> None:
    worker = bank.worker().start().await_ready()

    async def scenario() -> None:
        async with bank.client() as main:
            await main.execute(pb.Deposit(amount=5), root="a")
            for amount in (10, 20):  # the second one has the name of the first, and nothing else of it
                await main.editions.create("trial")
                async with main.edition("trial") as trial:
                    reply = await trial.execute(pb.Deposit(amount=amount), root="a")
                    assert (reply.sequence, reply.events[0].data) == (
                        1,
                        pb.Deposited(amount=amount, balance=5 + amount),
                    )
                    assert (await trial.state("a")).balance == 5 + amount
                until(lambda: ready(worker, "trial"), "the edition is ready")
                gone = await main.editions.delete("trial")
                assert bank.settings.names.topic("trial", "account", "events") in gone.topics
                until(lambda: ready(worker), "the edition is gone")
            assert (await main.state("a")).balance == 5

    asyncio.run(scenario())
    bank.log().verify()
    assert len(worker.said("partitions assigned")) == 1
    assert not worker.said("partitions revoked")
    assert len([line for line in worker.said("partition ready") if "edition" not in line]) == bank.settings.partitions


def test_lanes_are_always_where_mains_partitions_are(bank: Deployment, tmp_path: Path) -> None:
    """Three workers join one by one, under load in main and in an edition."""
    seen: list[set[int]] = []

    async def scenario() -> None:
        async with bank.client() as main:
            created = (await main.editions.create("trial")).edition
            for number in range(1, 4):
                engines.append(EngineThreads(bank.settings, topology, ["account"], tmp_path / str(number)))
                engines[-1].editions = {created.id: created}
                await asyncio.to_thread(engines[-1].__enter__)
                async with bank.client() as client, main.edition("trial") as trial:
                    loads = [Load(client, 2 * number, callers=4), Load(trial, 2 * number + 1, callers=4)]
                    for load in loads:
                        await load.progress(50)
                    for load in loads:
                        await load.finish()
                        check_clients_of(load)
                held = [await asyncio.to_thread(co_located, one, created) for one in engines]
                assert sorted(partition for one in held for partition in one) == [0, 1, 2, 3]
                seen.extend(held)

    engines: list[EngineThreads] = []
    try:
        asyncio.run(scenario())
    finally:
        for engine in engines:
            engine.__exit__(None, None, None)
    assert len({frozenset(one) for one in seen}) > 2, "partitions moved"


def co_located(engine: EngineThreads, edition: Edition) -> set[int]:
    """Numbers of main's partitions on a worker, once those of the edition are the same."""
    component = engine.components["account"]
    until(lambda: component.ready and component.editions == {"trial": "ready"}, "the edition is ready")
    main = component._assignment.partitions
    lanes = component._editions._running[edition.id].lanes.partitions
    assert lanes.keys() == main.keys()
    return set(main)


def check_clients_of(load: Load) -> None:
    """Each command has one outcome, however often it was sent."""
    for command_id, sent in load.sent.items():
        assert sent.replies, f"{command_id} never got an answer"
        assert len({(reply.status, reply.sequence, reply.code) for reply in sent.replies}) == 1


async def live(main: Client, name: str, chance: random.Random, stopping: asyncio.Event, brokers: asyncio.Lock) -> int:
    """One edition after the other under a name: made, used, checked, deleted; returns how many.

    While nothing but commands is sent, `brokers` may be away.
    """
    count = 0
    while not stopping.is_set():
        follow = chance.random() < 0.3
        async with brokers:
            edition = (await main.editions.create(name, follow=follow)).edition
        accepted: dict[str, int] = defaultdict(int)
        async with main.edition(name) as branch:
            for _ in range(30):
                root = f"account-1-{chance.randrange(10)}"
                while True:
                    with contextlib.suppress(OutcomeUnknown):
                        identity = f"{edition.id}-{sum(accepted.values())}"
                        reply = await branch.execute(pb.Deposit(amount=1), root=root, command_id=identity, timeout=2)
                        break
                assert reply.accepted, reply
                accepted[root] += 1
        async with brokers:
            await asyncio.to_thread(check_edition, main, edition, accepted)
            await main.editions.delete(name, timeout=deadlines.seconds(60))
            with pytest.raises(EditionUnknown):
                await main.editions.describe(name)
        count += 1
    return count


def check_edition(main: Client, edition: Edition, accepted: dict[str, int]) -> None:
    """An edition's own events continue main's history at its cut; folded here, not by the engine."""
    names, bootstrap = main._settings.names, main._settings.bootstrap
    topics = [names.topic(name, "account", "events") for name in ("main", edition.name)]
    found = read_topics(bootstrap, topics)
    inherited: dict[str, list[tuple[int, bytes, bytes]]] = defaultdict(list)
    for entry in found[topics[0]]:
        root = (entry.key or b"").decode().rpartition("|")[0]
        inherited[root].append((entry.timestamp, entry.headers["ce_type"], entry.value or b""))
    own: dict[str, list[tuple[int, State]]] = defaultdict(list)
    for entry in found[topics[1]]:
        root, _, number = (entry.key or b"").decode().rpartition("|")
        event = message(entry.headers["ce_type"].decode(), entry.value or b"")
        if not own[root]:
            before = inherited[root][: int(number)]
            assert len(before) == int(number), f"{root}: it goes on at {number} of {len(before)}"
            if edition.cut.moment is not None:
                assert all(recorded <= edition.cut.moment for recorded, _, _ in before), f"{root}: beyond the cut"
            state = EMPTY
            for _, kind, value in before:
                state = fold(state, message(kind.decode(), value))
            own[root].append((int(number) - 1, state))
        sequence, state = own[root][-1]
        assert int(number) == sequence + 1
        assert event.balance == state["balance"] + event.amount, f"{root}: {event} after {state}"
        own[root].append((sequence + 1, fold(state, event)))
    assert {root: len(states) - 1 for root, states in own.items()} == dict(accepted)


@pytest.fixture
def fragile(own_kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Deployment]:
    with deployed(own_kafka.bootstrap, tmp_path) as deployment:
        yield deployment


def test_a_name_is_used_again_after_the_broker_was_away(fragile: Deployment, own_kafka: EmbeddedKafka) -> None:
    """The client library remembers the leaders that a topic of this name had, and takes those of a new one for old."""

    async def used(main: Client) -> None:
        async with main.edition("trial") as branch:
            reply = await branch.execute(pb.Deposit(amount=1), root="again", timeout=deadlines.seconds(60))
            assert (reply.accepted, reply.sequence) == (True, 0)

    async def scenario() -> None:
        async with fragile.client() as main:
            await main.editions.create("trial")
            await used(main)
            await asyncio.to_thread(own_kafka.kill)
            await asyncio.to_thread(own_kafka.restart)
            await asyncio.to_thread(worker.await_ready, 60)
            await main.editions.delete("trial", timeout=deadlines.seconds(60))
            await main.editions.create("trial")
            await used(main)

    worker = fragile.worker().start().await_ready()
    asyncio.run(scenario())


def test_chaos_main_knows_nothing_of_editions_that_come_and_go(fragile: Deployment, own_kafka: EmbeddedKafka) -> None:
    """Main under load, editions made and deleted, workers killed, the broker once: all folds are right."""
    bank, chance = fragile, random.Random(7)
    workers = [bank.worker("one").start(), bank.worker("two").start()]

    async def scenario() -> Load:
        async with bank.client() as main:
            load = Load(main, 1, callers=8, roots=10, patience=2)
            await load.progress(50)
            stopping, brokers = asyncio.Event(), asyncio.Lock()
            editions = [asyncio.create_task(live(main, f"trial-{n}", chance, stopping, brokers)) for n in range(LIVE)]
            for kill in range(KILLS):
                await load.progress(chance.randrange(50, 300))
                worker = workers[kill % 2]
                worker.kill()
                if kill == KILLS // 2:
                    async with brokers:
                        await asyncio.to_thread(own_kafka.kill)
                        await asyncio.to_thread(own_kafka.restart)
                worker.start()
                await asyncio.to_thread(worker.await_ready, 60)
            stopping.set()
            counts.extend(await asyncio.gather(*editions))
            await load.finish()
            return load

    began, counts = time.monotonic(), list[int]()
    load = asyncio.run(scenario())
    bank.await_handled()
    check_clients(load, bank.log().verify())
    assert all(counts), "an edition under each name was made, used and deleted"
    seconds = time.monotonic() - began
    print(f"{len(load.sent)} commands in main, {sum(counts)} editions, {KILLS} kills, {seconds:.0f} s")  # noqa: T201
