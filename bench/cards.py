"""What the benchmarks of the read side project: a card of each player, and what groups of players have paid in."""

from dataclasses import dataclass, field

from headrace import EventContext, Projector, Topology, projects
from headrace.examples.poker import Player
from headrace.examples.poker import poker_pb2 as pb

CARDS = "headrace.bench.cards:cards"
TOTALS = "headrace.bench.cards:totals"


@dataclass
class PlayerCard:
    """What a lobby shows of a player."""

    name: str = ""
    bankroll: int = 0
    paid_in: int = 0
    deposits: int = 0
    tables: dict[str, int] = field(default_factory=dict)


class PlayerCards(Projector[PlayerCard]):
    """A document per player: events come directly."""

    name = "player-cards"

    @projects
    def registered(self, document: PlayerCard, event: pb.PlayerRegistered) -> None:
        document.name = event.name

    @projects
    def deposited(self, document: PlayerCard, event: pb.FundsDeposited) -> None:
        document.bankroll = event.new_balance
        document.paid_in += event.amount
        document.deposits += 1

    @projects
    def reserved(self, document: PlayerCard, event: pb.FundsReserved) -> None:
        document.bankroll = event.new_balance
        document.tables[event.key] = event.amount

    @projects
    def released(self, document: PlayerCard, event: pb.FundsReleased) -> None:
        document.bankroll = event.new_balance
        document.tables.pop(event.key, None)


@dataclass
class Total:
    """What a group of players has paid in."""

    amount: int = 0
    deposits: int = 0


def group(event: pb.FundsDeposited, context: EventContext) -> str:
    """The group of the event's player: one of a hundred."""
    return f"group-{context.root[-2:]}"


class Totals(Projector[Total]):
    """A document per group: events come by a feed."""

    name = "totals"

    @projects(key=group)
    def deposited(self, document: Total, event: pb.FundsDeposited) -> None:
        document.amount += event.amount
        document.deposits += 1


cards = Topology(Player, PlayerCards)
totals = Topology(Player, Totals)
