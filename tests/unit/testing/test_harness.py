"""Given, when, then: what passes, and how failures read."""

import re
from datetime import UTC, datetime
from random import random
from typing import Any

import pytest

from headrace import Aggregate, Context, TopologyError, applies, handles
from headrace.streams.steps.errors import HandlerError, TooLarge
from headrace.testing import given
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import Accounts

ANN = pb.Opened(owner="Ann")


def fails(text: str) -> Any:
    return pytest.raises(AssertionError, match=re.escape(text))


def test_events_state_and_rejections_in_a_chain() -> None:
    account = (
        given(Accounts, ANN, pb.Deposited(amount=5, balance=5))
        .when(pb.Withdraw(amount=2))
        .then(pb.Withdrawn(amount=2, balance=3))
        .then_state(owner="Ann", balance=3, count=3, pockets={})
        .when(pb.Withdraw(amount=9))
        .then_rejected("balance is 3", code="funds", retryable=False)
        .when(pb.Touch())
        .then_nothing()
        .when(pb.Stash(pocket="left", amount=1))
        .then_state(pockets={"left": 1})
    )
    assert account.events == [pb.Stashed(pocket="left", amount=1)]
    assert account.state == pb.Account(owner="Ann", balance=3, count=4, pockets={"left": 1})
    assert account.reply.sequence == 3


def test_the_state_is_a_copy() -> None:
    account = given(Accounts, ANN)
    account.state.owner = "Bob"
    account.when(pb.Touch()).then_state(owner="Ann")


def test_given_events_are_folded_and_counted() -> None:
    account = given(Accounts, ANN, pb.Deposited(balance=5))
    assert account.state == pb.Account(owner="Ann", balance=5, count=2)
    assert given(Accounts).state == pb.Account()
    account.when(pb.Withdraw(), expected_sequence=1).then(pb.Withdrawn(balance=5))
    account.when(pb.Withdraw(), expected_sequence=0).then_rejected(
        "expected sequence 0, but root-1 is at 2", code="sequence-conflict", retryable=True
    )


def test_root_time_and_ids_are_the_scenarios() -> None:
    late = datetime(2030, 5, 6, tzinfo=UTC)
    first = given(Accounts).when(pb.Annotate(note="n")).events
    assert first == given(Accounts).when(pb.Annotate(note="n")).events, "each run is the same"
    assert first[0] == given(Accounts).when(pb.Annotate(note="n"), command_id="command-1").events[0]
    assert first[0] != given(Accounts).when(pb.Annotate(note="n"), command_id="other").events[0]
    account = given(Accounts, root="r", now=datetime(2024, 1, 2, tzinfo=UTC)).when(pb.Annotate())
    account.then_state(note="")
    assert isinstance(account.events[0], pb.Annotated)
    assert account.events[0].at == "2024-01-02T00:00:00+00:00"
    for _ in range(2):
        account.when(pb.Annotate(), now=late)
        assert isinstance(account.events[0], pb.Annotated)
        assert account.events[0].at == "2030-05-06T00:00:00+00:00"
    assert account.reply.root == "r"
    with pytest.raises(ValueError, match="names no time zone"):
        given(Accounts, now=datetime(2024, 1, 1))


def test_the_same_command_id_is_answered_again() -> None:
    account = (
        given(Accounts).when(pb.Deposit(amount=1), command_id="same").when(pb.Deposit(amount=1), command_id="same")
    )
    account.then(pb.Deposited(amount=1, balance=1)).then_state(balance=1)
    assert account.reply.already_processed
    assert account.when(pb.Touch(), correlation_id="visit").reply.correlation_id == "visit"


# ---- how failures read


def test_other_events_are_shown_side_by_side() -> None:
    with pytest.raises(AssertionError) as caught:
        given(Accounts).when(pb.Transfer(amounts=[5, 6])).then(pb.Deposited(amount=5, balance=5), pb.Deposited(), ANN)
    assert str(caught.value).splitlines() == [
        "other events than expected",
        "  1. both      Deposited(amount: 5 balance: 5)",
        "  2. expected  Deposited()",
        "     got       Deposited(amount: 6 balance: 11)",
        "     differ in amount, balance",
        '  3. expected  Opened(owner: "Ann")',
        "     got       nothing",
    ]


def test_unexpected_outcomes() -> None:
    account = given(Accounts, ANN)
    with fails("no command yet; call when(command) first"):
        account.then_nothing()
    account.when(pb.Deposit(amount=1))
    with fails("accepted, but expected a rejection: funds\n  1. expected  nothing\n     got       Deposited(amount: 1"):
        account.then_rejected("funds")
    with fails("other events than expected\n  1. expected  nothing\n     got       Deposited(amount: 1"):
        account.then_nothing()
    account.when(pb.Open(owner="Bob"))
    with fails("rejected: owned by Ann already (code 'taken')\n  1. expected  Opened(owner: \"Bob\")"):
        account.then(pb.Opened(owner="Bob"))
    with fails("rejected: owned by Ann already"):
        assert account.events
    with fails("rejected for another reason\n  expected  'by Bob'\n  got       'owned by Ann already'"):
        account.then_rejected("by Bob")
    with fails("rejected with another code\n  expected  'x'\n  got       'taken'\nretryable or not"):
        account.then_rejected("Ann", code="x", retryable=True)


def test_a_rejection_that_nobody_looked_at() -> None:
    """Else a test would go on with another state than it believes."""
    account = given(Accounts, ANN).when(pb.Open(owner="Bob"))
    with fails("the command before was rejected: owned by Ann already"):
        account.when(pb.Deposit(amount=1))


def test_other_state() -> None:
    account = given(Accounts, ANN).when(pb.Deposit(amount=1))
    with fails("other state than expected\nowner\n  expected  'Bob'\n  got       'Ann'\nbalance\n  expected  2\n"):
        account.then_state(owner="Bob", balance=2, count=2)
    with fails("bank.v1.Account has no colour; it has: balance, count, owner, note, ballast, pockets"):
        account.then_state(colour="red")


def test_what_is_no_message_is_told() -> None:
    with pytest.raises(TypeError, match=r"given\(Accounts, …\) takes events, which are protobuf messages; got 'x'"):
        given(Accounts, "x")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="a command is a protobuf message, not 'x'"):
        given(Accounts).when("x")  # type: ignore[arg-type]
    with fails("expected  'x', which is no protobuf message\n     got       Deposited()"):
        given(Accounts).when(pb.Deposit()).then("x")  # type: ignore[arg-type]
    with pytest.raises(LookupError, match=r"Accounts applies no bank\.v1\.Stranger; it applies: bank\.v1\.Opened"):
        given(Accounts, pb.Stranger())
    with pytest.raises(LookupError, match=r"Accounts handles no bank\.v1\.Opened; it handles: bank\.v1\.Open"):
        given(Accounts).when(pb.Opened())


# ---- handlers that break their contract


def test_an_error_in_a_handler_is_raised_as_it_is() -> None:
    """With its own traceback, so that a debugger stops where it was raised."""
    with pytest.raises(ZeroDivisionError, match="as told") as caught:
        given(Accounts).when(pb.Burst(how="raise"))
    assert caught.traceback[-1].name == "burst"
    with pytest.raises(RuntimeError, match="cannot be applied"):
        given(Accounts).when(pb.Burst(how="apply"))


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("mutate", "Accounts.burst changed the state it was given"),
        ("type", "Accounts.burst returned str, which Accounts does not apply; return a declared event, a list"),
        ("stranger", "Accounts.burst returned Stranger, which Accounts does not apply"),
    ],
)
def test_a_broken_contract_is_named(how: str, text: str) -> None:
    account = given(Accounts, ANN)
    with pytest.raises(HandlerError, match=re.escape(text)):
        account.when(pb.Burst(how=how))
    account.when(pb.Touch()).then_state(owner="Ann", count=1, balance=0)


def test_too_large_is_the_fault_of_its_command() -> None:
    with pytest.raises(TooLarge, match="an event of 2000"):
        given(Accounts).when(pb.Swell(bytes=2_000_000))
    account = given(Accounts).when(pb.Swell(bytes=900_000))
    with pytest.raises(TooLarge, match="a state of 18000"):
        account.when(pb.Swell(bytes=900_000))


class Wild(Aggregate[pb.Account]):
    """Takes chance from elsewhere than the context."""

    domain = "wild"

    @handles
    def roll(self, state: pb.Account, command: pb.Annotate) -> pb.Annotated:
        return pb.Annotated(luck=random())

    @handles
    def tame(self, state: pb.Account, command: pb.Touch, context: Context) -> pb.Annotated:
        return pb.Annotated(luck=context.random.random(), by=context.new_id())

    @handles
    def put(self, state: pb.Account, command: pb.Stash) -> pb.Stashed:
        return pb.Stashed()

    @handles
    def five(self, state: pb.Account, command: pb.Deposit) -> pb.Stashed:
        return 5  # type: ignore[return-value]

    @applies
    def rolled(self, state: pb.Account, event: pb.Annotated) -> None:
        state.note = event.by

    @applies
    def stashed(self, state: pb.Account, event: pb.Stashed) -> None:
        state.balance = int(random() * 2**60)


def test_invariant_9_handlers_that_decide_differently_are_caught() -> None:
    with pytest.raises(
        HandlerError, match=r"(?s)Wild\.roll decides differently each time; .*1\. first .* differ in luck"
    ):
        given(Wild).when(pb.Annotate())
    with pytest.raises(HandlerError, match="Wild makes something else of the same events each time"):
        given(Wild).when(pb.Stash())
    given(Wild).when(pb.Touch())


def test_what_is_neither_event_nor_list_is_named() -> None:
    with pytest.raises(HandlerError, match=r"Wild\.five returned int, which Wild does not apply"):
        given(Wild).when(pb.Deposit())


def test_a_wrong_declaration_is_a_topology_error() -> None:
    class Nothing(Aggregate[pb.Account]):
        domain = "nothing"

    with pytest.raises(TopologyError, match="Nothing: has no method marked @handles"):
        given(Nothing)
