"""Calls on real Kafka: answers, the first one again, conflicts, time limits, thousands at once; and reads."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message as Protobuf

from headrace.streams.client import Client, OutcomeUnknown, Reply, Status
from tests.support import deadlines
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import topology
from tests.support.deployment import Deployment, deployed, secrets, until
from tests.support.independent_reader import murmur, read_topics

pytestmark = pytest.mark.kafka


REPEATED: list[tuple[str, str, Protobuf]] = [
    ("accepted", "one", pb.Deposit(amount=5)),
    ("several events", "one", pb.Transfer(amounts=[1, 2, 3])),
    ("no event", "one", pb.Touch()),
    ("rejected", "one", pb.Withdraw(amount=1000)),
    ("of another root", "two", pb.Annotate(note="hello")),
]


def test_topics_are_usable_as_soon_as_they_are_made(bootstrap: str, tmp_path: Path) -> None:
    """A client may be opened at once; for a moment brokers do not know a new topic, or lead none of it."""

    async def open_and_close(bank: Deployment) -> None:
        async with bank.client():
            pass

    for _ in range(3):
        with deployed(bootstrap, tmp_path, reply_partitions=50) as bank:
            asyncio.run(open_and_close(bank))


def test_a_repeated_command_gets_its_first_answer(bank: Deployment) -> None:
    """In the same worker, after it was started again, and after its store was lost: the answers are in the log."""
    worker = bank.worker()

    async def all_of_them() -> dict[str, Reply]:
        async with bank.client() as client:
            return {name: await client.execute(c, root=root, command_id=name) for name, root, c in REPEATED}

    worker.start().await_ready()
    first = asyncio.run(all_of_them())
    assert [reply.status for reply in first.values()] == [*[Status.ACCEPTED] * 3, Status.REJECTED, Status.ACCEPTED]
    assert [len(reply.events) for reply in first.values()] == [1, 3, 0, 0, 1]
    for lost in (None, False, True):
        if lost is not None:
            worker.stop()
            if lost:
                shutil.rmtree(worker.folder / "0")
            worker.start().await_ready()
        for name, reply in asyncio.run(all_of_them()).items():
            assert reply.already_processed
            assert not first[name].already_processed
            assert {**reply.data(), "already_processed": False} == first[name].data()
            assert reply.events == first[name].events, name
    log = bank.log().verify()
    assert {root: len(events) for root, events in log.events.items()} == {"one": 4, "two": 1}


def test_answers_are_forgotten_in_time(bank: Deployment) -> None:
    """A command that comes again after `results_kept` is a new one; its answer has a tombstone in the changelog."""
    bank.worker(HEADRACE_RESULTS_KEPT=0.5).start().await_ready()
    root, neighbour = "r", next(f"n{n}" for n in range(100) if murmur(f"n{n}".encode(), 4) == murmur(b"r", 4))

    async def forgotten() -> Reply:
        async with bank.client() as client:
            first = await client.execute(pb.Deposit(amount=1), root=root, command_id="first")
            again = await client.execute(pb.Deposit(amount=1), root=root, command_id="first")
            assert (first.sequence, again.sequence, again.already_processed) == (0, 0, True)
            deadline = time.monotonic() + deadlines.seconds(30)
            while not tombstones():
                assert time.monotonic() < deadline
                await client.execute(pb.Deposit(amount=1), root=neighbour)
            return await client.execute(pb.Deposit(amount=1), root=root, command_id="first")

    def tombstones() -> list[Any]:
        entries = read_topics(bank.settings.bootstrap, [bank.topic("snapshots")], wait=False)[bank.topic("snapshots")]
        return [e for e in entries if e.value is None and (e.key or b"").startswith(b"\0answers|")]

    reply = asyncio.run(forgotten())
    assert (reply.sequence, reply.already_processed) == (1, False)


def test_a_strict_command_in_a_conflict_is_told_what_happened_since(bank: Deployment) -> None:
    bank.worker().start().await_ready()

    async def scenario() -> tuple[Reply, Reply, Reply]:
        async with bank.client() as client:
            for amount in (10, 20, 30):
                await client.execute(pb.Deposit(amount=amount), root="r")
            stale = await client.execute(pb.Withdraw(amount=1), root="r", expected_sequence=0)
            fresh = await client.execute(pb.Withdraw(amount=1), root="r", expected_sequence=stale.sequence)
            ahead = await client.execute(pb.Withdraw(amount=1), root="r", expected_sequence=99)
            return stale, fresh, ahead

    stale, fresh, ahead = asyncio.run(scenario())
    assert (stale.status, stale.code, stale.retryable, stale.sequence) == (
        Status.REJECTED,
        "sequence-conflict",
        True,
        2,
    )
    assert [(e.sequence, e.data) for e in stale.events] == [
        (1, pb.Deposited(amount=20, balance=30)),
        (2, pb.Deposited(amount=30, balance=60)),
    ]
    assert fresh.accepted
    assert (ahead.code, ahead.events, ahead.sequence) == ("sequence-conflict", (), 3)
    bank.log().verify()


def test_a_timeout_says_that_the_command_may_be_sent_again(bank: Deployment) -> None:
    """Nobody is at work; a worker that starts later decides the command once, though it lies there twice."""

    async def scenario() -> Reply:
        async with bank.client() as client:
            with pytest.raises(OutcomeUnknown) as seen:
                await client.execute(pb.Deposit(amount=7), root="r", command_id="c-1", timeout=0.5)
            text = str(seen.value)
            assert seen.value.command_id == "c-1"
            for part in ("no answer for r within 0.5 s", "c-1", "unknown", "same command_id", "safe"):
                assert part in text
            bank.worker().start()
            return await client.execute(pb.Deposit(amount=7), root="r", command_id="c-1", timeout=30)

    assert asyncio.run(scenario()).accepted
    log = bank.log().verify()
    assert [e.message for e in log.events["r"]] == [pb.Deposited(amount=7, balance=7)]
    assert len(log.topics["commands"]) >= 2


def test_thousands_of_calls_in_flight(bank: Deployment) -> None:
    """All sent before any is answered, from one client; each gets the answer to its own command."""
    bank.worker().start().await_ready()

    async def scenario() -> list[Reply]:
        async with bank.client() as client:
            calls = (client.execute(pb.Deposit(amount=n), root=f"r{n % 100}", timeout=60) for n in range(5000))
            return await asyncio.gather(*calls)

    answers = asyncio.run(scenario())
    assert [(a.accepted, a.root, a.events[0].data.amount) for a in answers if a.events[0].data] == [  # type: ignore[attr-defined]
        (True, f"r{n % 100}", n) for n in range(5000)
    ]
    bank.log().verify()


def test_send_waits_while_too_much_is_on_its_way(bank: Deployment) -> None:
    """Five thousand commands through a buffer that holds a hundred: none is lost, and memory stays bounded."""
    small = bank.settings.model_copy(update={"kafka": secrets({"queue.buffering.max.kbytes": "32"})})
    worker = bank.worker().start().await_ready()
    deepest = 0

    async def scenario() -> None:
        nonlocal deepest
        async with Client(topology, small) as client:
            for number in range(5000):
                await client.send(pb.Annotate(note="x" * 300), root=f"r{number % 10}", command_id=f"c{number}")
                deepest = max(deepest, len(client._connection.producer))
            await client.flush()

    asyncio.run(scenario())
    assert 10 < deepest < 500
    handled = 'headrace_records_processed_total{domain="account",outcome="accepted"}'
    until(lambda: worker.metrics().get(handled) == 5000, "all commands were handled")
    log = bank.log().verify()
    assert {command_id for _, command_id in log.answers} == {f"c{number}" for number in range(5000)}


def test_state_and_events_of_a_root(bank: Deployment) -> None:
    """Reads see all that the same client sent before; many events come in pages; an unknown root has nothing."""
    bank.worker().start().await_ready()

    async def scenario() -> tuple[Any, list[Any], list[Any], Any, list[Any]]:
        async with bank.client() as client:
            for _ in range(5):
                await client.send(pb.Transfer(amounts=range(500)), root="r")
            state = await client.state("r")
            events = [event async for event in client.events("r")]
            late = [event async for event in client.events("r", 2490)]
            return state, events, late, await client.state("?"), [event async for event in client.events("?")]

    state, events, late, nobody, nothing = asyncio.run(scenario())
    total = 5 * sum(range(500))
    assert (state.balance, state.count) == (total, 2500)
    assert [event.sequence for event in events] == list(range(2500))
    assert events[-1].data == pb.Deposited(amount=499, balance=total)
    assert late == events[2490:]
    assert (nobody, nothing) == (None, [])
    log = bank.log().verify()
    assert [event.raw for event in events] == [event.raw for event in log.events["r"]]
    assert [event.causation_id for event in events] == [event.cause for event in log.events["r"]]
