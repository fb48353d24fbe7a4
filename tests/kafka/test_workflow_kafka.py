"""Workflow on real Kafka, whatever is killed: sagas, facts, compensation, dead letters, process managers, traces.

What is judged is read from the topics by a reader of its own (`guildhall.Ledger`).
"""

import asyncio
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGKILL
from typing import Any

import bank_pb2 as pb
import pytest
from google.protobuf.message import Message
from guildhall import GuildWorker, Hall, Ledger, hall_of
from logbook import Entry
from support import Load, until
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.embedded import EmbeddedKafka
from headrace.schemas import headrace_v1_pb2 as wire
from headrace.streams.client import Client
from headrace.streams.reader import read
from headrace.streams.reply import OutcomeUnknown, Reply

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]
TESTS = Path(__file__).resolve().parents[1]


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
            load = Deposits(client, 5, callers=24, patience=1)
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


def test_a_refusal_is_compensated_once_whatever_is_killed(hall: Hall, webhook: Webhook) -> None:
    """Killed with the refusal or its compensation open or just committed; nothing of an undone step is told anyone."""
    worker = hall.worker(HEADRACE_WEBHOOK=webhook.url)
    faults = {
        "a": (7, "book>rejections book:commit"),
        "b": (7, "book>rejections book:store"),
        "c": (7, "purse>events:bank.v1.Withdrawn purse:commit"),
        "d": (7, "purse>events:bank.v1.Withdrawn purse:store"),
        "e": (72, "purse>dead-letters purse:commit"),
    }

    async def scenario() -> None:
        async with hall.client() as client:
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
    ledger = hall.settled()

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
    assert len(ledger.entries("purse", "rejections")) == 5
    (letter,) = ledger.entries("purse", "dead-letters")
    assert "escalates" in wire.DeadLetter.FromString(letter.value or b"").error
    # not even among what was never committed is a notice on an event log
    written = [e for domain in ("purse", "book") for e in hall.read(domain, "events", "read_uncommitted")]
    assert len(written) > sum(map(len, ledger.events.values())), "nothing was undone; the kills were no test"
    assert {e.headers["ce_type"].partition(b".")[0] for e in written} == {b"bank"}


# ---- dead letters


def test_reading_a_topic_does_not_wait_for_more_at_its_end(hall: Hall) -> None:
    """Empty partitions are at their end already; dead letters and traces read many such."""

    async def send() -> None:
        async with hall.client() as client:
            await client.send(pb.Deposit(amount=1), root="p")

    asyncio.run(send())
    started = time.monotonic()
    found = [len(list(read(hall.settings, hall.topic("purse", "commands")))) for _ in range(10)]
    assert found == [1] * 10
    assert time.monotonic() - started < 4


@pytest.fixture
def headrace(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """The command, on this deployment, with --json: what it prints, a value a line."""
    run = run_on(hall, monkeypatch)
    return lambda *arguments, code=0: [
        json.loads(line) for line in run(*arguments, "--json", code=code).stdout.splitlines()
    ]


def run_on(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, on a deployment; it must end with `code`."""
    monkeypatch.setenv("HEADRACE_TOPOLOGY", f"guild:{hall.name}")
    monkeypatch.setenv("HEADRACE_BOOTSTRAP", hall.settings.bootstrap)
    monkeypatch.setenv("HEADRACE_PREFIX", hall.settings.prefix)

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == code, result.output
        return result

    return run


def notes(hall: Hall, root: str) -> list[str]:
    """What the book has noted of a root."""
    return [event.note for event in hall.settled().messages("book", root)]


def test_events_wait_behind_a_dead_one_until_it_is_settled(hall: Hall, headrace: Callable[..., list[Any]]) -> None:
    """Through a kill -9 and the loss of the store; a replay done twice is done once, a discard lets the others go."""
    worker = hall.worker().start().await_ready()

    def deposit(**amounts: list[int]) -> None:
        async def go() -> None:
            async with hall.client() as client:
                for root, numbers in amounts.items():
                    for number in numbers:
                        await client.send(pb.Deposit(amount=number), root=root)
                await client.flush()

        asyncio.run(go())

    deposit(dead=[1, 13, 3, 4], given=[13, 3], other=[1])
    ledger = hall.settled()
    assert [len(ledger.messages("book", root)) for root in ("dead", "given", "other")] == [1, 0, 1]
    worker.kill()
    deposit(dead=[5], other=[3])
    worker.start()
    assert (notes(hall, "dead"), notes(hall, "other")) == (["0"], ["0", "1"])
    worker.kill()
    shutil.rmtree(worker.folder)
    worker.start(GUILD_MENDED=1)  # what waits, waits for a person, though the reason is gone
    deposit(dead=[6], other=[4])
    assert (notes(hall, "dead"), notes(hall, "other")) == (["0"], ["0", "1", "2"])

    # list and show
    first, second = sorted(headrace("dead-letters", "list"), key=lambda letter: letter["root"])
    (event,) = [e for e in ledger.entries("purse", "events") if e.key == b"dead|00000000000000000001"]
    assert first["id"] == f"{hall.topic('purse', 'events')}/{event.partition}/{event.offset}"
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
    assert not hall.read("keeper", "inbox")

    # twice before anybody can handle it: the letter is open still
    worker.kill()
    for _ in range(2):
        done = headrace("dead-letters", "replay", "--class", "ZeroDivisionError", "--root", "dead")
        assert done == [{"id": first["id"], "done": "sent again"}]
    discard = ["dead-letters", "discard", second["id"], "--json"]
    program = [sys.executable, "-m", "headrace.cli.main", *discard]
    ended = subprocess.run(program, cwd=TESTS, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ended.stdout) == {"id": second["id"], "done": "discarded"}
    assert len(hall.read("keeper", "inbox")) == 3
    worker.start(GUILD_MENDED=1)
    ledger = hall.settled()
    assert [e.note for e in ledger.messages("book", "dead")] == ["0", "1", "2", "3", "4", "5"]
    assert [e.note for e in ledger.messages("book", "given")] == ["1"]
    assert "no dead letters" in headrace("dead-letters", "list", code=1)[0]["error"]
    settled = {letter["root"]: letter["settled"] for letter in headrace("dead-letters", "list", "--all")}
    assert settled == {"dead": "replayed", "given": "discarded"}
    assert "no open dead letter" in headrace("dead-letters", "replay", first["id"], code=1)[0]["error"]
    deposit(dead=[3], given=[4])
    ledger = hall.settled()
    assert [e.note for e in ledger.messages("book", "dead")] == ["0", "1", "2", "3", "4", "5", "6"]
    assert [e.note for e in ledger.messages("book", "given")] == ["1", "2"]


# ---- process managers


@pytest.fixture
def timed(own_kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Hall]:
    """A deployment of purse, book and the warden, who has two seconds of patience."""
    with hall_of(own_kafka.bootstrap, "timed", tmp_path) as hall:
        yield hall


def pockets(ledger: Ledger, trip: str) -> list[tuple[str, int]]:
    """What the warden has put down on a trip, in order."""
    return [(e.pocket, e.amount) for e in ledger.messages("warden", trip) if isinstance(e, pb.Stashed)]


def test_time_outs_come_once_though_the_worker_is_killed_as_they_do(timed: Hall) -> None:
    """Forty trips' time-outs in four groups, each group hit at another point of its step; cancelled ones never come."""
    worker = timed.worker()
    points = ["warden:flush", "warden:offsets", "warden:commit", "warden:store"]
    groups = [[f"trip-{group}-{number}" for number in range(10)] for group in range(len(points))]
    cancelled = [f"cancelled-{number}" for number in range(10)]

    async def begin(trips: list[str], amount: int) -> None:
        async with timed.client() as client:
            for trip in trips:
                await client.send(pb.Deposit(amount=amount), root=trip, correlation_id=trip)
            await client.flush()

    async def note(trips: list[str]) -> None:
        async with timed.client() as client:
            for trip in trips:
                await client.send(pb.Annotate(note="here"), root=trip, correlation_id=trip)
            await client.flush()

    worker.start().await_ready()
    asyncio.run(begin(cancelled, 50))
    until(lambda: len(timed.read("warden", "events")) == len(cancelled), "all trips that are to be cancelled began")
    asyncio.run(note(cancelled))
    for number, point in enumerate(points):
        asyncio.run(begin(groups[number], number + 1))
        worker.plan_fault(f"warden>commands:bank.v1.Touch {point}", SIGKILL)
        worker.await_fault()
        worker.start()
    # the last of them is due after all that were cancelled, and comes no sooner
    asyncio.run(begin(["last"], 50))

    def all_came() -> Ledger | None:
        ledger = timed.settled()
        return ledger if pockets(ledger, "last") == [("waited", 50), ("refused", 1)] else None

    ledger = until(all_came, "the last time-out came")
    assert ledger is not None
    trips = ["last"] + [trip for group in groups for trip in group]
    amounts = {trip: number for number, group in enumerate(groups, 1) for trip in group} | {"last": 50}
    for trip in trips:
        # the refusal of its command came to its own compensation, before anybody else's
        assert pockets(ledger, trip) == [("waited", amounts[trip]), ("refused", 1)]
        opened, waited, refused = ledger.events["warden", trip]
        assert waited.cause.startswith(f"/main/warden/timer/{trip}/bank.v1.Withdraw/")
        assert refused.cause == f"/main/book/rejection/{waited.cause}>warden/0"
        assert opened.message.owner == trip
    intime = [trip for trip in cancelled if pockets(ledger, trip) == [("noted", 1)]]
    late = [trip for trip in cancelled if trip not in intime]
    assert len(intime) > len(late)
    for trip in late:  # noted after it was due: then it came before the note
        assert sorted(pockets(ledger, trip)) == [("noted", 1), ("refused", 1), ("waited", 50)]
        assert pockets(ledger, trip)[0] == ("waited", 50)
    assert Counter(e.headers["ce_correlationid"].decode() for e in touches(ledger)) == Counter([*trips, *late])
    assert not ledger.entries("purse", "rejections")
    assert not ledger.entries("warden", "dead-letters")


def test_a_time_out_that_cannot_be_written_harms_no_other(timed: Hall) -> None:
    """It makes a state above the broker's limit: a dead letter, while others of the same moment come."""
    timed.worker().start()

    async def begin() -> None:
        async with timed.client() as client:
            for trip, amount in (("a", 1), ("swells", 60), ("b", 2)):
                await client.send(pb.Deposit(amount=amount), root=trip, correlation_id=trip)
            await client.flush()

    asyncio.run(begin())
    until(lambda: len(timed.read("warden", "events")) >= 7, "the others' time-outs came")
    ledger = timed.settled()
    assert pockets(ledger, "a") == [("waited", 1), ("refused", 1)]
    assert pockets(ledger, "b") == [("waited", 2), ("refused", 1)]
    assert len(ledger.messages("warden", "swells")) == 1
    (letter,) = [wire.DeadLetter.FromString(e.value or b"") for e in ledger.entries("warden", "dead-letters")]
    assert (letter.error_class, letter.key) == ("TooLarge", b"swells")


def touches(ledger: Ledger) -> list[Entry]:
    """The commands that the warden sends when its patience ends."""
    return [e for e in ledger.entries("book", "commands") if e.headers["ce_type"] == b"bank.v1.Touch"]


def test_states_that_a_process_needs_come_with_their_sequence_though_it_is_killed(timed: Hall) -> None:
    """While it asks, while it is answered, while it goes on; and a refusal that it leaves to its cause."""
    worker = timed.worker()
    faults = [
        "warden>commands:headrace.v1.Query warden:commit",
        "purse>inbox purse:store",
        "warden>events:bank.v1.Stashed warden:store",
    ]

    async def scenario() -> None:
        async with timed.client() as client:
            for number, fault in enumerate(faults):
                worker.start()
                at = await client.execute(pb.Deposit(amount=number + 1), root="treasury", timeout=30)
                assert at.sequence == number
                worker.plan_fault(fault, SIGKILL)
                await client.send(pb.Deposit(amount=100), root="p", correlation_id=f"trip-{number}")
                await client.send(pb.Deposit(amount=7), root="p", correlation_id=f"trip-{number}")
                await client.flush()
                await asyncio.to_thread(worker.await_fault)

    asyncio.run(scenario())
    worker.start()
    ledger = timed.settled()
    balances = [1, 3, 6]
    for number in range(len(faults)):
        trip = f"trip-{number}"
        found = dict(pockets(ledger, trip))
        assert len(pockets(ledger, trip)) == 3
        assert found["at"] >= number  # a worker that is killed asks again, and may find more
        assert (found["seen"], found["nobody"]) == (balances[found["at"]], -1)
        # its command is refused; it has no compensation for that one, so that the purse's comes next
        (deposited,) = [f for f in ledger.events["purse", "p"] if f.correlation == trip and f.message.amount == 7]
        command = f"{deposited.id}>warden/0"
        (withdrawn,) = ledger.by_cause[f"rejection/{command}"]
        assert (withdrawn.domain, withdrawn.message.amount) == ("purse", deposited.sequence)
    # the deposits into the treasury have courses of their own, whose time-outs end in refusals as well
    trips = [e for e in ledger.entries("warden", "inbox") if (e.key or b"").startswith(b"trip-")]
    assert [e.headers["ce_type"] for e in trips].count(b"headrace.v1.Rejection") == 3
    assert not ledger.entries("warden", "dead-letters")


# ---- loops and traces


@pytest.fixture
def endless(own_kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Hall]:
    """A deployment in which two sagas answer each other without end."""
    with hall_of(own_kafka.bootstrap, "endless", tmp_path) as hall:
        yield hall


def test_a_loop_of_sagas_is_stopped_and_its_trace_shows_it(endless: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    endless.worker(HEADRACE_HOP_LIMIT=10).start()
    headrace = run_on(endless, monkeypatch)

    async def scenario() -> None:
        async with endless.client() as client:
            await client.send(pb.Deposit(amount=1), root="p", command_id="begin")
            await client.flush()

    asyncio.run(scenario())
    ledger = endless.settled()
    path = "keeper>echo>" * 5
    (entry,) = ledger.entries("keeper", "dead-letters")
    letter = wire.DeadLetter.FromString(entry.value or b"")
    assert (letter.error_class, letter.component) == ("HopLimit", "saga:keeper")
    assert letter.error == f"10 hops led here and no end: {path}keeper"
    assert not ledger.entries("echo", "dead-letters")
    assert (len(ledger.messages("purse", "p")), len(ledger.messages("book", "p"))) == (6, 5)

    # one line under the other, each a step further in
    lines = headrace("trace", "begin").stdout.splitlines()
    assert [(len(line) - len(line.lstrip())) // 2 for line in lines] == list(range(2 * 11 + 1))
    assert lines[0].startswith("command purse p: bank.v1.Deposit  +0 ms")
    assert lines[-2].strip().startswith("event purse p: bank.v1.Deposited  +")
    assert lines[-1].endswith(f"(saga:keeper: HopLimit: {letter.error})")


def test_a_trace_shows_commands_events_rejections_compensations_and_dead_letters(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    hall.worker().start()
    headrace = run_on(hall, monkeypatch)

    async def scenario() -> None:
        async with hall.client() as client:
            for amount in (1, 7, 71, 13):
                await client.execute(pb.Deposit(amount=amount), root="p", correlation_id="trip", timeout=30)
            await client.execute(pb.Deposit(amount=1), root="p", correlation_id="another")
            await client.state_fact(
                pb.Stash(pocket="x", amount=1), root="p", external_id="bank-1", correlation_id="trip"
            )

    asyncio.run(scenario())
    hall.settled()

    # the tree as kinds and types
    def shape(node: dict[str, Any]) -> Any:
        short = f"{node['kind']} {node['domain']} {node['type'].rpartition('.')[2]}"
        children = [shape(child) for child in node["children"]]
        return (short, *children)

    (line,) = headrace("trace", "trip", "--json").stdout.splitlines()
    trees = json.loads(line)
    made = "command purse Deposit", "event purse Deposited", "command book Annotate"
    refused = "rejection purse Rejection"
    assert [shape(tree) for tree in trees] == [
        (made[0], (made[1], (made[2], ("event book Annotated",)))),
        (made[0], (made[1], (made[2], (refused, ("event purse Withdrawn",))))),
        (made[0], (made[1], (made[2], (refused, ("dead letter purse DeadLetter",))))),
        (made[0], (made[1], ("dead letter keeper DeadLetter",))),
        ("fact purse Stash", ("event purse Stashed",)),
    ]
    deposited = trees[1]["children"][0]
    assert (deposited["id"], deposited["root"]) == ("/main/purse/p:1", "p")
    assert deposited["children"][0]["id"] == "/main/purse/p:1>keeper/0"
    rejection = deposited["children"][0]["children"][0]
    assert rejection["note"] == "aggregate:book p refused bank.v1.Annotate: 'no' is not to be noted"
    assert trees[3]["children"][0]["children"][0]["note"] == "saga:keeper: ZeroDivisionError: thirteen"
    assert trees[4]["children"][0]["note"] == "fact bank-1"
    times = [datetime.fromisoformat(time) for time in every(trees, "time")]
    assert len(times) == 19
    assert all(0 <= (time - times[0]).total_seconds() < 60 for time in times)

    # the same as text and as a drawing
    lines = headrace("trace", "trip").stdout.splitlines()
    assert len(lines) == len(times)
    assert lines[7].startswith("      rejection purse p: headrace.v1.Rejection  +")
    drawing = headrace("trace", "trip", "--mermaid").stdout.splitlines()
    assert drawing[0] == "flowchart TD"
    arrows = [line for line in drawing if "-->" in line]
    nodes = [line for line in drawing[1:] if "-->" not in line]
    assert (len(nodes), len(arrows)) == (len(times), len(times) - len(trees))
    assert '  n7{{"purse p<br>headrace.v1.Rejection"}}' in nodes
    assert "  n6 --> n7" in arrows
    assert "no record has the correlation id nobody" in headrace("trace", "nobody", code=1).stderr


def every(nodes: list[dict[str, Any]], field: str) -> Iterator[Any]:
    """A field of all nodes of trees, from above."""
    for node in nodes:
        yield node[field]
        yield from every(node["children"], field)


# ---- several workers


def test_the_saga_moves_between_workers(hall: Hall) -> None:
    """One worker runs everything, another one the saga only; its partitions go back and forth under load."""
    whole, saga = hall.worker("whole"), hall.worker("saga", GUILD_COMPONENTS="keeper")

    def kept(*workers: GuildWorker) -> list[float]:
        """How many of the saga's partitions workers hold that are ready."""
        return [worker.metrics()['headrace_partitions{domain="keeper"}'] for worker in workers if worker.ready]

    async def scenario() -> Deposits:
        async with hall.client() as client:
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
    ledger = hall.settled()
    assert check_chains(load, ledger) > 300
    assert not ledger.entries("keeper", "dead-letters")
