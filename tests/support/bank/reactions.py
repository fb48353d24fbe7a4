"""Who reacts to the bank's events: sagas and a process manager between purses and the book."""

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar

from headrace import (
    Cancel,
    Cascade,
    CascadeCompensation,
    EventContext,
    Flag,
    ProcessContext,
    ProcessManager,
    Rejection,
    Saga,
    Schedule,
    Send,
    StateOf,
    Topology,
    Transient,
    applies,
    compensates,
    reacts,
)
from tests.support.bank.accounts import Accounts, Book, Purse
from tests.support.bank.messages_pb2 import (
    Account,
    Annotate,
    Annotated,
    Deposit,
    Deposited,
    Opened,
    Stashed,
    Swollen,
    Touch,
    Withdraw,
)
from tests.support.bank.projectors import Cards, LaterCards, Pockets


class Keeper(Saga):
    """Notes each deposit; special amounts make it go wrong."""

    name = "keeper"
    source = "purse"
    begin = "oldest"
    notes: ClassVar[dict[int, str]] = {7: "no", 70: "revoke", 71: "dead", 72: "alarm", 73: "abort"}
    broken: ClassVar[bool] = True
    """Whether 13 is still unlucky."""
    stumbles: ClassVar[int] = 0
    """How often 14 is to fail, and then not any more."""

    @reacts
    def deposited(self, event: Deposited, context: EventContext) -> Iterator[Send[Annotate | Touch]]:
        if event.amount == 13 and self.broken:
            raise ZeroDivisionError("thirteen")
        if event.amount == 666 and self.broken:
            os._exit(9)
        if event.amount == 14 and Keeper.stumbles > 0:
            Keeper.stumbles -= 1
            raise Transient("stumbled")
        if event.amount == 15:
            yield Send("nowhere", "b", Annotate(note="?"))
        elif event.amount == 16:
            yield Send("book", "", Annotate(note="?"))
        elif event.amount == 17:
            yield Send("book", context.root, Touch())
        else:
            yield Send("book", context.root, Annotate(note=self.notes.get(event.amount, f"{context.sequence}")))
            if event.amount == 2:
                yield Send("book", f"{context.root}-copy", Annotate(note="again"))


class Echo(Saga):
    """Answers each note with a deposit that is noted again: a loop without end."""

    name = "echo"
    source = "book"
    begin = "oldest"
    on_rejection = Cascade.CONTINUE

    @reacts
    def noted(self, event: Annotated, context: EventContext) -> Send[Deposit]:
        return Send("purse", context.root, Deposit(amount=1))


def treasury(state: Account, event: Deposited) -> list[StateOf]:
    """For large deposits, two states are wanted."""
    return [StateOf("purse", "treasury"), StateOf("book", "nobody")] if event.amount >= 100 else []


def unreadable(state: Account, event: Withdraw) -> list[StateOf]:
    """No book can have this name."""
    return [StateOf("book", "b\n")] if event.amount == 61 else []


class Warden(ProcessManager[Account]):
    """Waits a little, after each deposit, for a note of the same trip; then has the book touched, which is refused.

    Special amounts make it do something else.
    """

    name = "warden"
    begin = "oldest"
    patience: ClassVar[dict[int, timedelta]] = {50: timedelta(seconds=6)}
    """By amount; a second and a half for others."""
    answer: ClassVar[Flag | None] = None
    """To refusals, in place of an event."""

    @reacts(reads=treasury)
    def deposited(
        self, state: Account, event: Deposited, context: ProcessContext
    ) -> Iterator[Opened | Stashed | Send[Annotate | Touch] | Schedule]:
        if event.amount >= 100:
            found, nobody = context.states[StateOf("purse", "treasury")], context.states[StateOf("book", "nobody")]
            yield Stashed(pocket="seen", amount=found.state.balance)
            yield Stashed(pocket="at", amount=found.sequence)
            yield Stashed(pocket="nobody", amount=nobody.sequence)
        elif event.amount == 7:
            yield Send("book", context.root, Annotate(note="no more"))
        elif event.amount == 17:
            yield Send("book", context.root, Touch())
        else:
            yield Opened(owner=context.root)
            yield Schedule(self.patience.get(event.amount, timedelta(seconds=1.5)), Withdraw(amount=event.amount))

    @reacts
    def noted(self, state: Account, event: Annotated) -> Iterator[Stashed | Cancel]:
        yield Cancel(Withdraw)
        yield Stashed(pocket="noted", amount=1)

    @reacts(reads=unreadable)
    def impatient(
        self, state: Account, event: Withdraw, context: ProcessContext
    ) -> Iterator[Stashed | Swollen | Send[Annotate | Touch]]:
        if event.amount == 66:
            os._exit(9)
        if event.amount == 60:  # more than the state may hold
            yield Swollen(ballast=b"x" * 600_000)
            yield Swollen(ballast=b"y" * 600_000)
        yield Stashed(pocket="waited", amount=event.amount)
        yield Send("book", context.root, Annotate(note="no") if event.amount == 62 else Touch())

    @compensates
    def refused(self, state: Account, command: Touch, refusal: Rejection) -> Stashed | Flag:
        return self.answer or Stashed(pocket="refused", amount=1)

    @applies
    def opened(self, state: Account, event: Opened) -> None:
        state.owner = event.owner
        state.count += 1

    @applies
    def stashed(self, state: Account, event: Stashed) -> None:
        state.pockets[event.pocket] += event.amount

    @applies
    def swollen(self, state: Account, event: Swollen) -> None:
        state.ballast += event.ballast


topology = Topology(Purse, Book, Keeper)
endless = Topology(Purse, Book, Keeper, Echo)
timed = Topology(Purse, Book, Warden)
projected = Topology(Accounts, Cards, Pockets)
versions = Topology(Accounts, Cards, LaterCards)
undone = Topology(Purse, Book, Keeper, CascadeCompensation)
