"""Workflow on real Kafka, whatever is killed: sagas, facts, compensation, dead letters.

`workflow_deployment.Ledger` judges.
"""

import asyncio
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
from google.protobuf.message import Message

from headrace.embedded import EmbeddedKafka
from headrace.schemas import headrace_v1_pb2 as wire
from headrace.streams.client import Client, OutcomeUnknown, Reply
from headrace.streams.state.topic_reader import read
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import Load, Worker, until
from tests.support.workflow_deployment import Ledger, WorkflowDeployment, run_on

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bootstrap(own_kafka: EmbeddedKafka) -> str:
    """The broker that may be killed."""
    return own_kafka.bootstrap


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


def test_each_event_leads_to_its_command_once_though_the_worker_is_killed(workflow: WorkflowDeployment) -> None:
    """Command, event, saga, command, event: none lost, none doubled, through kill -9 at random and at the worst."""
    chance = random.Random(5)
    worker = workflow.worker()
    faults = ["keeper:offsets", "keeper:commit", "keeper:store", "book:store"]

    async def scenario() -> Deposits:
        async with workflow.client() as client:
            load = Deposits(client, 5, callers=24, patience=1)
            worker.start()
            for kill in range(6):
                await asyncio.to_thread(worker.await_ready)
                await load.progress(chance.randrange(50, 200))
                if kill < len(faults):
                    worker.plan_fault(f"keeper>inbox {faults[kill]}", SIGKILL)
                    await asyncio.to_thread(worker.await_fault)
                else:
                    worker.kill()
                worker.start()
            await load.progress(100)
            await load.finish()
            return load

    load = asyncio.run(scenario())
    ledger = workflow.settled()
    assert check_chains(load, ledger) > 500
    assert load.resent > 0, "no command was ever without an answer; the kills were no test"
    assert not ledger.entries("keeper", "dead-letters")


# ---- facts


def test_a_fact_is_recorded_once_for_ever(workflow: WorkflowDeployment) -> None:
    """Stated by many at once, again after a kill -9 in its transaction, and again from a store made anew."""
    worker = workflow.worker().start().await_ready()
    ids = [f"bank-{number}" for number in range(5)]

    async def state_all(first: int, patience: float = 3) -> list[tuple[str, Reply]]:
        """Each fact ten times at once, by two clients, with other amounts each time."""
        async with workflow.client() as one, workflow.client() as other:

            async def state(client: Client, external_id: str, amount: int) -> tuple[str, Reply]:
                while True:
                    fact = pb.Stash(pocket=external_id, amount=amount)
                    try:
                        return external_id, await client.record_fact(
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

    ledger = workflow.settled()
    log = ledger.events["purse", "p"]
    assert sorted(fact.headers["ce_factid"] for fact in log) == ids
    assert {fact.headers["ce_factid"]: fact.message for fact in log} == {i: r.events[0].data for i, r in first.items()}
    assert len(ledger.entries("purse", "facts")) >= 2 * 5 * 10
    assert not ledger.entries("purse", "dead-letters")


# ---- compensation


class Webhook:
    """A small HTTP server that keeps what is posted to it."""

    def __init__(self) -> None:
        posts: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posts.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["escalation"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return None

        self.posts = posts
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/alarm"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    yield server
    server.close()


def test_a_refusal_is_compensated_once_whatever_is_killed(workflow: WorkflowDeployment, webhook: Webhook) -> None:
    """Killed with the refusal or its compensation open or just committed; nothing of an undone step is told anyone."""
    worker = workflow.worker(HEADRACE_WEBHOOK=webhook.url)
    faults = {
        "a": (7, "book>inbox book:commit"),
        "b": (7, "book>inbox book:store"),
        "c": (7, "purse>events:bank.v1.Withdrawn purse:commit"),
        "d": (7, "purse>events:bank.v1.Withdrawn purse:store"),
        "e": (72, "purse>dead-letters purse:commit"),
    }

    async def scenario() -> None:
        async with workflow.client() as client:
            for root, (amount, fault) in faults.items():
                worker.start().plan_fault(fault, SIGKILL)
                await client.send(pb.Deposit(amount=1), root=root)
                await client.send(pb.Deposit(amount=amount), root=root, correlation_id=f"trip-{root}")
                await client.flush()
                await asyncio.to_thread(worker.await_fault)

    asyncio.run(scenario())
    assert webhook.posts == [], "told of an escalation that was not committed"
    worker.start()
    until(lambda: webhook.posts, "the escalation was posted")
    ledger = workflow.settled()

    escalation = {
        "root": "e",
        "refused_by": "aggregate:book e",
        "command": "bank.v1.Annotate",
        "reason": "'alarm' is not to be noted",
        "correlation_id": "trip-e",
    }
    assert webhook.posts == [escalation]
    told = [{k: line[k] for k in escalation} for line in worker.said("escalation")]
    assert told == [escalation]
    for root in "abcd":
        log = ledger.events["purse", root]
        assert [fact.message for fact in log] == [
            pb.Deposited(amount=1, balance=1),
            pb.Deposited(amount=7, balance=8),
            pb.Withdrawn(amount=1, balance=8),
        ]
        assert log[2].cause == f"rejection//main/purse/{root}:1>keeper/0"
        assert log[2].correlation == f"trip-{root}"
        assert [e.message for e in ledger.events["book", root]] == [pb.Annotated(note="0")]
    assert len(ledger.events["purse", "e"]) == 2
    assert len(ledger.rejections("purse")) == 5
    (dead_letter,) = ledger.entries("purse", "dead-letters")
    assert "escalates" in wire.DeadLetter.FromString(dead_letter.value or b"").error
    # not even among what was never committed is a notice on an event log
    written = [e for domain in ("purse", "book") for e in workflow.read(domain, "events", "read_uncommitted")]
    assert len(written) > sum(map(len, ledger.events.values())), "nothing was undone; the kills were no test"
    assert {e.headers["ce_type"].partition(b".")[0] for e in written} == {b"bank"}


# ---- dead letters


def test_reading_a_topic_does_not_wait_for_more_at_its_end(workflow: WorkflowDeployment) -> None:
    """Empty partitions are at their end already; dead letters and traces read many such."""

    async def send() -> None:
        async with workflow.client() as client:
            await client.send(pb.Deposit(amount=1), root="p")

    asyncio.run(send())
    started = time.monotonic()
    found = [len(list(read(workflow.settings, workflow.topic("purse", "commands")))) for _ in range(10)]
    assert found == [1] * 10
    assert time.monotonic() - started < 4


@pytest.fixture
def headrace(workflow: WorkflowDeployment, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """The command, on this deployment, with --json: what it prints, a value per line."""
    run = run_on(workflow, monkeypatch)
    return lambda *arguments, code=0: [
        json.loads(line) for line in run(*arguments, "--json", code=code).stdout.splitlines()
    ]


def notes(workflow: WorkflowDeployment, root: str) -> list[str]:
    """What the book has noted of a root."""
    return [event.note for event in workflow.settled().messages("book", root)]


def test_events_wait_behind_a_dead_one_until_it_is_settled(
    workflow: WorkflowDeployment, headrace: Callable[..., list[Any]]
) -> None:
    """Through a kill -9 and the loss of the store; a replay done twice is done once, a discard lets the others go."""
    worker = workflow.worker().start().await_ready()

    workflow.deposit(dead=[1, 13, 3, 4], given=[13, 3], other=[1])
    ledger = workflow.settled()
    assert [len(ledger.messages("book", root)) for root in ("dead", "given", "other")] == [1, 0, 1]
    worker.kill()
    workflow.deposit(dead=[5], other=[3])
    worker.start()
    assert (notes(workflow, "dead"), notes(workflow, "other")) == (["0"], ["0", "1"])
    worker.kill()
    shutil.rmtree(worker.folder)
    worker.start(BANK_MENDED=1)  # what waits, waits for a person, though the reason is gone
    workflow.deposit(dead=[6], other=[4])
    assert (notes(workflow, "dead"), notes(workflow, "other")) == (["0"], ["0", "1", "2"])

    # list and show
    first, second = sorted(headrace("dead-letters", "list"), key=lambda dead_letter: dead_letter["root"])
    (event,) = [e for e in ledger.entries("purse", "events") if e.key == b"dead|00000000000000000001"]
    assert first["id"] == f"{workflow.topic('purse', 'events')}/{event.partition}/{event.offset}"
    assert (first["component"], first["root"], first["type"]) == ("saga:keeper", "dead", "bank.v1.Deposited")
    assert (first["error_class"], first["error"], first["attempts"]) == ("ZeroDivisionError", "thirteen", 1)
    assert second["root"] == "given"
    (shown,) = headrace("dead-letters", "show", first["id"])
    assert bytes.fromhex(shown["value_hex"]) == event.value
    assert shown["key"] == "dead|00000000000000000001"
    assert shown["headers"] == {name: value.decode() for name, value in event.headers.items()}
    assert 'raise ZeroDivisionError("thirteen")' in shown["detail"]

    # a dry run does nothing
    would = {"id": first["id"], "done": "would be sent again"}
    assert headrace("dead-letters", "replay", "--root", "dead", "--dry-run") == [would]
    assert headrace("dead-letters", "discard", first["id"], "--dry-run") == [would | {"done": "would be discarded"}]
    assert len(headrace("dead-letters", "list")) == 2
    assert not workflow.read("keeper", "inbox")

    # twice before anybody can handle it: the dead letter is open still
    worker.kill()
    for _ in range(2):
        done = headrace("dead-letters", "replay", "--class", "ZeroDivisionError", "--root", "dead")
        assert done == [{"id": first["id"], "done": "sent again"}]
    discard = ["dead-letters", "discard", second["id"], "--json"]
    program = [sys.executable, "-m", "headrace.cli.main", *discard]
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ended.stdout) == {"id": second["id"], "done": "discarded"}
    assert len(workflow.read("keeper", "inbox")) == 3
    worker.start(BANK_MENDED=1)
    ledger = workflow.settled()
    assert [e.note for e in ledger.messages("book", "dead")] == ["0", "1", "2", "3", "4", "5"]
    assert [e.note for e in ledger.messages("book", "given")] == ["1"]
    assert "no dead letters" in headrace("dead-letters", "list", code=1)[0]["error"]
    settled = {dead_letter["root"]: dead_letter["settled"] for dead_letter in headrace("dead-letters", "list", "--all")}
    assert settled == {"dead": "replayed", "given": "discarded"}
    assert "no open dead letter" in headrace("dead-letters", "replay", first["id"], code=1)[0]["error"]
    workflow.deposit(dead=[3], given=[4])
    ledger = workflow.settled()
    assert [e.note for e in ledger.messages("book", "dead")] == ["0", "1", "2", "3", "4", "5", "6"]
    assert [e.note for e in ledger.messages("book", "given")] == ["1", "2"]


# ---- several workers


def test_the_saga_moves_between_workers(workflow: WorkflowDeployment) -> None:
    """One worker runs everything, another one the saga only; its partitions go back and forth under load."""
    whole, saga = workflow.worker("whole"), workflow.worker("saga", BANK_COMPONENTS="keeper")

    def kept(*workers: Worker) -> list[float]:
        """How many of the saga's partitions workers hold that are ready."""
        return [worker.metrics()['headrace_partitions{domain="keeper"}'] for worker in workers if worker.ready]

    async def scenario() -> Deposits:
        async with workflow.client() as client:
            load = Deposits(client, 7, callers=16, patience=4)
            whole.start()
            await load.progress(50)
            for end in (saga.stop, saga.kill):
                saga.start()
                await asyncio.to_thread(until, lambda: kept(whole, saga) == [2, 2], "they shared the saga")
                await load.progress(100)
                await asyncio.to_thread(end)
                await asyncio.to_thread(until, lambda: kept(whole) == [4], "it was given back")
                await load.progress(50)
            saga.start()
            await asyncio.to_thread(until, lambda: kept(whole, saga) == [2, 2], "they shared the saga")
            whole.kill()  # the saga goes on alone, with what the others have written
            await asyncio.to_thread(until, lambda: kept(saga) == [4], "it took all over")
            whole.start()
            await load.progress(100)
            await load.finish()
            return load

    load = asyncio.run(scenario())
    ledger = workflow.settled()
    assert check_chains(load, ledger) > 300
    assert not ledger.entries("keeper", "dead-letters")
