"""One hand told from its events, for people."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from headrace.examples.poker import poker_pb2 as pb

if TYPE_CHECKING:
    from headrace.examples.poker.demo.what_if import Ending

_STREETS = {3: "Flop", 4: "Turn", 5: "River"}
_Kind = pb.ActionTaken


def tell(events: Iterable[Any]) -> Iterator[str]:
    """A line for the start, each street, each showing of cards and each pot."""
    teller = _Teller()
    for event in events:
        yield from teller.hear(event)
    yield from teller.street()


def side_by_side(ending: "Ending") -> Iterator[str]:
    """How a hand ended, and how it would have ended."""
    fold, then = ending.branch.fold, ending.hand
    units = Decimal(then.units_per_chip or 1)
    winners = sorted({share.player for pot in then.pots for share in pot.shares if share.amount})
    yield f"Hand {ending.branch.hand}: {fold.player} folded. Had he called, {' and '.join(winners)} would have won:"
    yield f"  {'':16} {'it ended':>14} {'then':>14}   cards"
    for real, other in zip(ending.really.seats, then.seats, strict=True):
        amounts = f"{real.stack / units:>14,f} {other.stack / units:>14,f}"
        yield f"  {real.player:16} {amounts}   {' '.join(other.hole_cards)}"
    yield f"  the board: {' '.join(ending.really.board) or 'none'}; then: {' '.join(then.board)}"


class _Teller:
    def __init__(self) -> None:
        self._units = Decimal(1)
        self._title = "Before the flop"
        self._actions: list[str] = []
        self._board: list[str] = []

    def hear(self, event: Any) -> Iterator[str]:
        """What there is to say once this event is known."""
        if isinstance(event, pb.HandStarted):
            self._units = Decimal(event.units_per_chip or 1)
            yield from self._start(event)
        elif isinstance(event, pb.HoleCardsDealt):
            yield f"  {event.player} is dealt {' '.join(event.cards)}"
        elif isinstance(event, pb.BoardDealt):
            yield from self.street()
            self._board += event.cards
            self._title = f"{_STREETS.get(len(self._board), 'Board')} {' '.join(self._board)}"
        elif isinstance(event, pb.ActionTaken):
            self._actions.append(f"{event.player} {self._action(event)}")
        elif isinstance(event, pb.BettingClosed):
            if event.returned:
                self._actions.append(f"{self._amount(event.returned)} comes back uncalled")
            self._actions.append(f"pot {self._amount(event.pot)}")
            yield from self.street()
        elif isinstance(event, pb.CardsShown):
            yield f"  {event.player} shows {' '.join(event.cards)}"
        elif isinstance(event, pb.CardsMucked):
            yield f"  {event.player} mucks"
        elif isinstance(event, pb.HandAwarded):
            yield from self._pots(event)

    def street(self) -> Iterator[str]:
        """The street that is over; its title alone where nobody acted."""
        if self._title:
            yield f"  {self._title}: {', '.join(self._actions)}" if self._actions else f"  {self._title}"
        self._title, self._actions = "", []

    def _start(self, event: pb.HandStarted) -> Iterator[str]:
        blinds = [f"{post.player} posts {self._amount(post.blind)}" for post in event.posts if post.blind]
        antes = [f"{post.player} antes {self._amount(post.ante)}" for post in event.posts if post.ante]
        stacks = {self._amount(post.starting_stack) for post in event.posts}
        each = f" with {stacks.pop()} each" if len(stacks) == 1 else ""
        yield f"  {len(event.posts)} players{each}: {', '.join([*antes, *blinds]) or 'no forced bets'}"

    def _action(self, event: pb.ActionTaken) -> str:
        if event.kind in (_Kind.BET, _Kind.RAISED):
            verb = "bets" if event.kind == _Kind.BET else "raises by"
            return f"{verb} {self._amount(event.added if event.kind == _Kind.BET else event.raised_by)}"
        if event.kind == _Kind.CALLED:
            return f"calls {self._amount(event.added)}"
        return "folds" if event.kind == _Kind.FOLDED else "checks"

    def _pots(self, event: pb.HandAwarded) -> Iterator[str]:
        for pot in event.pots:
            winners = " and ".join(f"{share.player} {self._amount(share.amount)}" for share in pot.shares)
            how = f" with {pot.hand.lower()}" if pot.hand else ", uncontested"
            yield f"  The pot of {self._amount(pot.amount)} goes to {winners}{how}"

    def _amount(self, units: int) -> str:
        return f"{units / self._units:f}"
