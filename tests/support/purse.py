"""A purse in two releases: what the first one has written, upcasters of the second one lift.

Once, events came in two older types (`Filled1`, then `Filled2`), `Spent` counted in tens, `Mixed` was two things at
once, and `Noted` is of no interest any more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from headrace import (
    Aggregate,
    Context,
    EventContext,
    ProcessContext,
    ProcessManager,
    Projector,
    Saga,
    Send,
    Snapshots,
    Topology,
    Upcaster,
    applies,
    handles,
    projects,
    reacts,
    upcasts,
)
from headrace import Message as Declared
from headrace import field as number


class Fill(Declared, package="purse.v1"):
    coins: int = number(1)


class Spend(Declared, package="purse.v1"):
    coins: int = number(1)


class Mix(Declared, package="purse.v1"):
    coins: int = number(1)
    spent: int = number(2)


class Note(Declared, package="purse.v1"):
    text: str = number(1)


class Filled1(Declared, package="purse.v1"):
    coins: int = number(1)


class Filled2(Declared, package="purse.v1"):
    coins: int = number(1)
    metal: str = number(2)


class Filled(Declared, package="purse.v1"):
    coins: int = number(1)
    metal: str = number(2)
    by: str = number(3)


class Spent(Declared, package="purse.v1"):
    coins: int = number(1)


class Mixed(Declared, package="purse.v1"):
    coins: int = number(1)
    spent: int = number(2)


class Noted(Declared, package="purse.v1"):
    text: str = number(1)


class Contents(Declared, package="purse.v1"):
    coins: int = number(1)
    spent: int = number(2)
    metals: list[str] = number(3)


class Store(Declared, package="purse.v1"):
    coins: int = number(1)


class Stored(Declared, package="purse.v1"):
    coins: int = number(1)


class Audited(Declared, package="purse.v1"):
    text: str = number(1)


class Audit(Declared, package="purse.v1"):
    seen: list[str] = number(1)


class Vault(Aggregate[Stored]):
    domain = "vault"

    @handles
    def store(self, state: Stored, command: Store) -> Stored:
        return Stored(coins=state.coins + command.coins)

    @applies
    def stored(self, state: Stored, event: Stored) -> None:
        state.coins = event.coins


# ---- the first release


class OldPurse(Aggregate[Contents]):
    domain = "purse"

    @handles
    def fill(self, state: Contents, command: Fill) -> Filled1:
        return Filled1(coins=command.coins)

    @handles
    def spend(self, state: Contents, command: Spend) -> Spent:
        return Spent(coins=command.coins // 10)

    @handles
    def mix(self, state: Contents, command: Mix) -> Mixed:
        return Mixed(coins=command.coins, spent=command.spent)

    @handles
    def note(self, state: Contents, command: Note) -> Noted:
        return Noted(text=command.text)

    @applies
    def filled(self, state: Contents, event: Filled1) -> None:
        state.coins += event.coins
        state.metals.append("copper")

    @applies
    def spent(self, state: Contents, event: Spent) -> None:
        state.spent += event.coins * 10

    @applies
    def mixed(self, state: Contents, event: Mixed) -> None:
        state.coins += event.coins
        state.spent += event.spent
        state.metals.append("brass")

    @applies
    def noted(self, state: Contents, event: Noted) -> None:
        return None


before = Topology(OldPurse, Vault)


# ---- the second one


class Purse(Aggregate[Contents]):
    domain = "purse"

    @handles
    def fill(self, state: Contents, command: Fill, context: Context) -> Filled:
        return Filled(coins=command.coins, metal="copper", by=context.root)

    @handles
    def spend(self, state: Contents, command: Spend) -> Spent:
        return Spent(coins=command.coins)

    @applies
    def filled(self, state: Contents, event: Filled) -> None:
        state.coins += event.coins
        state.metals.append(event.metal)

    @applies
    def spent(self, state: Contents, event: Spent) -> None:
        state.spent += event.coins


class PursePast(Upcaster):
    domain = "purse"

    @upcasts
    def first(self, event: Filled1) -> Filled2:
        return Filled2(coins=event.coins, metal="copper")

    @upcasts
    def second(self, event: Filled2) -> Filled:
        if event.coins == 13:
            raise ValueError("thirteen")
        return Filled(coins=event.coins, metal=event.metal, by="nobody")

    @upcasts(version=1)
    def tens(self, event: Spent) -> Spent:
        return Spent(coins=event.coins * 10)

    @upcasts(makes=2)
    def mixed(self, event: Mixed) -> Iterator[Filled | Spent]:
        yield Filled(coins=event.coins, metal="brass", by="nobody")
        yield Spent(coins=event.spent)

    @upcasts
    def noted(self, event: Noted) -> None:
        return None


class Banker(Saga):
    name = "banker"
    source = "purse"
    begin = "oldest"

    @reacts
    def filled(self, event: Filled, context: EventContext) -> Iterator[Send[Store]]:
        yield Send("vault", context.root, Store(coins=event.coins))

    @reacts
    def spent(self, event: Spent, context: EventContext) -> Iterator[Send[Store]]:
        yield Send("vault", context.root, Store(coins=-event.coins))


class Auditor(ProcessManager[Audit]):
    name = "auditor"
    begin = "oldest"

    @reacts
    def moved(self, state: Audit, event: Filled | Spent, context: ProcessContext) -> Audited:
        return Audited(text=f"{len(state.seen)} {type(event).__name__} {event.coins}")

    @applies
    def audited(self, state: Audit, event: Audited) -> None:
        state.seen.append(event.text)


@dataclass
class Page:
    lines: list[str] = field(default_factory=list)


class Pages(Projector[Page]):
    """By purse."""

    name = "pages"

    @projects
    def moved(self, document: Page, event: Filled | Spent) -> None:
        document.lines.append(f"{type(event).__name__} {event.coins}")


class Metals(Projector[Page]):
    """By metal; what is spent is of the metal `spent`."""

    name = "metals"

    @projects(key=lambda event: event.metal)
    def filled(self, document: Page, event: Filled) -> None:
        document.lines.append(f"{event.coins} {event.metal}")

    @projects(key=lambda event: "spent")
    def spent(self, document: Page, event: Spent) -> None:
        document.lines.append(f"{event.coins} spent")


today = Topology(Purse, PursePast, Vault, Banker, Auditor, Pages, Metals)


# ---- releases that change what was


class RepairedPurse(Purse):
    """Counts twice what is spent, and says nothing of it."""

    @applies
    def spent(self, state: Contents, event: Spent) -> None:
        state.spent += 2 * event.coins


class AnnouncedPurse(RepairedPurse):
    """Says so."""

    snapshots = Snapshots(version=2)


repaired = Topology(RepairedPurse, PursePast)
announced = Topology(AnnouncedPurse, PursePast)
forgetful = Topology(Purse)
