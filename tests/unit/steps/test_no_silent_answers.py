"""Answers that are wrong without saying so: histories cut short, changes that are none, time-outs that vanish."""

from datetime import UTC, datetime, timedelta

import pytest

from headrace import Topology
from headrace.schemas.headrace_v1_pb2 import Query
from headrace.streams.steps.merge import changed
from headrace.streams.steps.queries import PAGE
from headrace.streams.steps.replies import query_result
from headrace.testing import TopologyDriver
from headrace.testing.memory_store import MemoryStore
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import Book, Purse
from tests.support.bank.reactions import Warden
from tests.support.shapes_pb2 import Shapes
from tests.support.step_fixture import StepFixture

START = datetime(2026, 1, 1, tzinfo=UTC)
NAN = float("nan")


def test_a_nan_that_stays_is_no_change() -> None:
    """It equals nothing, itself included, and would conflict with every command."""
    before = Shapes(a_double=NAN, maybe_double=NAN, floats=[1.0, NAN])
    same = Shapes()
    same.CopyFrom(before)
    assert changed(before, same) == set()
    same.a_double, same.maybe_double, same.floats[0] = 1.0, 2.0, 2.0
    assert changed(before, same) == {("a_double",), ("maybe_double",), ("floats",)}


def test_a_page_without_events_is_not_the_end() -> None:
    """An event that fits into no answer is named; a shorter history would look whole."""
    small, large = b"x" * 10, b"x" * 5000
    result = query_result(Query(from_sequence=3, limit=9), "r", 5, "", b"", [large, small, small], 4000)
    assert (list(result.events), result.reason) == (
        [],
        "event 3 of 5000 bytes is too large for an answer; read the log",
    )


def test_a_query_is_answered_by_a_page() -> None:
    """However much it asks for: a whole history would hold up everybody else."""
    fixture = StepFixture()
    fixture.tell(pb.Transfer(amounts=[1] * (PAGE + 5)))
    assert len(fixture.tell(Query(limit=(1 << 31) - 1)).result.events) == PAGE
    assert len(fixture.tell(Query(from_sequence=PAGE, limit=(1 << 31) - 1)).result.events) == 5


class CountingStore(MemoryStore):
    """Counts the events that are read."""

    read = 0

    def history(self, root: bytes, first: int, last: int) -> list[bytes]:
        found = list(super().history(root, first, last))
        self.read += len(found)
        return found


@pytest.mark.parametrize("length", [1, 999, 1000, 1001, 3500])
def test_a_stale_expected_sequence_costs_its_distance(length: int) -> None:
    """The state of then is folded from one near it, once the history was folded."""
    store = CountingStore()
    fixture = StepFixture(store=store)
    fixture.tell(pb.Transfer(amounts=[1] * length))
    fixture.tell(pb.Annotate(note="latest"))
    fixture.tell(pb.Annotate(note="other"), expected=0)
    store.read = 0
    for expected in range(max(0, length - 50), length - 1):
        fixture.tell(pb.Open(owner="x"), expected=expected, id=f"late-{expected}")
    assert store.read <= 50 * 2200, "the events since come with each conflict, and no more than a thousand are folded"


def test_a_time_out_whose_reaction_was_dropped_is_kept_for_a_person() -> None:
    """A later release brought it back: then it is replayed. In between, the process goes on."""
    topology, without = Topology(Purse, Book, Warden), Topology(Purse, Book, Warden)
    driver = TopologyDriver(topology, start=START)
    driver.execute(pb.Deposit(amount=5), "p", correlation_id="trip")
    del without.component("warden").reactions["bank.v1.Withdraw"]  # type: ignore[attr-defined]
    driver.deploy(without)
    driver.clock.advance(timedelta(minutes=1))
    (dead_letter,) = driver.dead_letters("warden")
    told = "Warden reacts to no bank.v1.Withdraw any more; it reacts to: bank.v1.Deposited, bank.v1.Annotated"
    assert told in dead_letter.error
    driver.execute(pb.Deposit(amount=8), "p", correlation_id="trip")
    driver.deploy(topology)
    driver.replay("warden")
    driver.clock.advance(timedelta(minutes=1))
    assert driver.state("trip", "warden").pockets == {"waited": 13, "refused": 2}
