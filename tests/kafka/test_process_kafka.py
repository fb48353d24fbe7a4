"""Process managers on real Kafka, whatever is killed; loops of sagas that are stopped, and traces.

What is judged is read from the topics by a reader of its own (`workflow_deployment.Ledger`).
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from headrace.embedded import EmbeddedKafka
from headrace.schemas import headrace_v1_pb2 as wire
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import until
from tests.support.independent_reader import Entry
from tests.support.workflow_deployment import Ledger, WorkflowDeployment, run_on, workflow_of

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]
ROOT = Path(__file__).resolve().parents[2]


# ---- process managers


@pytest.fixture(scope="module")
def bootstrap(own_kafka: EmbeddedKafka) -> str:
    """The broker that may be killed."""
    return own_kafka.bootstrap


@pytest.fixture
def timed(own_kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[WorkflowDeployment]:
    """A deployment of purse, book and the warden, who has two seconds of patience."""
    with workflow_of(own_kafka.bootstrap, "timed", tmp_path) as workflow:
        yield workflow


def pockets(ledger: Ledger, trip: str) -> list[tuple[str, int]]:
    """What the warden has put down on a trip, in order."""
    return [(e.pocket, e.amount) for e in ledger.messages("warden", trip) if isinstance(e, pb.Stashed)]


def test_time_outs_come_once_though_the_worker_is_killed_as_they_do(timed: WorkflowDeployment) -> None:
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
        worker.plan_fault(f"warden>inbox:bank.v1.Touch {point}", SIGKILL)
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
    assert not ledger.rejections("purse")
    assert not ledger.entries("warden", "dead-letters")


def test_a_time_out_that_cannot_be_written_harms_no_other(timed: WorkflowDeployment) -> None:
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
    (dead_letter,) = [wire.DeadLetter.FromString(e.value or b"") for e in ledger.entries("warden", "dead-letters")]
    assert (dead_letter.error_class, dead_letter.key) == ("TooLarge", b"swells")


def touches(ledger: Ledger) -> list[Entry]:
    """The commands that the warden sends when its patience ends."""
    return [e for e in ledger.entries("book", "inbox") if e.headers["ce_type"] == b"bank.v1.Touch"]


def test_states_that_a_process_needs_come_with_their_sequence_though_it_is_killed(timed: WorkflowDeployment) -> None:
    """While it asks, while it is answered, while it goes on; and a refusal that it leaves to its cause."""
    worker = timed.worker()
    faults = [
        "warden>inbox:headrace.v1.Query warden:commit",
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
def endless(own_kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[WorkflowDeployment]:
    """A deployment in which two sagas answer each other without end."""
    with workflow_of(own_kafka.bootstrap, "endless", tmp_path) as workflow:
        yield workflow


def test_a_loop_of_sagas_is_stopped_and_its_trace_shows_it(
    endless: WorkflowDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    dead_letter = wire.DeadLetter.FromString(entry.value or b"")
    assert (dead_letter.error_class, dead_letter.component) == ("HopLimit", "saga:keeper")
    assert dead_letter.error == f"10 hops led here and no end: {path}keeper"
    assert not ledger.entries("echo", "dead-letters")
    assert (len(ledger.messages("purse", "p")), len(ledger.messages("book", "p"))) == (6, 5)

    # one line under the other, each a step further in
    lines = headrace("trace", "begin").stdout.splitlines()
    assert [(len(line) - len(line.lstrip())) // 2 for line in lines] == list(range(2 * 11 + 1))
    assert lines[0].startswith("command purse p: bank.v1.Deposit  +0 ms")
    assert lines[-2].strip().startswith("event purse p: bank.v1.Deposited  +")
    assert lines[-1].endswith(f"(saga:keeper: HopLimit: {dead_letter.error})")


def test_a_trace_shows_commands_events_rejections_compensations_and_dead_letters(
    workflow: WorkflowDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow.worker().start()
    headrace = run_on(workflow, monkeypatch)

    async def scenario() -> None:
        async with workflow.client() as client:
            for amount in (1, 7, 71, 13):
                await client.execute(pb.Deposit(amount=amount), root="p", correlation_id="trip", timeout=30)
            await client.execute(pb.Deposit(amount=1), root="p", correlation_id="another")
            await client.record_fact(
                pb.Stash(pocket="x", amount=1), root="p", external_id="bank-1", correlation_id="trip"
            )

    asyncio.run(scenario())
    workflow.settled()

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
