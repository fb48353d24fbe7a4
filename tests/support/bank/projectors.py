"""The bank's read models: a card per account, and the contents of pockets, which many accounts may share."""

import os
from dataclasses import dataclass, field

from headrace import DELETED, Deleted, Projector, projects
from tests.support.bank.messages_pb2 import Annotated, Deposited, Opened, Stashed, Withdrawn


@dataclass
class Card:
    """What a cashier sees of an account."""

    owner: str = ""
    balance: int = 0
    deposits: int = 0
    notes: list[str] = field(default_factory=list)


class Cards(Projector[Card]):
    """One document per account. Notes tell it to go wrong."""

    name = "cards"

    @projects
    def opened(self, document: Card, event: Opened) -> None:
        document.owner = event.owner

    @projects
    def moved(self, document: Card, event: Deposited | Withdrawn) -> None:
        document.balance = event.balance
        document.deposits += isinstance(event, Deposited)

    @projects
    def annotated(self, document: Card, event: Annotated) -> Deleted | None:
        if event.note == "close":
            return DELETED
        document.notes.append(event.note)
        if event.note == "poison" and not os.environ.get("BANK_HEALED"):
            raise ZeroDivisionError("as noted")
        if event.note == "type":
            document.notes.append(7)  # type: ignore[arg-type]
        if event.note == "return":
            return document  # type: ignore[return-value]
        if event.note.startswith("large"):
            document.notes.append("x" * 1_100_000)
        return None


@dataclass
class LaterCard:
    """The same with less in it, and one thing more."""

    balance: int = 0
    largest: int = 0


class LaterCards(Projector[LaterCard]):
    """The next version of the cards."""

    name = "cards"
    version = 2

    @projects
    def moved(self, document: LaterCard, event: Deposited | Withdrawn) -> None:
        document.balance = event.balance
        document.largest = max(document.largest, event.amount)


@dataclass
class Pocket:
    """What is in a pocket."""

    amount: int = 0
    stashed: int = 0


class Pockets(Projector[Pocket]):
    """One document per pocket, fed by all accounts; a slash in its name puts the same into several pockets."""

    name = "pockets"

    @projects(key=lambda event: event.pocket.split("/"))
    def stashed(self, document: Pocket, event: Stashed) -> None:
        if event.amount < 0 and not os.environ.get("BANK_HEALED"):
            raise ValueError("nothing is stashed")
        document.amount += event.amount
        document.stashed += 1
