"""Queries for a point in the past: always what a replay of the whole history up to there gives."""

from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.schemas.headrace_v1_pb2 import Query, QueryResult
from headrace.schemas.stored_event import recorded_of
from headrace.streams.steps import queries
from headrace.streams.steps.handlers import States
from tests.support.bank import messages_pb2 as pb
from tests.support.step_fixture import BANK, NOW, StepFixture

STATES = States(BANK)
commands: st.SearchStrategy[Message] = st.builds(pb.Deposit, amount=st.integers(1, 9)) | st.builds(
    pb.Transfer, amounts=st.lists(st.integers(1, 9), min_size=1, max_size=4)
)


def ask(fixture: StepFixture, root: str = "r", **query: Any) -> QueryResult:
    """The answer to a query in a batch of its own."""
    return fixture.tell(Query(**query), root=root).result


def replayed(fixture: StepFixture, count: int) -> pb.Account:
    """The state after so many events, by folding them all."""
    state = pb.Account()
    STATES.fold(state, fixture.store.history(b"r", 0, count - 1))
    return state


@given(st.lists(st.lists(commands, min_size=1, max_size=3), max_size=6), st.integers(-1, 30), st.booleans())
@settings(deadline=None)
def test_a_state_as_of_a_sequence_is_that_of_a_replay(batches: list[list[Message]], at: int, restart: bool) -> None:
    fixture = StepFixture()
    for batch in batches:
        fixture.tell(*batch)
    if restart:
        fixture.restart()
    last = fixture.store.last(b"r")
    result = ask(fixture, state=True, as_of_sequence=at, limit=100)
    assert result.sequence == min(at, last)
    assert pb.Account.FromString(result.state) == replayed(fixture, result.sequence + 1)
    assert [event.sequence for event in result.events] == list(range(result.sequence + 1))
    assert result.as_of
    assert not result.unfinished


@given(st.lists(st.tuples(st.integers(0, 20), commands), max_size=8), st.integers(-1, 60))
@settings(deadline=None)
def test_a_state_as_of_a_time_is_that_of_a_replay(batches: list[tuple[int, Message]], at: int) -> None:
    fixture, now = StepFixture(), NOW
    for wait, command in batches:
        now += wait
        fixture.step.begin(now)
        fixture.tell(command)
    last = fixture.store.last(b"r")
    known = sum(recorded_of(value) <= NOW + at for value in fixture.store.history(b"r", 0, last))
    result = ask(fixture, state=True, as_of_time=NOW + at)
    assert result.sequence == known - 1
    assert pb.Account.FromString(result.state) == replayed(fixture, known)


def test_events_of_the_same_batch_count_once_the_batch_does() -> None:
    fixture = StepFixture()
    fixture.step.begin(NOW)
    fixture.tell(pb.Deposit(amount=1))
    fixture.step.begin(NOW + 10)
    deposit = fixture.record(pb.Deposit(amount=1))
    asked = [fixture.record(Query(state=True, as_of_time=NOW + after)) for after in (9, 10)]
    by_sequence = fixture.record(Query(state=True, as_of_sequence=0))
    outputs = fixture.handle(deposit, *asked, by_sequence)
    replies = [value for topic, value, *_ in outputs if topic == "headrace.replies"]
    found = [QueryResult.FromString(value or b"") for value in replies[1:]]
    assert [result.sequence for result in found] == [0, 1, 0]
    assert [pb.Account.FromString(result.state).balance for result in found] == [1, 2, 1]


@pytest.mark.parametrize("point", [{"as_of_sequence": 5}, {"as_of_time": NOW}])
def test_of_a_root_without_events_there_is_no_past(point: dict[str, int]) -> None:
    result = ask(StepFixture(), "nobody", state=True, limit=5, **point)
    assert (result.sequence, result.state, list(result.events)) == (-1, b"", [])


def test_a_range_ends_at_the_point() -> None:
    fixture = StepFixture()
    fixture.tell(pb.Transfer(amounts=[1] * 10))
    for first, at, found in ((2, 5, [2, 3, 4, 5]), (6, 5, []), (0, -1, []), (8, 50, [8, 9]), (12, 50, [])):
        result = ask(fixture, from_sequence=first, limit=20, as_of_sequence=at)
        assert [event.sequence for event in result.events] == found
    assert [event.sequence for event in ask(fixture, from_sequence=3, limit=2, as_of_sequence=8).events] == [3, 4]


def test_a_long_fold_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile the partition handles other records."""
    monkeypatch.setattr(queries, "FOLDED", 1000)
    fixture = StepFixture()
    for _ in range(26):
        fixture.tell(pb.Transfer(amounts=[1] * 100))
    results = [ask(fixture, state=True, as_of_sequence=2500) for _ in range(3)]
    assert [result.unfinished for result in results] == [True, True, False]
    assert [result.sequence for result in results] == [2500] * 3
    assert pb.Account.FromString(results[2].state).count == 2501
    assert not ask(fixture, state=True, as_of_sequence=2599).unfinished, "that is the present"


def test_the_present_is_answered_as_ever() -> None:
    fixture = StepFixture()
    fixture.tell(pb.Deposit(amount=3))
    result = ask(fixture, state=True)
    assert (result.as_of, result.sequence, pb.Account.FromString(result.state).balance) == (False, 0, 3)
