"""Workflow on real Kafka, whatever is killed: sagas, facts, compensation, dead letters, process managers, traces.

What is judged is read from the topics by a reader of its own (`guildhall.Ledger`).
"""

import asyncio
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import bank_pb2 as pb
import pytest
from google.protobuf.message import Message
from guildhall import Hall, Ledger, hall_of
from support import Load

from headrace.embedded import EmbeddedKafka
from headrace.streams.client import Client
from headrace.streams.reply import OutcomeUnknown, Reply

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[EmbeddedKafka]:
    """A broker that takes a worker for dead after a second and a half."""
    quick = {
        "group.consumer.min.session.timeout.ms": 1000,
        "group.consumer.session.timeout.ms": 1500,
        "group.consumer.min.heartbeat.interval.ms": 200,
        "group.consumer.heartbeat.interval.ms": 200,
    }
    with EmbeddedKafka(properties=quick) as kafka:
        yield kafka


@pytest.fixture
def hall(own_kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Hall]:
    """A deployment of purse, book and keeper."""
    with hall_of(own_kafka.bootstrap, "topology", tmp_path) as hall:
        yield hall


# ---- sagas


class Deposits(Load):
    """Callers that make deposits: most are noted once, some twice, some are refused by the book and taken back."""

    def command(self) -> Message:
        chance = self._random.random()
        amount = 2 if chance < 0.1 else 7 if chance < 0.3 else self._random.choice((1, 3, 4, 5))
        return pb.Deposit(amount=amount)


def check_chains(load: Deposits, ledger: Ledger) -> int:
    """Each command has its one event, and each event what the saga makes of it, once; the number of chains."""
    chains = 0
    for command_id, sent in load.sent.items():
        (deposited,) = ledger.by_cause[command_id]
        assert sent.replies
        assert deposited.root == sent.root
        assert deposited.message.amount == sent.command.amount  # type: ignore[attr-defined]
        refused = deposited.message.amount == 7
        for index in range(2 if deposited.message.amount == 2 else 1):
            command = f"{deposited.id}>keeper/{index}"
            (answer,) = ledger.by_cause[f"rejection/{command}" if refused else command]
            assert answer.correlation == deposited.correlation == command_id
            assert answer.root == f"{deposited.root}-copy" if index else deposited.root
            if refused:
                assert (answer.domain, answer.message.amount) == ("purse", deposited.sequence)
                assert command not in ledger.by_cause
            elif index == 0:
                assert (answer.domain, answer.message.note) == ("book", str(deposited.sequence))
            chains += 1
    # nothing else is on the logs, and notes are in the order of what was noted
    assert sum(map(len, ledger.events.values())) == len(load.sent) + chains
    for (domain, root), log in ledger.events.items():
        if domain == "book" and not root.endswith("-copy"):
            numbers = [int(fact.message.note) for fact in log]
            assert numbers == sorted(numbers), f"{root}: {numbers}"
    return chains


def test_each_event_leads_to_its_command_once_though_the_worker_is_killed(hall: Hall) -> None:
    """Command, event, saga, command, event: none lost, none doubled, through kill -9 at random and at the worst."""
    chance = random.Random(5)
    worker = hall.worker()
    faults = ["keeper:offsets", "keeper:commit", "keeper:store", "book:store"]

    async def scenario() -> Deposits:
        async with hall.client() as client:
            load = Deposits(client, 5, callers=24, patience=4)
            worker.start()
            for kill in range(6):
                await asyncio.to_thread(worker.await_ready)
                await load.progress(chance.randrange(50, 200))
                if kill < len(faults):
                    worker.plan_fault(f"keeper>commands {faults[kill]}", SIGKILL)
                    await asyncio.to_thread(worker.await_fault)
                else:
                    worker.kill()
                worker.start()
            await load.progress(100)
            await load.finish()
            return load

    load = asyncio.run(scenario())
    ledger = hall.settled()
    assert check_chains(load, ledger) > 500
    assert load.resent > 0, "no command was ever without an answer; the kills were no test"
    assert not ledger.entries("keeper", "dead-letters")


# ---- facts


def test_a_fact_is_recorded_once_for_ever(hall: Hall) -> None:
    """Stated by many at once, again after a kill -9 in its transaction, and again from a store made anew."""
    worker = hall.worker().start().await_ready()
    ids = [f"bank-{number}" for number in range(5)]

    async def state_all(first: int, patience: float = 3) -> list[tuple[str, Reply]]:
        """Each fact ten times at once, by two clients, with other amounts each time."""
        async with hall.client() as one, hall.client() as other:

            async def state(client: Client, external_id: str, amount: int) -> tuple[str, Reply]:
                while True:
                    fact = pb.Stash(pocket=external_id, amount=amount)
                    try:
                        return external_id, await client.state_fact(
                            fact, root="p", external_id=external_id, timeout=patience
                        )
                    except OutcomeUnknown:
                        continue

            calls = [state(c, i, first + n) for n in range(5) for i in ids for c in (one, other)]
            return list(await asyncio.gather(*calls))

    def check(answers: list[tuple[str, Reply]], firsts: int) -> dict[str, Reply]:
        """All answers about a fact are the same but for who was first; the answer by external id."""
        by_id: dict[str, list[Reply]] = {i: [reply for name, reply in answers if name == i] for i in ids}
        for replies in by_id.values():
            assert len({(r.status, r.sequence, str(r.events)) for r in replies}) == 1
            assert [len(r.events) for r in replies] == [1] * 10
            assert sum(not r.already_processed for r in replies) <= firsts
        return {name: replies[0] for name, replies in by_id.items()}

    worker.plan_fault("purse>events:bank.v1.Stashed purse:commit", SIGKILL)

    async def with_a_kill() -> list[tuple[str, Reply]]:
        stating = asyncio.create_task(state_all(1))
        await asyncio.to_thread(worker.await_fault)
        worker.start()
        return await stating

    first = check(asyncio.run(with_a_kill()), 1)
    worker.stop()
    shutil.rmtree(worker.folder)
    worker.start()
    again = check(asyncio.run(state_all(1000)), 0)
    assert {i: r.events for i, r in again.items()} == {i: r.events for i, r in first.items()}

    ledger = hall.settled()
    log = ledger.events["purse", "p"]
    assert sorted(fact.headers["ce_factid"] for fact in log) == ids
    assert {fact.headers["ce_factid"]: fact.message for fact in log} == {i: r.events[0].data for i, r in first.items()}
    assert len(ledger.entries("purse", "facts")) >= 2 * 5 * 10
    assert not ledger.entries("purse", "dead-letters")
