"""Stores on real Kafka: compaction, loss, a store behind by a tail, another schema, history in the background."""

import asyncio
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from rocksdict import AccessType, Options, Rdict

from headrace.embedded import EmbeddedKafka
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.streams.admin import topics
from headrace.streams.client import Event
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.partition import Partition
from headrace.streams.settings import Settings
from headrace.streams.state.restore import StaleRestore
from headrace.streams.state.rocksdb import PartitionStore
from tests.support.bank import messages_pb2 as pb
from tests.support.bank import schema_v2 as later
from tests.support.bank.accounts import topology
from tests.support.deployment import Deployment, Load, Worker, check_clients, deployed, until
from tests.support.independent_reader import EMPTY, LogReader, plain, read_topics
from tests.support.log_ends import end_offsets

pytestmark = pytest.mark.kafka
TRIAL = "trial"
Contents = dict[int, dict[bytes, bytes]]


def work(bank: Deployment, seed: int, commands: int) -> Load:
    """So many commands, all answered."""

    async def scenario() -> Load:
        async with bank.client() as client:
            load = Load(client, seed, callers=32, roots=25, patience=8)
            await load.progress(commands)
            await load.finish()
            return load

    return asyncio.run(scenario())


def stores(bank: Deployment, worker: Worker) -> Path:
    """The folder with one store a partition."""
    return worker.folder / "0" / f"{bank.settings.prefix}account"


def contents(folder: Path) -> Contents:
    """All that stores hold of main, by partition; how far they and their inputs have come aside."""
    found: Contents = {}
    for path in sorted(folder.glob("*")):
        db: Any = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
        found[int(path.name)] = {
            key: value
            for key, value in db.items()
            if key.startswith(b"main\0") and not key.endswith((b"\0positions|", b"main\0r"))
        }
        db.close()
    return found


def checkpoints(folder: Path, topic: str) -> dict[int, int]:
    """Offset of the next record that each store needs of a topic."""
    found: dict[int, int] = {}
    for path in sorted(folder.glob("*")):
        db: Any = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
        found[int(path.name)] = int(db.get(b"\0c" + topic.encode()) or 0)
        db.close()
    return found


def changelog_from(bank: Deployment, offsets: dict[int, int]) -> int:
    """How many committed records the changelog holds from these offsets on."""
    topic = bank.topic("snapshots")
    entries = read_topics(bank.settings.bootstrap, [topic])[topic]
    return sum(entry.offset >= offsets.get(entry.partition, 0) for entry in entries)


async def all_events(bank: Deployment, roots: list[str]) -> dict[str, list[Event]]:
    """Every root's history, as a client reads it."""
    async with bank.client() as client:
        return {root: [event async for event in client.events(root, timeout=60)] for root in roots}


def check_history(bank: Deployment, log: LogReader) -> None:
    """A client reads just the events that the log has."""
    for root, events in asyncio.run(all_events(bank, list(log.events))).items():
        assert [(e.sequence, e.type, e.raw, e.causation_id) for e in events] == [
            (e.sequence, e.kind, e.raw, e.cause) for e in log.events[root]
        ], root


def test_a_lost_store_is_restored_as_it_was(bank: Deployment) -> None:
    """Every key and every value: states, answers, events."""
    worker = bank.worker().start().await_ready()
    load = work(bank, 1, 600)
    log = bank.log().verify()
    worker.stop()
    before = contents(stores(bank, worker))
    assert sum(map(len, before.values())) > 1000
    shutil.rmtree(stores(bank, worker))

    worker.start().await_ready()
    assert worker.restored_records() == len(log.topics["snapshots"])
    check_history(bank, log)  # comes back behind the states; a read waits for it
    worker.stop()
    assert contents(stores(bank, worker)) == before
    check_clients(load, log)


ASK = """
import sys, threading
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import end_offsets
settings, ids = Settings(bootstrap=sys.argv[1]), [(sys.argv[2], number) for number in range(4)]
found = []
def ask():
    for _ in range(50):
        found.append(end_offsets(settings, ids))
threads = [threading.Thread(target=ask) for _ in range(4)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
assert len(found) == 200 and all(one == found[0] for one in found), len(found)
print(sorted(found[0].items()))
"""


def test_ends_are_asked_for_by_many_threads(bank: Deployment) -> None:
    """In a process of its own, since the admin client's way to ask ended whole processes."""
    worker = bank.worker().start().await_ready()
    work(bank, 7, 50)
    worker.stop()
    topic = bank.topic("commands")
    command = [sys.executable, "-c", ASK, bank.settings.bootstrap, topic]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    ends = end_offsets(bank.settings.bootstrap, [topic])
    assert done.stdout.strip() == str([(place, (0, end)) for place, end in sorted(ends.items())])


def test_a_store_behind_by_a_tail_reads_the_tail_only(bank: Deployment, tmp_path: Path) -> None:
    """As when a partition comes back to a worker that held it before."""
    worker, copy = bank.worker().start().await_ready(), tmp_path / "aside"
    work(bank, 2, 500)
    worker.stop()
    shutil.copytree(stores(bank, worker), copy)
    old = checkpoints(copy, bank.topic("snapshots"))
    worker.start().await_ready()
    assert worker.restored_records() == 0
    work(bank, 3, 100)
    worker.stop()
    newest = contents(stores(bank, worker))
    tail, whole = changelog_from(bank, old), changelog_from(bank, {})
    assert 0 < tail < whole / 2

    shutil.rmtree(stores(bank, worker))
    shutil.copytree(copy, stores(bank, worker))
    worker.start().await_ready()
    assert worker.restored_records() == tail
    check_history(bank, bank.log().verify())
    worker.stop()
    assert contents(stores(bank, worker)) == newest


@pytest.mark.chaos
def test_invariant_2_the_store_never_runs_ahead(bank: Deployment) -> None:
    """After kill -9 under load a store stands at a batch's end, and what is replayed is what came after."""
    worker, topic = bank.worker().start().await_ready(), bank.topic("snapshots")

    async def scenario() -> Load:
        async with bank.client() as client:
            load = Load(client, 4, callers=32, roots=25, patience=8)
            await load.progress(300)
            worker.kill()
            where = checkpoints(stores(bank, worker), topic)
            entries = (await asyncio.to_thread(read_topics, bank.settings.bootstrap, [topic]))[topic]
            assert all(
                offset <= 1 + max((e.offset for e in entries if e.partition == p), default=-1)
                for p, offset in where.items()
            )
            tail = sum(entry.offset >= where.get(entry.partition, 0) for entry in entries)
            worker.start()
            await asyncio.to_thread(worker.await_ready)
            assert worker.restored_records() == tail
            assert tail < len(entries) / 4
            await load.finish()
            return load

    load = asyncio.run(scenario())
    bank.await_handled()
    log = bank.log().verify()
    check_clients(load, log)
    check_history(bank, log)


def test_compaction_loses_nothing(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    """Old snapshots are dropped, events and answers stay; a store made from what is left is as before.

    In main, and in an edition that has some roots from main and some events of its own.
    """
    with deployed(kafka.bootstrap, tmp_path) as bank:
        worker = bank.worker().start().await_ready()
        load = work(bank, 5, 800)
        full = bank.log().verify()
        written = snapshots(full)
        assert written > 400
        asyncio.run(in_edition(bank, list(full.events), make=True))
        admin, names = topics.admin(bank.settings), bank.settings.names
        branch = [names.topic(TRIAL, "account", kind) for kind in ("events", "snapshots")]
        for topic in (bank.topic("events"), bank.topic("snapshots"), *branch):
            settings = {"segment.ms": "200", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "100"}
            entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in settings.items()]
            resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
            admin.incremental_alter_configs([resource])[resource].result(20)

        def shrunk() -> bool:
            work(bank, 6, 20)  # a segment is closed, and can be compacted, when something is written after it
            asyncio.run(in_edition(bank, list(full.events)[::2]))
            through = all(cleaned(kafka, topic) == set(range(4)) for topic in (bank.topic("events"), *branch))
            return snapshots(bank.log()) < written / 2 and through

        until(shrunk, "old snapshots were dropped, and the cleaner has been through the events", 60)
        log = bank.log().verify()
        for root, events in full.events.items():
            assert log.events[root][: len(events)] == events
        check_clients(load, log)
        states = asyncio.run(in_edition(bank, []))
        assert sum(state is not None and state.balance > 0 for state in states.values()) > 20
        worker.stop()
        before = contents(stores(bank, worker))
        shutil.rmtree(stores(bank, worker))
        worker.start().await_ready()
        assert worker.restored_records() < written
        check_history(bank, log)
        assert asyncio.run(in_edition(bank, [])) == states
        worker.stop()
        assert contents(stores(bank, worker)) == before


async def in_edition(bank: Deployment, deposits: list[str], *, make: bool = False) -> dict[str, pb.Account | None]:
    """Deposits in the edition, which may have to be made; the states that its roots then have, and those of main's."""
    async with bank.client() as main:
        if make:
            await main.editions.create(TRIAL)
        async with main.edition(TRIAL) as trial:
            for root in deposits:
                assert (await trial.execute(pb.Deposit(amount=1), root=root)).accepted
            roots = [f"account-5-{number}" for number in range(25)]
            return {root: await trial.state(root) for root in roots}


def cleaned(kafka: EmbeddedKafka, topic: str) -> set[int]:
    """Partitions that the broker's cleaner has been through, as its own notes say."""
    # not by rglob: folders of deleted topics vanish while it looks into them
    (notes,) = kafka.data_dir.glob("*/log/cleaner-offset-checkpoint")
    lines = [line.split() for line in notes.read_text().splitlines()]
    return {int(line[1]) for line in lines if line[0] == topic and int(line[2]) > 0}


def snapshots(log: LogReader) -> int:
    """Records of roots in the changelog."""
    return sum((entry.key or b"\0")[:1] != b"\0" for entry in log.topics["snapshots"])


@pytest.mark.parametrize("lost", [False, True], ids=["store kept", "store lost"])
def test_a_state_of_another_schema_is_folded_from_history(lost: bool, bank: Deployment) -> None:
    """The state's type has a new field, which the events fill: the snapshots of before are no use."""
    worker = bank.worker().start().await_ready()
    work(bank, 7, 400)
    log = bank.log().verify()
    worker.stop()
    if lost:
        shutil.rmtree(stores(bank, worker))
    worker.start(BANK_VERSION=2).await_ready()

    async def touch_all() -> dict[str, Any]:
        async with bank.client() as client:
            calls = (client.execute(pb.Annotate(note="new"), root=root, timeout=30) for root in log.events)
            assert all(reply.accepted for reply in await asyncio.gather(*calls))
            return {root: await client.state(root) for root in log.events}

    account = later.messages().Account
    states = asyncio.run(touch_all())
    log = bank.log().verify()
    of_roots = [e for e in log.topics["snapshots"] if e.key and e.key[:1] != b"\0"]
    kept = [(e.key, Snapshot.FromString(e.value or b"")) for e in of_roots]
    newest = dict(kept)
    assert len({snapshot.fingerprint for _, snapshot in kept}) == 2
    assert len({snapshot.fingerprint for snapshot in newest.values()}) == 1
    for root, events in log.events.items():
        deposits = [event.message.amount for event in events if isinstance(event.message, pb.Deposited)]
        state = account.FromString(newest[root.encode()].state)
        assert state.total == sum(deposits), root
        assert plain(states[root]) == log.states[root][-1] != EMPTY


@pytest.mark.chaos
def test_history_comes_back_behind_the_states(bank: Deployment) -> None:
    """A lost store serves commands first; killed in between, it goes on where it was; reads wait for what they need."""
    worker = bank.worker().start().await_ready()

    async def transfers(count: int) -> None:
        async with bank.client() as client:
            calls = [
                client.execute(pb.Transfer(amounts=range(1, 501)), root=f"r{n % 7}", timeout=60) for n in range(count)
            ]
            assert all(reply.accepted for reply in await asyncio.gather(*calls))

    asyncio.run(transfers(40))
    worker.stop()
    shutil.rmtree(stores(bank, worker))
    worker.start().await_ready()
    asyncio.run(transfers(1))
    worker.kill()
    worker.start().await_ready()
    log = bank.log().verify()
    assert sum(map(len, log.events.values())) == 41 * 500
    check_history(bank, log)


def test_a_partition_taken_away_while_it_waits_to_be_restored_leaves_its_store_alone(tmp_path: Path) -> None:
    """The restoring thread may come to open the store after the partition was revoked, and given back as a new one."""
    config = ComponentConfig(
        topology, "account", Settings(bootstrap="nowhere:1"), tmp_path, ["main"], 1, 1, {}, 1_000_000
    )
    taken = Partition(config, 0, threading.Event())
    (task,) = taken.restore().tasks("snapshots")
    taken.close()
    with pytest.raises(StaleRestore, match="was taken away"), task.store():
        pass
    PartitionStore(tmp_path / "0").close()  # nobody else has it open
