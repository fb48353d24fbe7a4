"""Cards as they are written: rank and suit, "Ah"; "??" for one that nobody has seen."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import product

from pokerkit import Hand as Strength
from pokerkit import StandardHighHand

from headrace import Rejected
from headrace.examples.poker import poker_pb2 as pb

UNKNOWN = "??"
BITS = {rank + suit: 1 << i for i, (rank, suit) in enumerate(product("23456789TJQKA", "cdhs"))} | {UNKNOWN: 0}
"""Each card's place in `HandState.seen`."""


__all__ = ["BITS", "UNKNOWN", "Strength", "check_new", "see", "speaking", "split", "strength"]


def split(text: str) -> list[str]:
    """The cards in a text such as "TcQc"; ValueError where it is not a row of cards."""
    cards = [text[i : i + 2] for i in range(0, len(text), 2)]
    for card in cards:
        if card not in BITS:
            raise ValueError(f"{card!r} in {text!r} is no card; one is written as rank and suit: Ah, Tc, 2s, or ??")
    return cards


def check_new(state: pb.HandState, cards: Iterable[str]) -> None:
    """Rejected unless each is a card that has not been dealt before."""
    seen = state.seen
    for card in cards:
        bit = BITS.get(card)
        if bit is None:
            raise Rejected(f"{card!r} is no card; one is written as rank and suit: Ah, Tc, 2s")
        if seen & bit:
            raise Rejected(f"{card} has been dealt already, {_where(state, card)}")
        seen |= bit


def _where(state: pb.HandState, card: str) -> str:
    for seat in state.seats:
        if card in seat.hole_cards or card in seat.shown:
            return f"to {seat.player}"
    return "to the board" if card in state.board else "just now"


def see(state: pb.HandState, cards: Iterable[str]) -> None:
    """Notes in the state that these cards are out of the deck."""
    for card in cards:
        state.seen |= BITS[card]


def speaking(seat: pb.HandState.Seat) -> list[str]:
    """The hole cards that count at showdown: those shown, or those dealt where nothing was said about them.

    A hidden card counts for nothing: a player who shows "??" plays the board.
    """
    return [card for card in seat.shown or seat.hole_cards if card != UNKNOWN]


@lru_cache(maxsize=1024)
def strength(cards: str) -> Strength:
    """The best five of five to seven cards, written in a row; greater is better."""
    return StandardHighHand.from_game(cards)
