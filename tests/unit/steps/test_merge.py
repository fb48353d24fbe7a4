"""Commands that expect a sequence which is not the root's, by merge strategy; and how states are compared."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.streams.steps.merge import changed, overlap
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import Fields
from tests.support.shapes_pb2 import Shapes
from tests.support.step_fixture import Reply, StepFixture


def conflict(reply: Reply) -> None:
    assert (reply.status, reply.code, reply.retryable) == (Reply.REJECTED, "sequence-conflict", True)


# ---- the expected sequence is the root's


@pytest.mark.parametrize(
    "command", [pb.Open(owner="x"), pb.Withdraw(), pb.Transfer(amounts=[1]), pb.Touch()], ids=lambda c: type(c).__name__
)
def test_each_strategy_accepts_the_right_sequence(command: Any) -> None:
    fixture = StepFixture()
    assert fixture.tell(command, expected=-1).reply.status == Reply.ACCEPTED
    fixture = StepFixture()
    fixture.tell(pb.Deposit(amount=1), pb.Deposit(amount=1))
    assert fixture.tell(command, expected=1).reply.status == Reply.ACCEPTED


# ---- STRICT


def test_strict_refuses_and_tells_the_events_since() -> None:
    fixture = StepFixture()
    fixture.tell(*(pb.Deposit(amount=n) for n in range(4)))
    outcome = fixture.tell(pb.Withdraw(amount=1), expected=1)
    conflict(outcome.reply)
    assert outcome.reply.reason == "expected sequence 1, but r is at 3; read it again and decide anew"
    assert outcome.reply.sequence == 3
    assert [(e.sequence, pb.Deposited.FromString(e.data).amount) for e in outcome.reply.events] == [(2, 2), (3, 3)]
    assert outcome.events == []


def test_strict_counts_the_events_of_its_own_batch() -> None:
    fixture = StepFixture()
    fixture.tell(pb.Deposit(amount=5))
    outcome = fixture.run(
        fixture.record(pb.Deposit(amount=6)),
        fixture.record(pb.Withdraw(amount=1), expected=0),
        fixture.record(pb.Withdraw(amount=1), expected=1),
        fixture.record(pb.Withdraw(amount=1), expected=-1),
    )
    first, second, third = outcome.replies[1:]
    conflict(first)
    assert [e.sequence for e in first.events] == [1]
    assert second.status == Reply.ACCEPTED
    conflict(third)
    assert [e.sequence for e in third.events] == [0, 1, 2]


def test_a_conflict_nobody_waits_for_is_a_dead_letter() -> None:
    fixture = StepFixture()
    fixture.tell(pb.Deposit(amount=1))
    (dead_letter,) = fixture.tell(pb.Withdraw(amount=1), expected=-1, reply_to=None).dead
    assert "expected sequence -1, but r is at 0" in dead_letter.error


@pytest.mark.parametrize("command", [pb.Withdraw(), pb.Open(owner="x")], ids=["strict", "commutative"])
@pytest.mark.parametrize("expected", [1, 9_223_372_036_854_775_807])
def test_a_sequence_in_the_future_is_refused(command: Any, expected: int) -> None:
    fixture = StepFixture()
    fixture.tell(pb.Deposit(amount=1))
    reply = fixture.tell(command, expected=expected).reply
    conflict(reply)
    assert f"expected sequence {expected}, but r is at 0" in reply.reason
    assert list(reply.events) == []


# ---- AGGREGATE_HANDLES, MANUAL


@pytest.mark.parametrize("expected", [-1, 0, 99])
def test_aggregate_handles_is_not_checked(expected: int) -> None:
    fixture = StepFixture()
    fixture.tell(pb.Deposit(amount=1), pb.Deposit(amount=1))
    assert fixture.tell(pb.Transfer(amounts=[1]), expected=expected).reply.status == Reply.ACCEPTED


@pytest.mark.parametrize("expected", [-1, 5])
def test_manual_goes_to_the_dead_letters(expected: int) -> None:
    fixture = StepFixture()
    fixture.tell(pb.Deposit(amount=1))
    outcome = fixture.tell(pb.Touch(), expected=expected)
    (dead_letter,) = outcome.dead
    assert dead_letter.error == f"expected sequence {expected}, but r is at 0"
    assert (outcome.reply.status, outcome.reply.retryable) == (Reply.FAILED, False)


# ---- COMMUTATIVE


@pytest.mark.parametrize(
    ("since", "command", "both"),
    [
        (pb.Open(owner="x"), pb.Deposit(amount=1), None),
        (pb.Deposit(amount=1), pb.Deposit(amount=1), "balance"),
        (pb.Deposit(amount=0), pb.Deposit(amount=1), None),
        (pb.Deposit(amount=1), pb.Touch(), None),
        (pb.Stash(pocket="left", amount=1), pb.Stash(pocket="right", amount=1), None),
        (pb.Stash(pocket="left", amount=1), pb.Stash(pocket="left", amount=2), "pockets.left"),
        (pb.Stash(pocket="left", amount=1), pb.Stash(pocket="left", amount=1), None),
        (pb.Open(owner="x"), pb.Stash(pocket="left", amount=1), None),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
def test_commutative_refuses_only_what_meets(since: Any, command: Any, both: str | None, together: bool) -> None:
    """Overlapping changes are refused and named, maps by key; changes elsewhere are accepted."""
    fixture = StepFixture(Fields, check_purity=True)
    records = [
        fixture.record(pb.Stash(pocket="first", amount=1)),
        fixture.record(since),
        fixture.record(command, expected=0),
    ]
    *_, reply = fixture.run(*records).replies if together else [fixture.run(record).reply for record in records]
    if both is None:
        assert reply.status == Reply.ACCEPTED
        return
    conflict(reply)
    assert (
        reply.reason == f"expected sequence 0, but r is at 1, and {both} changed since; read it again and decide anew"
    )
    assert [e.sequence for e in reply.events] == [1]


def test_commutative_compares_with_the_state_then() -> None:
    """What had changed before the expected sequence does not count; neither does what is as it was."""
    fixture = StepFixture(Fields)
    fixture.tell(pb.Deposit(amount=5), pb.Open(owner="a"), pb.Open(owner="b"), pb.Open(owner="a"))
    assert fixture.tell(pb.Open(owner="c"), expected=1).reply.status == Reply.ACCEPTED
    assert fixture.tell(pb.Deposit(amount=1), expected=0).reply.status == Reply.ACCEPTED
    conflict(fixture.tell(pb.Deposit(amount=1), expected=-1).reply)


def test_commutative_still_lets_the_handler_say_no() -> None:
    fixture = StepFixture()
    fixture.tell(pb.Open(owner="Ann"))
    reply = fixture.tell(pb.Open(owner="Bob"), expected=-1).reply
    assert (reply.code, reply.retryable) == ("taken", False)


def test_a_refused_merge_changes_nothing() -> None:
    fixture = StepFixture(Fields)
    fixture.tell(pb.Deposit(amount=5))
    conflict(fixture.tell(pb.Deposit(amount=1), expected=-1).reply)
    assert fixture.tell(pb.Deposit(amount=1)).reply.sequence == 1
    assert fixture.state().balance == 6


def test_an_applier_that_fails_while_merging_harms_its_command_only() -> None:
    fixture = StepFixture(check_purity=True)
    fixture.tell(pb.Deposit(amount=5))
    outcome = fixture.tell(pb.Burst(how="apply"), expected=-1)
    assert outcome.dead[0].error == "this event cannot be applied"
    assert fixture.tell(pb.Deposit(amount=1)).reply.status == Reply.ACCEPTED
    assert fixture.state().balance == 6


def test_a_repeated_conflict_is_answered_as_a_conflict() -> None:
    fixture = StepFixture()
    fixture.tell(pb.Deposit(amount=5))
    first = fixture.tell(pb.Withdraw(amount=1), expected=-1, id="same").reply
    again = fixture.tell(pb.Withdraw(amount=1), expected=0, id="same").reply
    conflict(again)
    assert again.reason == first.reason
    assert again.already_processed


# ---- which fields differ


ACCOUNTS = st.builds(
    pb.Account,
    balance=st.integers(0, 2),
    owner=st.sampled_from(["", "a"]),
    pockets=st.dictionaries(st.sampled_from("xyz"), st.integers(0, 2)),
)


@given(ACCOUNTS, ACCOUNTS)
def test_changed_is_empty_for_equal_states_only(one: pb.Account, other: pb.Account) -> None:
    paths = changed(one, other)
    assert bool(paths) == (one != other)
    assert paths == changed(other, one)
    assert overlap(paths, paths) == paths


@given(ACCOUNTS, ACCOUNTS)
def test_changed_names_all_that_differs(one: pb.Account, other: pb.Account) -> None:
    """Taking over the named fields makes the states equal."""
    for path in changed(one, other):
        if path[0] != "pockets":
            setattr(one, path[0], getattr(other, path[0]))
        elif path[1] in other.pockets:
            one.pockets[path[1]] = other.pockets[path[1]]
        else:
            del one.pockets[path[1]]
    assert one == other


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({}, {"maybe_bool": False}, {("maybe_bool",)}),
        ({"a_bool": False}, {}, set()),
        ({"leaf": {"name": "a"}}, {"leaf": {"name": "b"}}, {("leaf", "name")}),
        ({"leaf": {}}, {}, {("leaf",)}),
        ({"leaf": {"name": "a"}}, {"leaf": {"name": "a", "rank": 0}}, {("leaf", "rank")}),
        ({"text": "a"}, {"number": 1}, {("text",), ("number",)}),
        ({"text": ""}, {}, {("text",)}),
        ({"leaves": [{}, {"name": "a"}]}, {"leaves": [{}, {"name": "b"}]}, {("leaves",)}),
        ({"strings": ["a", "b"]}, {"strings": ["b", "a"]}, {("strings",)}),
        ({"leaf_by_name": {"x": {"name": "a"}}}, {"leaf_by_name": {"x": {"name": "b"}}}, {("leaf_by_name", "x")}),
        ({"uint64_by_bool": {True: 0}}, {}, {("uint64_by_bool", True)}),
        ({"suit": 4, "a_bytes": b"x"}, {"suit": -1}, {("suit",), ("a_bytes",)}),
    ],
)
def test_changed_by_kind_of_field(before: Any, after: Any, paths: set[tuple[Any, ...]]) -> None:
    """Into messages by field, into maps by key, lists as a whole; unset is not the same as empty where it is kept."""
    one, other = Shapes(**before), Shapes(**after)
    assert changed(one, other) == paths
    assert changed(other, one) == paths
    assert changed(one, one) == set()
    assert (one, other) == (Shapes(**before), Shapes(**after)), "reading sets no field"


def test_overlap_is_of_paths_above_and_below() -> None:
    assert overlap({("a", "b")}, {("a",)}) == {("a", "b")}
    assert overlap({("a",)}, {("a", "b")}) == {("a",)}
    assert overlap({("a", "b")}, {("a", "c"), ("b",)}) == set()
    assert overlap(set(), {("a",)}) == set()
