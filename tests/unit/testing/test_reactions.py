"""Given, when, then for sagas and process managers: what passes, and how failures read."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from headrace import (
    Cancel,
    EventContext,
    Flag,
    ProcessContext,
    ProcessManager,
    Rejection,
    Saga,
    Schedule,
    Send,
    StateOf,
    TopologyError,
    Transient,
    applies,
    compensates,
    reacts,
)
from headrace.streams.steps.errors import HandlerError, InvalidArgument
from headrace.testing import given
from tests.support.bank.accounts import Purse
from tests.support.bank.messages_pb2 import (
    Account,
    Annotate,
    Annotated,
    Deposit,
    Deposited,
    Opened,
    Stash,
    Stashed,
    Touch,
    Withdraw,
    Withdrawn,
)
from tests.support.bank.reactions import Keeper, Warden

SECONDS = timedelta(seconds=1)
TREASURY, NOBODY = StateOf("purse", "treasury"), StateOf("book", "nobody")


def fails(text: str) -> Any:
    return pytest.raises(AssertionError, match=re.escape(text))


# ---- sagas


def test_a_saga_sends() -> None:
    saga = given(Keeper).when(Deposited(amount=1), root="ann").then(Send("book", "ann", Annotate(note="0")))
    saga.when(Deposited(amount=2)).then(
        Send("book", "ann", Annotate(note="1")), Send("book", "ann-copy", Annotate(note="again"))
    )
    assert [type(item) for item in saga.items] == [Send, Send]


def test_what_an_event_brings_along() -> None:
    seen: list[EventContext] = []

    class Curious(Saga):
        name = "curious"
        source = "purse"

        @reacts
        def deposited(self, event: Deposited, context: EventContext) -> Iterator[Send[Touch]]:
            seen.append(context)
            yield from ()

    now = datetime(2030, 1, 2, tzinfo=UTC)
    given(Curious).when(Deposited(), root="ann", correlation_id="trip", now=now).then_nothing()
    first, again = seen
    assert first == again
    assert (first.root, first.sequence, first.correlation_id, first.now, first.edition, first.event_id) == (
        "ann",
        0,
        "trip",
        now,
        "main",
        "/main/purse/ann:0",
    )


def test_what_a_saga_does_wrong_is_raised_as_it_is() -> None:
    saga = given(Keeper)
    with pytest.raises(ZeroDivisionError, match="thirteen"):
        saga.when(Deposited(amount=13))
    with pytest.raises(InvalidArgument, match=r"Keeper\.deposited sends bank\.v1\.Annotate to book without a root"):
        saga.when(Deposited(amount=16))
    with pytest.raises(LookupError, match=r"Keeper reacts to no bank\.v1\.Opened; it reacts to: bank\.v1\.Deposited"):
        saga.when(Opened())
    saga.when(Deposited(amount=5)).then(Send("book", "root-1", Annotate(note="2")))
    with pytest.raises(TypeError, match=r"given\(Keeper, …\) takes no events; a saga keeps none of its own"):
        given(Keeper, Deposited())  # type: ignore[arg-type]


def test_a_transient_failure_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Keeper, "stumbles", 2)
    given(Keeper).when(Deposited(amount=14)).then(Send("book", "root-1", Annotate(note="0")))
    monkeypatch.setattr(Keeper, "stumbles", 99)
    with pytest.raises(Transient, match="stumbled"):
        given(Keeper).when(Deposited(amount=14))


def test_a_saga_that_yields_something_else_each_time_is_caught() -> None:
    numbers = count()

    class Fickle(Saga):
        name = "fickle"
        source = "purse"

        @reacts
        def deposited(self, event: Deposited) -> Send[Annotate]:
            return Send("book", "r", Annotate(note=str(next(numbers))))

    with pytest.raises(HandlerError, match="Fickle yields something else each time") as caught:
        given(Fickle).when(Deposited())
    assert "differ in message.note" in str(caught.value)


def test_mistakes_that_can_be_seen_without_the_others_are_told() -> None:
    class Empty(Saga):
        name = "Not A Name"
        source = "purse"

    with pytest.raises(TopologyError, match="Empty"):
        given(Empty)
    with pytest.raises(TopologyError, match="is no Aggregate"):
        given(int)  # type: ignore[arg-type]


def test_other_commands_are_shown_side_by_side() -> None:
    saga = given(Keeper)
    with fails("no event yet; call when(event) first"):
        saga.then_nothing()
    saga.when(Deposited(amount=2))
    with pytest.raises(AssertionError) as caught:
        saga.then(
            Send("book", "root-2", Annotate(note="1")),
            Send("book", "root-1-copy", Annotate(note="again")),
            Schedule(SECONDS, Touch()),
            Cancel("patience"),
        )
    assert str(caught.value).splitlines() == [
        "something else than expected",
        "  1. expected  Send('book', 'root-2', Annotate(note: \"1\"))",
        "     got       Send('book', 'root-1', Annotate(note: \"0\"))",
        "     differ in message.note, root",
        "  2. both      Send('book', 'root-1-copy', Annotate(note: \"again\"))",
        "  3. expected  Schedule(0:00:01, Touch())",
        "     got       nothing",
        "  4. expected  Cancel('patience')",
        "     got       nothing",
    ]


# ---- process managers


def test_a_process_waits_and_goes_on() -> None:
    process = (
        given(Warden, root="trip")
        .when(Deposited(amount=50), root="ann")
        .then(Opened(owner="trip"), Schedule(6 * SECONDS, Withdraw(amount=50)))
        .then_state(owner="trip", count=1)
        .after(5 * SECONDS)
        .then_nothing()
        .after(SECONDS)
        .then(Stashed(pocket="waited", amount=50), Send("book", "trip", Touch()))
        .rejected(Touch(), "not to be touched", root="trip", domain="book")
        .then(Stashed(pocket="refused", amount=1))
        .after(timedelta(days=1))
        .then_nothing()
    )
    assert dict(process.state.pockets) == {"waited": 50, "refused": 1}


def test_a_cancelled_time_out_does_not_come() -> None:
    given(Warden).when(Deposited(amount=5)).when(Annotated()).then(
        Cancel(Withdraw), Stashed(pocket="noted", amount=1)
    ).after(timedelta(hours=1)).then_nothing()


def test_its_own_events_are_given() -> None:
    process = given(Warden, Opened(owner="trip"), Stashed(pocket="noted", amount=1))
    process.then_state(owner="trip", pockets={"noted": 1}).when(Annotated())
    process.then_state(pockets={"noted": 2})
    with pytest.raises(LookupError, match=r"Warden applies no bank\.v1\.Annotated"):
        given(Warden, Annotated())


def test_states_that_are_read_are_given() -> None:
    process = given(Warden).with_state(TREASURY, Account(balance=7), sequence=3).with_state(NOBODY, None)
    process.when(Deposited(amount=100)).then(
        Stashed(pocket="seen", amount=7), Stashed(pocket="at", amount=3), Stashed(pocket="nobody", amount=-1)
    )
    process.with_state(TREASURY, Account(balance=9)).when(Deposited(amount=100)).then_state(
        pockets={"seen": 16, "at": 3, "nobody": -2}
    )
    unknown = re.escape(f"Warden.deposited reads {TREASURY}, which this test does not hold; add .with_state(")
    with pytest.raises(LookupError, match=unknown):
        given(Warden).when(Deposited(amount=100))


def test_what_a_process_does_wrong_is_raised_as_it_is() -> None:
    class Careless(ProcessManager[Account]):
        name = "careless"

        @reacts
        def deposited(self, state: Account, event: Deposited, context: ProcessContext) -> Any:
            if event.amount == 1:
                state.balance = 1
            yield Withdrawn() if event.amount == 2 else Schedule(SECONDS, Touch())

        @reacts
        def touched(self, state: Account, event: Touch) -> Iterator[Schedule]:
            yield Schedule(timedelta(milliseconds=-1), Touch())

        @compensates
        def refused(self, state: Account, command: Annotate, rejection: Rejection) -> Any:
            assert (rejection.reason, rejection.code, rejection.root) == ("why", "taste", "r")
            return {"flag": Flag.DEAD_LETTER, "text": "no events"}.get(command.note)

        @applies
        def opened(self, state: Account, event: Opened) -> None: ...

    process = given(Careless)
    with pytest.raises(HandlerError, match=r"Careless\.deposited changed the state it was given"):
        process.when(Deposited(amount=1))
    with pytest.raises(HandlerError, match="returned Withdrawn, which Careless does not apply"):
        process.when(Deposited(amount=2))
    with fails("Careless begins a time-out for each that comes, without end"):
        process.when(Deposited(amount=3)).after(SECONDS)
    why: dict[str, Any] = {"code": "taste", "root": "r"}
    process.rejected(Annotate(note="flag"), "why", **why).then(Flag.DEAD_LETTER)
    process.rejected(Annotate(), "why", **why).then_nothing()
    with pytest.raises(HandlerError, match="returned 'no events'; a compensation returns events or a Flag"):
        process.rejected(Annotate(note="text"), "why", **why)
    with pytest.raises(LookupError, match=r"Careless compensates no bank\.v1\.Touch; it compensates: bank\.v1\.Annot"):
        process.rejected(Touch())


# ---- facts and compensations of aggregates


def test_facts() -> None:
    purse = (
        given(Purse)
        .when_fact(Stash(pocket="left", amount=3), external_id="payment")
        .then(Stashed(pocket="left", amount=3))
        .then_state(pockets={"left": 3})
    )
    purse.when_fact(Stash(pocket="left", amount=3), external_id="payment")
    assert purse.reply.already_processed
    purse.when_fact(Stash(pocket="left", amount=4)).then_state(pockets={"left": 4})
    with pytest.raises(HandlerError, match=r"Purse\.confirmed rejects a fact: facts cannot be"):
        purse.when_fact(Stash(amount=-1))
    with pytest.raises(Exception, match=r"Purse records no bank\.v1\.Deposit; it records: bank\.v1\.Stash"):
        purse.when_fact(Deposit())


def test_compensations_of_an_aggregate() -> None:
    purse = given(Purse, Deposited(balance=5), Deposited(balance=7)).rejected(Annotate(note="no more"), "taste")
    purse.then(Withdrawn(amount=1, balance=7)).then_state(count=3)
    purse.rejected(Annotate(note="no"), sequence=0).then(Withdrawn(amount=0, balance=7))
    purse.rejected(Annotate(note="abort")).then(Flag.ABORT)
    with fails("1. expected  nothing\n     got       Flag.REVOKE"):
        purse.rejected(Annotate(note="revoke")).then_nothing()
    with pytest.raises(LookupError, match=r"Purse compensates no bank\.v1\.Touch"):
        purse.rejected(Touch())
    purse.when(Deposit(amount=1)).then(Deposited(amount=1, balance=8))
