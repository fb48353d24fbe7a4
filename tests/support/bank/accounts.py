"""The bank's aggregates: accounts, purses, books of notes."""

import ctypes
import itertools
import os
import time
from typing import ClassVar

from headrace import (
    Aggregate,
    Context,
    Flag,
    Merge,
    Rejected,
    Rejection,
    Topology,
    applies,
    compensates,
    handles,
    records,
)
from tests.support.bank.messages_pb2 import (
    Account,
    Annotate,
    Annotated,
    Burst,
    Deposit,
    Deposited,
    Open,
    Opened,
    Poison,
    Stash,
    Stashed,
    Stranger,
    Swell,
    Swollen,
    Touch,
    Transfer,
    Withdraw,
    Withdrawn,
)


class Accounts(Aggregate[Account]):
    """Handlers of all strategies, and one that goes wrong as it is told."""

    domain = "account"

    @handles
    def open(self, state: Account, command: Open) -> Opened:
        if state.owner:
            raise Rejected(f"owned by {state.owner} already", code="taken")
        return Opened(owner=command.owner)

    @handles
    def deposit(self, state: Account, command: Deposit) -> Deposited:
        return Deposited(amount=command.amount, balance=state.balance + command.amount)

    @handles(merge=Merge.STRICT)
    def withdraw(self, state: Account, command: Withdraw) -> Withdrawn:
        if command.amount > state.balance:
            raise Rejected(f"balance is {state.balance}, {command.amount} asked for", code="funds")
        return Withdrawn(amount=command.amount, balance=state.balance - command.amount)

    @handles
    def annotate(self, state: Account, command: Annotate, context: Context) -> Annotated:
        return Annotated(
            note=command.note, by=context.new_id(), luck=context.random.random(), at=context.now.isoformat()
        )

    @handles
    def stash(self, state: Account, command: Stash) -> Stashed:
        return Stashed(pocket=command.pocket, amount=command.amount)

    @handles(merge=Merge.AGGREGATE_HANDLES)
    def transfer(self, state: Account, command: Transfer) -> list[Deposited]:
        total, events = state.balance, []
        for amount in command.amounts:
            total += amount
            events.append(Deposited(amount=amount, balance=total))
        return events

    @handles(merge=Merge.MANUAL)
    def touch(self, state: Account, command: Touch) -> None:
        return None

    @handles
    def swell(self, state: Account, command: Swell) -> list[Swollen]:
        if command.bytes > 5_000_000 or command.times > 1_000:  # the fuzz test sends what would fill the memory
            raise Rejected("nobody swells so far", code="too-far")
        return [Swollen(ballast=b"x" * command.bytes) for _ in range(command.times or 1)]

    @handles
    def burst(self, state: Account, command: Burst) -> Poison | None:
        if command.how == "raise":
            raise ZeroDivisionError("as told")
        if command.how == "exit":
            raise SystemExit(5)
        if command.how == "interrupt":
            raise KeyboardInterrupt
        if command.how == "deep":
            return self.burst(state, command)
        if command.how == "endless":
            return (Poison() for _ in itertools.count())  # type: ignore[return-value]
        if command.how == "memory":
            raise MemoryError
        if command.how == "die":
            os._exit(9)
        if command.how == "segfault":
            ctypes.string_at(0)
        while command.how == "hang":
            pass
        if command.how == "slow":
            time.sleep(0.02)
            return None
        if command.how.startswith("mutate"):
            state.balance += 1
        if command.how == "mutate and raise":
            raise ZeroDivisionError("as told, after a change")
        if command.how == "type":
            return "no event"  # type: ignore[return-value]
        if command.how == "stranger":
            return Stranger()  # type: ignore[return-value]
        return Poison() if command.how == "apply" else None

    @applies
    def opened(self, state: Account, event: Opened) -> None:
        state.owner = event.owner
        state.count += 1

    @applies
    def moved(self, state: Account, event: Deposited | Withdrawn) -> None:
        state.balance = event.balance
        state.count += 1

    @applies
    def annotated(self, state: Account, event: Annotated) -> None:
        state.note = event.note
        state.count += 1

    @applies
    def stashed(self, state: Account, event: Stashed) -> None:
        state.pockets[event.pocket] = event.amount
        state.count += 1

    @applies
    def swollen(self, state: Account, event: Swollen) -> None:
        state.ballast += event.ballast
        state.count += 1

    @applies
    def poisoned(self, state: Account, event: Poison) -> None:
        state.balance = -1_000_000
        raise RuntimeError("this event cannot be applied")


class Purse(Aggregate[Account]):
    """Takes deposits, records what a bank says, and gives back what the book will not have."""

    domain = "purse"
    answers: ClassVar[dict[str, Flag | None]] = {
        "no": None,
        "revoke": Flag.REVOKE,
        "dead": Flag.DEAD_LETTER,
        "alarm": Flag.ESCALATE,
        "abort": Flag.ABORT,
    }
    """To refusals, by the first word of the note."""

    @handles
    def deposit(self, state: Account, command: Deposit) -> Deposited:
        return Deposited(amount=command.amount, balance=state.balance + command.amount)

    @records
    def confirmed(self, state: Account, fact: Stash) -> Stashed:
        if fact.amount < 0:
            raise Rejected("facts cannot be")
        return Stashed(pocket=fact.pocket, amount=fact.amount)

    @compensates
    def refused(self, state: Account, command: Annotate, refusal: Rejection) -> Withdrawn | Flag:
        return self.answers[command.note.partition(" ")[0]] or Withdrawn(amount=refusal.sequence, balance=state.balance)

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
    refused: ClassVar[tuple[str, ...]] = tuple(Purse.answers)

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


class Fields(Aggregate[Account]):
    """Each command sets one field, so that commands either meet or pass each other. COMMUTATIVE, as by default."""

    domain = "fields"

    @handles
    def open(self, state: Account, command: Open) -> Opened:
        return Opened(owner=command.owner)

    @handles
    def deposit(self, state: Account, command: Deposit) -> Deposited:
        return Deposited(balance=state.balance + command.amount)

    @handles
    def stash(self, state: Account, command: Stash) -> Stashed:
        return Stashed(pocket=command.pocket, amount=command.amount)

    @handles
    def touch(self, state: Account, command: Touch) -> None:
        return None

    @applies
    def opened(self, state: Account, event: Opened) -> None:
        state.owner = event.owner

    @applies
    def deposited(self, state: Account, event: Deposited) -> None:
        state.balance = event.balance

    @applies
    def stashed(self, state: Account, event: Stashed) -> None:
        state.pockets[event.pocket] = event.amount


topology = Topology(Accounts)
