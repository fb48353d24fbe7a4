"""Read models of the poker room: what a cashier sees, past hands for search and for analysis, and who leads at a table.

Hole cards are secret until their player shows them, so that no projector here reads `HoleCardsDealt`.
"""

from dataclasses import dataclass, field
from datetime import datetime

from headrace import ProjectionContext, Projector, projects
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.cards import UNKNOWN

MOST_MOVEMENTS = 20
"""On a player's card; older ones are on the event log."""
STREETS = {0: "preflop", 3: "flop", 4: "turn", 5: "river"}
"""Rounds of betting by the number of cards on the board."""

# ---- a player's account


@dataclass
class Movement:
    """A change of what a player may spend."""

    at: str = ""
    kind: str = ""
    amount: int = 0
    key: str = ""
    """Of the reservation, such as the table."""
    balance: int = 0
    """Afterwards."""


@dataclass
class PlayerCard:
    """The account of a player. What is reserved, and what was taken to a table, is not in the balance."""

    name: str = ""
    balance: int = 0
    reserved: dict[str, int] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)
    """What the player came with, by table."""
    movements: list[Movement] = field(default_factory=list)
    """The last ones, newest last."""


class PlayerCards(Projector[PlayerCard]):
    """The cashier's page: a document per player."""

    name = "player-cards"

    @projects
    def registered(self, document: PlayerCard, event: pb.PlayerRegistered) -> None:
        document.name = event.name

    @projects
    def deposited(self, document: PlayerCard, event: pb.FundsDeposited, context: ProjectionContext) -> None:
        self._move(document, "deposit", event.amount, event.new_balance, context)

    @projects
    def withdrawn(self, document: PlayerCard, event: pb.FundsWithdrawn, context: ProjectionContext) -> None:
        self._move(document, "withdrawal", -event.amount, event.new_balance, context)

    @projects
    def reserved(self, document: PlayerCard, event: pb.FundsReserved, context: ProjectionContext) -> None:
        (document.tables if event.for_table else document.reserved)[event.key] = event.amount
        kind = "buy-in" if event.for_table else "reservation"
        self._move(document, kind, -event.amount, event.new_balance, context, event.key)

    @projects
    def released(self, document: PlayerCard, event: pb.FundsReleased, context: ProjectionContext) -> None:
        del (document.tables if event.key in document.tables else document.reserved)[event.key]
        self._move(document, "release", event.amount, event.new_balance, context, event.key)

    @projects
    def settled(self, document: PlayerCard, event: pb.FundsSettled, context: ProjectionContext) -> None:
        del document.tables[event.key]
        self._move(document, "cash-out", event.amount, event.new_balance, context, event.key)

    def _move(
        self, document: PlayerCard, kind: str, amount: int, balance: int, context: ProjectionContext, key: str = ""
    ) -> None:
        document.balance = balance
        document.movements.append(Movement(_time(context.now), kind, amount, key, balance))
        del document.movements[:-MOST_MOVEMENTS]


# ---- past hands, for search


@dataclass
class Action:
    """What a player did in a round of betting."""

    player: str = ""
    street: str = ""
    kind: str = ""
    """Folded, checked, called, bet or raised."""
    added: int = 0
    number: int = 0
    """At a table, counted through the hand; a gap is a bet that the table did not take."""


@dataclass
class Shown:
    """The cards that a player has shown; one that stayed hidden is left out."""

    player: str = ""
    cards: list[str] = field(default_factory=list)


@dataclass
class Win:
    """What a player got of all pots."""

    player: str = ""
    amount: int = 0


@dataclass
class PastHand:
    """A hand as everybody at the table saw it."""

    table: str = ""
    began: str = ""
    ended: str = ""
    players: list[str] = field(default_factory=list)
    """By seat."""
    board: list[str] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    """On the board or shown by somebody, to search for."""
    actions: list[Action] = field(default_factory=list)
    pot: int = 0
    """All pots together, once they are awarded."""
    wins: list[Win] = field(default_factory=list)
    won_with: str = ""
    """The hand that won the first pot, such as "Flush"; empty where nobody contested it."""


class PastHands(Projector[PastHand]):
    """To be searched by player, by card and by pot: a document per hand."""

    name = "hand-history"

    @projects
    def started(self, document: PastHand, event: pb.HandStarted, context: ProjectionContext) -> None:
        document.table, document.began = event.table, _time(context.now)
        document.players = [post.player for post in event.posts]

    @projects
    def dealt(self, document: PastHand, event: pb.BoardDealt) -> None:
        document.board.extend(event.cards)
        self._index(document)

    @projects
    def acted(self, document: PastHand, event: pb.ActionTaken) -> None:
        action = Action(event.player, STREETS[len(document.board)], _kind(event), event.added, event.number)
        document.actions.append(action)

    @projects
    def reverted(self, document: PastHand, event: pb.BetReverted) -> None:
        document.actions = [action for action in document.actions if action.number != event.number]

    @projects
    def shown(self, document: PastHand, event: pb.CardsShown) -> None:
        cards = [card for card in event.cards if card != UNKNOWN]
        others = [one for one in document.shown if one.player != event.player]
        document.shown = [*others, Shown(event.player, cards)]
        self._index(document)

    @projects
    def awarded(self, document: PastHand, event: pb.HandAwarded, context: ProjectionContext) -> None:
        document.ended, document.pot = _time(context.now), _total(event)
        document.wins = [Win(player, amount) for player, amount in _won(event).items()]
        document.won_with = _won_with(event)

    def _index(self, document: PastHand) -> None:
        shown = [card for one in document.shown for card in one.cards]
        document.cards = sorted({*document.board, *shown} - {UNKNOWN})


# ---- past hands, for analysis


@dataclass
class HandFact:
    """A hand as a row: numbers and texts alone. Amounts are units, of which `units_per_chip` make a chip."""

    hand: str = ""
    table: str = ""
    began: str = ""
    ended: str = ""
    players: int = 0
    units_per_chip: int = 0
    min_bet: int = 0
    board: str = ""
    folds: int = 0
    checks: int = 0
    calls: int = 0
    bets: int = 0
    raises: int = 0
    put_in: int = 0
    """By calls, bets and raises; antes and blinds are not in it."""
    last_action: str = ""
    """Empty also where the table did not take it."""
    shows: int = 0
    mucks: int = 0
    pot: int = 0
    winners: int = 0
    won_with: str = ""
    """The hand that won the first pot; empty where nobody contested it."""


_COUNTERS = {"folded": "folds", "checked": "checks", "called": "calls", "bet": "bets", "raised": "raises"}


class HandFacts(Projector[HandFact]):
    """A row per hand."""

    name = "hand-facts"

    @projects
    def started(self, document: HandFact, event: pb.HandStarted, context: ProjectionContext) -> None:
        document.hand, document.table, document.began = context.root, event.table, _time(context.now)
        document.players, document.units_per_chip = len(event.posts), event.units_per_chip
        document.min_bet = event.min_bet

    @projects
    def dealt(self, document: HandFact, event: pb.BoardDealt) -> None:
        document.board += "".join(event.cards)

    @projects
    def acted(self, document: HandFact, event: pb.ActionTaken) -> None:
        document.last_action = _kind(event)
        self._count(document, +1, event.added)

    @projects
    def reverted(self, document: HandFact, event: pb.BetReverted) -> None:
        self._count(document, -1, -event.amount)
        document.last_action = ""

    @projects
    def shown(self, document: HandFact, event: pb.CardsShown) -> None:
        document.shows += 1

    @projects
    def mucked(self, document: HandFact, event: pb.CardsMucked) -> None:
        document.mucks += 1

    @projects
    def awarded(self, document: HandFact, event: pb.HandAwarded, context: ProjectionContext) -> None:
        document.ended, document.pot = _time(context.now), _total(event)
        document.winners, document.won_with = len(_won(event)), _won_with(event)

    def _count(self, document: HandFact, more: int, put_in: int) -> None:
        name = _COUNTERS[document.last_action]
        setattr(document, name, getattr(document, name) + more)
        document.put_in += put_in


# ---- who leads at a table


@dataclass
class Standing:
    """How a player does at a table."""

    player: str = ""
    result: int = 0
    """What the player has now, and took away, less what the player came with."""
    stack: int = 0
    brought: int = 0
    taken: int = 0
    hands: int = 0
    wins: int = 0
    """Pots, whole or shared, count once a hand."""


@dataclass
class Board:
    """Who leads at a table."""

    standings: list[Standing] = field(default_factory=list)
    """Best first."""
    largest_pot: int = 0
    largest_pot_hand: str = ""


class Leaderboard(Projector[Board]):
    """A document per table, of the table's events and of its hands, which come in any order between them.

    Chips are the table's word, wins and pots that of the hands.
    """

    name = "leaderboard"

    @projects
    def seated(self, document: Board, event: pb.PlayerSeated) -> None:
        standing = self._standing(document, event.player)
        standing.brought += event.stack
        standing.stack = event.stack
        self._rank(document)

    @projects
    def settled(self, document: Board, event: pb.HandSettled) -> None:
        for player, stack in zip(event.players, event.stacks, strict=True):
            standing = self._standing(document, player)
            standing.stack = stack
            standing.hands += 1
        self._rank(document)

    @projects
    def left(self, document: Board, event: pb.PlayerLeft) -> None:
        standing = self._standing(document, event.player)
        standing.taken += event.stack
        standing.stack = 0
        self._rank(document)

    @projects(key=lambda event: [event.table] if event.table else [])
    def awarded(self, document: Board, event: pb.HandAwarded, context: ProjectionContext) -> None:
        for player in _won(event):
            self._standing(document, player).wins += 1
        largest = max((document.largest_pot, document.largest_pot_hand), (_total(event), context.root))
        document.largest_pot, document.largest_pot_hand = largest
        self._rank(document)

    def _standing(self, document: Board, player: str) -> Standing:
        for standing in document.standings:
            if standing.player == player:
                return standing
        document.standings.append(Standing(player))
        return document.standings[-1]

    def _rank(self, document: Board) -> None:
        for standing in document.standings:
            standing.result = standing.stack + standing.taken - standing.brought
        document.standings.sort(key=lambda standing: (-standing.result, standing.player))


def _time(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds")


def _kind(event: pb.ActionTaken) -> str:
    return pb.ActionTaken.Kind.Name(event.kind).lower()


def _total(event: pb.HandAwarded) -> int:
    return sum(pot.amount for pot in event.pots)


def _won_with(event: pb.HandAwarded) -> str:
    return event.pots[0].hand if event.pots else ""  # there is none where all stakes are 0


def _won(event: pb.HandAwarded) -> dict[str, int]:
    """What each winner got of all pots."""
    won: dict[str, int] = {}
    for pot in event.pots:
        for share in pot.shares:
            won[share.player] = won.get(share.player, 0) + share.amount
    return won
