"""Exactly once, whatever is killed: workers, the group's view of them, brokers. An independent reader judges."""

import asyncio
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from headrace.embedded import EmbeddedKafka
from headrace.streams.client import OutcomeUnknown, Reply
from headrace.streams.runtime.committed_offsets import HANGING_OFFSETS
from headrace.streams.state.restore import OPEN_TRANSACTION
from headrace.streams.state.rocksdb import PartitionStore
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import Deployment, Load, Worker, check_clients, until
from tests.support.independent_reader import Entry, read_topics
from tests.support.log_ends import end_offsets

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]
DOUBT = "transaction in doubt; state is taken from Kafka anew"


@pytest.fixture(scope="module")
def bootstrap(own_kafka: EmbeddedKafka) -> str:
    """The broker that may be killed."""
    return own_kafka.bootstrap


@dataclass
class CrashedStore:
    """The stores of a killed worker as it left them, and how far the changelog went at that time."""

    stores: dict[int, Path]
    ends: dict[tuple[str, int], int]


def keep_stores(bank: Deployment, worker: Worker, folder: Path) -> CrashedStore:
    """Copy a dead worker's stores, before it starts again."""
    ends = end_offsets(bank.settings.bootstrap, [bank.topic("snapshots")])
    kept = worker.folder / "0" / f"{bank.settings.prefix}account"
    if kept.exists():
        shutil.copytree(kept, folder)
    return CrashedStore({int(path.name): path for path in sorted(folder.glob("*"))}, ends)


def check_stores(bank: Deployment, crashes: list[CrashedStore]) -> int:
    """Invariant 2: a store holds what the changelog held up to its checkpoint, no more. Records they hold in all."""
    topic = bank.topic("snapshots")
    records = read_topics(bank.settings.bootstrap, [topic])[topic]
    held = 0
    for crashed in crashes:
        for number, folder in crashed.stores.items():
            store = PartitionStore(folder)
            try:
                checkpoint = store.checkpoint(topic)
                found = dict(store.edition("main").snapshots())
            finally:
                store.close()
            assert checkpoint <= crashed.ends[topic, number], "the store is ahead of its changelog"
            there = latest([e for e in records if e.partition == number], checkpoint)
            assert found == there, f"{folder} is not what the changelog was at {checkpoint}"
            held += len(found)
    return held


def latest(records: list[Entry], before: int) -> dict[bytes | None, bytes | None]:
    """The last snapshot of each root among the records before an offset."""
    return {e.key: e.value for e in records if e.offset < before and e.key and e.key[:1] != b"\0"}


def test_a_worker_killed_at_random_moments(bank: Deployment, tmp_path: Path) -> None:
    """Twenty times kill -9 under load; two workers in turn, each started again at once. Invariants 1 to 4."""
    chance = random.Random(20)
    workers = [bank.worker("one"), bank.worker("two")]
    crashes: list[CrashedStore] = []

    async def scenario() -> Load:
        async with bank.client() as client:
            load = Load(client, 20, callers=48, patience=1)
            for worker in workers:
                worker.start()
            for kill in range(20):
                worker = workers[kill % 2]
                if kill % 4 < 3:
                    await asyncio.to_thread(worker.await_ready)
                    await load.progress(chance.randrange(1, 200))
                else:  # while it starts, joins or restores
                    await asyncio.sleep(chance.random() * 2)
                worker.kill()
                crashes.append(keep_stores(bank, worker, tmp_path / f"crash-{kill}"))
                worker.start()
            await load.progress(100)
            await load.finish()
            return load

    load = asyncio.run(scenario())
    bank.await_handled()
    check_clients(load, bank.log().verify())
    assert load.resent > 0, "no command was ever without an answer; the kills were no test"
    assert check_stores(bank, crashes) > 0


def test_answers_to_commits_that_are_lost(bank: Deployment) -> None:
    """One doubt follows the other, and overtakes the restore of the history that the one before it asked for.

    What was committed all the same counts: states are not lost, and repeated commands get their first answers.
    """
    worker = bank.worker(BANK_LOST_ANSWERS=0.2).start()

    async def scenario() -> Load:
        async with bank.client() as client:
            load = Load(client, 7, callers=32, roots=12, patience=1)
            while len(worker.said(DOUBT)) < 10:
                await load.progress(20)
            await load.finish()
            return load

    load = asyncio.run(scenario())
    bank.await_handled()
    check_clients(load, bank.log().verify())


@pytest.mark.parametrize("point", ["flush", "offsets", "commit", "store"])
def test_invariant_1_atomic_step(point: str, bank: Deployment) -> None:
    """Killed at any point of a step, what it wrote is there with its offsets, or not at all."""
    worker = bank.worker().start().await_ready()
    written = ("events", "snapshots")

    async def deposit(command_id: str) -> Reply:
        """Sent once, so that there is one answer at most; OutcomeUnknown when the worker dies before it comes."""
        async with bank.client() as client:
            call = asyncio.create_task(
                client.execute(pb.Deposit(amount=5), root="r", command_id=command_id, timeout=60)
            )
            while worker.alive and not call.done():
                await asyncio.wait([call], timeout=0.05)
            await asyncio.wait([call], timeout=3)
            if call.done():
                return call.result()
            call.cancel()
            raise OutcomeUnknown(command_id, "r", 3)

    def records(isolation: str) -> dict[str, int]:
        names = {kind: bank.topic(kind) for kind in written} | {"replies": bank.settings.names.replies}
        found = read_topics(bank.settings.bootstrap, list(names.values()), isolation, wait=False)
        return {
            kind: sum(not (entry.key or b"").startswith(b"\0positions") for entry in found[name])
            for kind, name in names.items()
        }

    first = asyncio.run(deposit("first"))
    before, offsets = records("read_committed"), bank.committed()
    assert before == {"events": 1, "snapshots": 2, "replies": 1}
    worker.plan_fault(f"account:{point}", SIGKILL)
    if point == "store":
        asyncio.run(deposit("second"))
    else:
        with pytest.raises(OutcomeUnknown):
            asyncio.run(deposit("second"))
    until(worker.fault_reached, "the worker died")

    after, moved = records("read_committed"), bank.committed() != offsets
    if point == "store":
        assert after == {"events": 2, "snapshots": 4, "replies": 2}
        assert moved
    else:
        assert after == before
        assert not moved
    if point in ("offsets", "commit"):  # all of it lies at the broker; that nobody sees it is the transaction's doing
        assert records("read_uncommitted") == {"events": 2, "snapshots": 4, "replies": 2}

    worker.start()
    second = asyncio.run(deposit("second"))
    assert (first.sequence, second.sequence) == (0, 1)
    assert worker.restored_records() == (3 if point == "store" else 0)  # positions too
    bank.log().verify()


@pytest.mark.parametrize(
    ("point", "wake", "protocol"),
    [
        ("handle", "late", "consumer"),
        ("offsets", "late", "consumer"),
        ("commit", "early", "consumer"),
        ("commit", "late", "consumer"),
        ("handle", "last", "consumer"),
        ("handle", "last", "classic"),
    ],
)
def test_a_zombie_with_a_batch_in_hand(point: str, wake: str, protocol: str, bank: Deployment) -> None:
    """A worker frozen in a step loses its partitions, and wakes to go on with the step.

    early: its transaction is open yet, and the new owner waits for it; late: the new owner has handled the batch;
    last: and has left the group, so that the zombie is alone.
    """
    variables = {
        "HEADRACE_GROUP_PROTOCOL": protocol,
        "HEADRACE_TRANSACTION_TIMEOUT": 60 if wake == "early" else 2,
    }
    zombie, other = bank.worker("zombie", **variables), bank.worker("other", **variables)
    zombie.start().await_ready()

    async def scenario() -> Load:
        async with bank.client() as client:
            load = Load(client, 3, callers=24, patience=2)
            await load.progress(100)
            zombie.plan_fault(f"account:{point}", SIGSTOP)
            await asyncio.to_thread(until, zombie.fault_reached, "the worker froze")
            other.start()
            if wake == "early":
                await asyncio.to_thread(until, lambda: other.said("partitions assigned"), "another got its partitions")
            else:
                await asyncio.to_thread(other.await_ready)
                await load.progress(100)
            if wake == "last":
                other.stop()
            zombie.send(SIGCONT)
            if wake != "early":
                await asyncio.to_thread(until, lambda: zombie.said(DOUBT), "the zombie's transaction was refused")
            await load.progress(100)
            await load.finish()
            return load

    load = asyncio.run(scenario())
    bank.await_handled()
    # early, its commit stands; a batch that it had fetched before it froze may be refused after that
    check_clients(load, bank.log().verify())


def test_a_call_to_the_brokers_that_never_returns(bank: Deployment) -> None:
    """librdkafka may wait for ever for a group coordinator that has left the cluster; the worker goes on without it."""
    worker = bank.worker(HEADRACE_TRANSACTION_TIMEOUT=2).start().await_ready()

    async def scenario() -> Load:
        async with bank.client() as client:
            load = Load(client, 6, patience=3)
            await load.progress(50)
            worker.plan_fault("account:offsets", "HANG")
            await load.progress(200)
            await load.finish()
            return load

    load = asyncio.run(scenario())
    bank.await_handled()
    check_clients(load, bank.log().verify())
    assert worker.said(DOUBT), "the call did not hang"


async def deposit(bank: Deployment, amount: int) -> Reply:
    """Made by a client of its own."""
    async with bank.client() as client:
        return await client.execute(pb.Deposit(amount=amount), root="r", timeout=60)


def in_a_transaction(bank: Deployment) -> Producer:
    """A producer of somebody else's, who has begun a transaction."""
    stranger = Producer({"bootstrap.servers": bank.settings.bootstrap, "transactional.id": f"{bank.settings.prefix}x"})
    stranger.init_transactions(30)
    stranger.begin_transaction()
    return stranger


def test_offsets_of_a_transaction_that_hangs(bank: Deployment) -> None:
    """Pending longer than any transaction may last, they are nobody's; a worker that comes does not wait for ever.

    Once the changelog holds positions, nobody waits for offsets at all.
    """
    worker = bank.worker(HEADRACE_TRANSACTION_TIMEOUT=1)
    group = {"bootstrap.servers": bank.settings.bootstrap, "group.id": f"{bank.settings.prefix}headrace.account"}
    stranger = in_a_transaction(bank)
    member = Consumer(group)
    places = [TopicPartition(bank.topic("commands"), number, 0) for number in range(bank.settings.partitions)]
    stranger.send_offsets_to_transaction(places, member.consumer_group_metadata(), 30)
    worker.start().await_ready(60)
    assert worker.said(HANGING_OFFSETS), "the offsets did not hang"
    assert asyncio.run(deposit(bank, 1)).sequence == 0
    worker.stop()
    worker.start().await_ready(60)
    assert asyncio.run(deposit(bank, 2)).sequence == 1
    assert not worker.said(HANGING_OFFSETS)
    stranger.abort_transaction(30)
    member.close()
    bank.log().verify()


def test_a_restore_that_waits_for_a_transaction_says_so(bank: Deployment) -> None:
    """Nobody may read beyond it; whoever operates the brokers can end it."""
    worker = bank.worker(HEADRACE_TRANSACTION_TIMEOUT=1).start().await_ready()

    assert asyncio.run(deposit(bank, 1)).sequence == 0
    worker.stop()
    stranger = in_a_transaction(bank)
    stranger.produce(bank.topic("snapshots"), b"open", "somebody", 0)
    stranger.flush(30)
    worker.start()
    until(lambda: worker.said(OPEN_TRANSACTION), "the worker said what it waits for")
    assert not worker.ready
    stranger.abort_transaction(30)
    worker.await_ready()
    assert asyncio.run(deposit(bank, 2)).sequence == 1
    bank.log().verify()


def test_workers_join_and_leave(bank: Deployment) -> None:
    """Two workers come and go in order while commands flow; each has had all partitions, and a part of them."""
    one, two = bank.worker("one"), bank.worker("two")

    async def scenario() -> Load:
        async with bank.client() as client:
            load = Load(client, 4, callers=24)
            one.start()
            await load.progress(100)
            for leaving, coming in ((one, two), (two, one), (one, two)):
                coming.start()
                await asyncio.to_thread(until, lambda w=coming: w.said("partition ready"), "it took partitions over")
                await load.progress(150)
                await asyncio.to_thread(leaving.stop)
                await load.progress(150)
            await load.finish()
            return load

    load = asyncio.run(scenario())
    bank.await_handled()
    check_clients(load, bank.log().verify())


def test_a_broker_killed_in_the_middle_of_batches(own_kafka: EmbeddedKafka, bank: Deployment) -> None:
    """kill -9 to the only broker under load, twice, and once with an open transaction: all waits, then goes on."""
    worker = bank.worker(HEADRACE_TRANSACTION_TIMEOUT=5).start().await_ready()

    async def scenario() -> Load:
        async with bank.client() as client:
            load = Load(client, 5, callers=24, patience=5)
            for _ in range(2):
                await load.progress(150)
                await asyncio.to_thread(own_kafka.kill)
                await asyncio.to_thread(own_kafka.restart)
            await load.progress(150)
            worker.plan_fault("account:commit", SIGSTOP)
            await asyncio.to_thread(until, worker.fault_reached, "the worker froze")
            await asyncio.to_thread(own_kafka.kill)
            await asyncio.to_thread(own_kafka.restart)
            worker.send(SIGCONT)
            await load.progress(150)
            await load.finish()
            return load

    load = asyncio.run(scenario())
    bank.await_handled()
    check_clients(load, bank.log().verify())
    assert len(worker.said("worker starts")) == 1, "the worker was not to start again for this"
