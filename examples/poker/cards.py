"""Cards as they are written: rank and suit, "Ah"; "??" for one that nobody has seen."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from pokerkit import Hand, StandardHighHand

from headrace.examples.poker import poker_pb2 as pb
from headrace.topology import Rejected

UNKNOWN = "??"
DECK = frozenset(rank + suit for rank in "23456789TJQKA" for suit in "cdhs")


def split(text: str) -> list[str]:
    """The cards in a text such as "TcQc"; ValueError where it is not a row of cards."""
    cards = [text[i : i + 2] for i in range(0, len(text), 2)]
    for card in cards:
        if card not in DECK and card != UNKNOWN:
            raise ValueError(f"{card!r} in {text!r} is no card; one is written as rank and suit: Ah, Tc, 2s, or ??")
    return cards


def check_dealable(state: pb.HandState, cards: Sequence[str], besides: str = "") -> None:
    """Rejected unless each card is one, and is neither on the table nor in a hand; `besides` names a player
    whose own cards do not count, since he shows them."""
    known: set[str] = set()
    for card in cards:
        if card == UNKNOWN:
            continue
        if card not in DECK:
            raise Rejected(f"{card!r} is no card; one is written as rank and suit: Ah, Tc, 2s")
        if card in known:
            raise Rejected(f"{card} cannot be dealt twice")
        known.add(card)
    if not known.isdisjoint(state.board):
        raise Rejected(f"{_first(known, state.board)} is on the board already")
    for seat in state.seats:
        if seat.player != besides and not (known.isdisjoint(seat.hole_cards) and known.isdisjoint(seat.shown)):
            raise Rejected(f"{_first(known, [*seat.hole_cards, *seat.shown])} is {seat.player}'s already")


def _first(known: set[str], cards: Iterable[str]) -> str:
    return next(card for card in cards if card in known)


def speaking(seat: pb.HandState.Seat) -> list[str]:
    """The hole cards that count at showdown: those shown, or those dealt where nothing was said about them.

    A hidden card counts for nothing: a player who shows "??" plays the board.
    """
    return [card for card in seat.shown or seat.hole_cards if card != UNKNOWN]


@lru_cache(maxsize=1024)
def strength(cards: str) -> Hand:
    """The best five of five to seven cards, written in a row; greater is better."""
    return StandardHighHand.from_game(cards)
