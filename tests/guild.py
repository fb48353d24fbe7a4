"""A small workflow for tests: accounts, a book of notes about them, and sagas between the two."""

from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar

from bank_pb2 import (
    Account,
    Annotate,
    Annotated,
    Deposit,
    Deposited,
    Opened,
    Stash,
    Stashed,
    Swollen,
    Touch,
    Withdraw,
    Withdrawn,
)

from headrace.topology import (
    After,
    Aggregate,
    Cancel,
    Cascade,
    EventContext,
    Flag,
    Need,
    ProcessContext,
    ProcessManager,
    Refusal,
    Rejected,
    Saga,
    Send,
    Topology,
    Transient,
    after,
    applies,
    cancel,
    compensates,
    handles,
    reacts,
    records,
    state_of,
    to,
)


class Purse(Aggregate[Account]):
    """Takes deposits, records what a bank says, and gives back what the book will not have."""

    domain = "purse"

    @handles
    def deposit(self, state: Account, command: Deposit) -> Deposited:
        return Deposited(amount=command.amount, balance=state.balance + command.amount)

    @records
    def confirmed(self, state: Account, fact: Stash) -> Stashed:
        if fact.amount < 0:
            raise Rejected("facts cannot be")
        return Stashed(pocket=fact.pocket, amount=fact.amount)

    @compensates
    def refused(self, state: Account, command: Annotate, refusal: Refusal) -> Withdrawn | Flag:
        flags = {
            "no": None,
            "revoke": Flag.REVOKE,
            "dead": Flag.DEAD_LETTER,
            "alarm": Flag.ESCALATE,
            "abort": Flag.ABORT,
        }
        flag = flags[command.note.partition(" ")[0]]
        return flag or Withdrawn(amount=refusal.sequence, balance=state.balance)

    @applies
    def moved(self, state: Account, event: Deposited | Withdrawn) -> None:
        state.balance = event.balance
        state.count += 1

    @applies
    def stashed(self, state: Account, event: Stashed) -> None:
        state.pockets[event.pocket] = event.amount


class Book(Aggregate[Account]):
    """Notes; refuses those that begin with a word of refusal."""

    domain = "book"
    refused: ClassVar[tuple[str, ...]] = ("no", "revoke", "dead", "alarm", "abort")

    @handles
    def annotate(self, state: Account, command: Annotate) -> Annotated:
        if command.note.startswith(self.refused):
            raise Rejected(f"{command.note!r} is not to be noted", code="taste")
        return Annotated(note=command.note)

    @handles
    def touch(self, state: Account, command: Touch) -> None:
        raise Rejected("not to be touched")

    @applies
    def annotated(self, state: Account, event: Annotated) -> None:
        state.note = event.note
        state.count += 1


class Keeper(Saga):
    """Notes each deposit; special amounts make it go wrong."""

    name = "keeper"
    source = "purse"
    notes: ClassVar[dict[int, str]] = {7: "no", 70: "revoke", 71: "dead", 72: "alarm", 73: "abort"}
    broken: ClassVar[bool] = True
    """Whether 13 is still unlucky."""
    stumbles: ClassVar[int] = 0
    """How often 14 is to fail, and then not any more."""

    @reacts
    def deposited(self, event: Deposited, context: EventContext) -> Iterator[Send[Annotate | Touch]]:
        if event.amount == 13 and self.broken:
            raise ZeroDivisionError("thirteen")
        if event.amount == 14 and Keeper.stumbles > 0:
            Keeper.stumbles -= 1
            raise Transient("stumbled")
        if event.amount == 15:
            yield to("nowhere", "b", Annotate(note="?"))
        elif event.amount == 16:
            yield to("book", "", Annotate(note="?"))
        elif event.amount == 17:
            yield to("book", context.root, Touch())
        else:
            yield to("book", context.root, Annotate(note=self.notes.get(event.amount, f"{context.sequence}")))
            if event.amount == 2:
                yield to("book", f"{context.root}-copy", Annotate(note="again"))


class Echo(Saga):
    """Answers each note with a deposit that is noted again: a loop without end."""

    name = "echo"
    source = "book"
    on_rejection = Cascade.CONTINUE

    @reacts
    def noted(self, event: Annotated, context: EventContext) -> Send[Deposit]:
        return to("purse", context.root, Deposit(amount=1))


def treasury(state: Account, event: Deposited) -> list[Need]:
    """For large deposits, two states are wanted."""
    return [state_of("purse", "treasury"), state_of("book", "nobody")] if event.amount >= 100 else []


class Warden(ProcessManager[Account]):
    """Waits a little, after each deposit, for a note of the same trip; then has the book touched, which is refused."""

    name = "warden"
    patience: ClassVar[dict[int, timedelta]] = {50: timedelta(seconds=6)}
    """By amount; a second and a half for others."""

    @reacts(needs=treasury)
    def deposited(
        self, state: Account, event: Deposited, context: ProcessContext
    ) -> Iterator[Opened | Stashed | Send[Annotate] | After]:
        if event.amount >= 100:
            found, nobody = context.known[state_of("purse", "treasury")], context.known[state_of("book", "nobody")]
            yield Stashed(pocket="seen", amount=found.state.balance)
            yield Stashed(pocket="at", amount=found.sequence)
            yield Stashed(pocket="nobody", amount=nobody.sequence)
        elif event.amount == 7:
            yield to("book", context.root, Annotate(note="no more"))
        else:
            yield Opened(owner=context.root)
            yield after(self.patience.get(event.amount, timedelta(seconds=1.5)), Withdraw(amount=event.amount))

    @reacts
    def noted(self, state: Account, event: Annotated) -> Iterator[Stashed | Cancel]:
        yield cancel(Withdraw)
        yield Stashed(pocket="noted", amount=1)

    @reacts
    def impatient(
        self, state: Account, event: Withdraw, context: ProcessContext
    ) -> Iterator[Stashed | Swollen | Send[Touch]]:
        if event.amount == 60:  # more than the state may hold
            yield Swollen(ballast=b"x" * 600_000)
            yield Swollen(ballast=b"y" * 600_000)
        yield Stashed(pocket="waited", amount=event.amount)
        yield to("book", context.root, Touch())

    @compensates
    def refused(self, state: Account, command: Touch, refusal: Refusal) -> Stashed:
        return Stashed(pocket="refused", amount=1)

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
