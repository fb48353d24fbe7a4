"""Where a hand could have gone another way, and how it then goes on. No I/O."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.examples.poker import cards
from headrace.examples.poker import poker_pb2 as pb

State = pb.HandState


@dataclass(frozen=True, slots=True)
class Branch:
    """The last fold of a hand that was played at a table: what if that player had called?"""

    hand: str
    table: str
    fold: pb.ActionTaken
    hand_events: int
    """Events of the hand before the fold."""
    table_events: int
    """Events of the table of what had happened in the hand by then."""
    board: tuple[str, ...]
    """Cards that the board got after the fold, as it really was."""

    @property
    def points(self) -> list[str]:
        """Where an edition begins that knows nothing of the fold."""
        return [f"hand/{self.hand}:{self.hand_events - 1}", f"table/{self.table}:{self.table_events - 1}"]

    @property
    def call(self) -> pb.Act:
        """What he did not do."""
        return pb.Act(player=self.fold.player, action=pb.Act.CHECK_OR_CALL)

    def deck(self, seen: int) -> Iterator[str]:
        """Cards for the board: the real ones first, then others of the deck, always the same for this hand."""
        yield from self.board
        left = [card for card, bit in cards.BITS.items() if bit and not seen & bit and card not in self.board]
        random.Random(self.hand).shuffle(left)
        yield from left


def branch(hand: str, events: Sequence[Any], table_events: Sequence[Any]) -> Branch | None:
    """The last fold of a hand, by its events and those of its table.

    None where nobody folded, or where cards of those who would be left are not known, so that nobody could win.
    """
    folds = [number for number, event in enumerate(events) if _is_fold(event)]
    if not folds:
        return None
    at, fold = folds[-1], events[folds[-1]]
    gone = {events[number].player for number in folds[:-1]}
    hidden = {e.player for e in events if isinstance(e, pb.HoleCardsDealt) and cards.UNKNOWN in e.cards}
    later = [card for event in events[at:] if isinstance(event, pb.BoardDealt) for card in event.cards]
    board = [card for event in events if isinstance(event, pb.BoardDealt) for card in event.cards]
    if hidden - gone or cards.UNKNOWN in board or not fold.table:
        return None
    known = next((n for n, event in enumerate(table_events) if _is_after(event, hand, fold.number)), None)
    if known is None:  # the hand was not settled there
        return None
    return Branch(hand, fold.table, fold, at, known, tuple(later))


def _is_fold(event: Any) -> bool:
    return isinstance(event, pb.ActionTaken) and event.kind == pb.ActionTaken.FOLDED


def _is_after(event: Any, hand: str, number: int) -> bool:
    """Whether an event of a table comes of the hand's action of this number, or of a later one."""
    if isinstance(event, pb.HandSettled):
        return event.hand == hand
    return isinstance(event, pb.BetTaken) and event.hand == hand and event.number >= number


def goes_on(state: State, deck: Iterator[str]) -> pb.Act | pb.Deal | pb.Award | None:
    """What happens next where everybody checks or calls until all cards lie; None once the pot is awarded."""
    if state.phase == State.BETTING:
        return pb.Act(player=state.seats[state.to_act[0]].player, action=pb.Act.CHECK_OR_CALL)
    if state.phase in (State.BOARD_CARDS, State.RUNOUT):
        return pb.Deal(cards=[next(deck) for _ in range(state.cards_due)])
    if state.phase in (State.SHOWDOWN, State.UNCONTESTED):
        return pb.Award()
    return None
