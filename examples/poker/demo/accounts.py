"""What the events of one root say, added up anew: nothing of the engine is used here, and none of its states."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.history import HandHistory, differences

_PACKAGE = "poker.v1."


@dataclass(slots=True)
class Book:
    """One root as its events tell it: each event in its place, and all that one cause led to at one place."""

    events: int = 0
    caused: Counter[str] = field(default_factory=Counter)
    """How many events each command or event led to, by its id."""
    facts: dict[str, str] = field(default_factory=dict)
    """By external id, the id under which it was stated."""
    wrong: list[str] = field(default_factory=list)
    last_cause: str = ""

    def take(self, root: str, key: bytes, value: bytes, headers: dict[str, bytes]) -> Any:
        """Check the next event's place, and count what it says; the event."""
        sequence, cause = int(headers["ce_sequence"]), headers["ce_causationid"].decode()
        if sequence != self.events or key != f"{root}|{sequence:020d}".encode():
            self.wrong.append(f"event {self.events} was to come, the log has {sequence} (key {key!r})")
        self.events += 1
        if cause != self.last_cause and cause in self.caused:
            self.wrong.append(f"{cause} was handled twice: event {sequence} is of it, and earlier ones are")
        self.caused[cause] += 1
        self.last_cause = cause
        if "ce_factid" in headers:
            fact = headers["ce_factid"].decode()
            if self.facts.setdefault(fact, cause) != cause:
                self.wrong.append(f"fact {fact} was recorded twice")
        kind = getattr(pb, headers["ce_type"].decode().removeprefix(_PACKAGE), None)
        if kind is None:
            self.wrong.append(f"event {sequence} is a {headers['ce_type'].decode()}, which is none of the room's")
            return None
        event = kind.FromString(value)
        self.count(event)
        return event

    def count(self, event: Any) -> None:
        """Add one event up."""

    def expect(self, what: str, found: object, wanted: object) -> None:
        """Note it when something is not as it has to be."""
        if found != wanted:
            self.wrong.append(f"{what} is {found}, and should be {wanted}")


@dataclass(slots=True)
class HandBook(Book):
    """A hand: the money of each seat is counted anew from what was posted, bet, returned and won."""

    players: list[str] = field(default_factory=list)
    money: list[int] = field(default_factory=list)
    """Of each seat, in units: what is behind and what was won, less what was put in."""
    bets: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Player and amount, by the number of the action."""
    pots: Sequence[pb.Pot] = ()
    awarded: list[int] | None = None
    """The stacks as the hand's last event gives them."""

    def count(self, event: Any) -> None:
        if isinstance(event, pb.HandStarted):
            self.players = [post.player for post in event.posts]
            self.money = [post.starting_stack - post.ante - post.blind for post in event.posts]
        elif isinstance(event, pb.ActionTaken):
            self.money[event.seat] -= event.added
            if event.added:
                self.bets[event.number] = event.player, event.added
        elif isinstance(event, pb.BettingClosed) and event.returned:
            self.money[event.returned_to] += event.returned
        elif isinstance(event, pb.HandAwarded):
            for pot in event.pots:
                for share in pot.shares:
                    self.money[self.players.index(share.player)] += share.amount
            self.pots, self.awarded = event.pots, list(event.finishing_stacks)

    def mistakes(self, hand: HandHistory) -> list[str]:
        """Where the log says something else than the file, or than itself."""
        if self.awarded is None:
            return [*self.wrong, f"the hand is not over: {self.events} event(s), and no HandAwarded among them"]
        if self.awarded != self.money:
            self.wrong.append(f"HandAwarded gives the stacks {self.awarded}, the bets and pots are {self.money}")
        seats = [pb.HandState.Seat(player=p, stack=m) for p, m in zip(self.players, self.money, strict=True)]
        state = pb.HandState(phase=pb.HandState.AWARDED, seats=seats, pots=self.pots)
        return [*self.wrong, *differences(hand, state)]


@dataclass(slots=True)
class TableBook(Book):
    """A table: who asked for a seat, got one and left, and the bets of its hand."""

    asked: dict[str, int] = field(default_factory=dict)
    stacks: dict[str, int] = field(default_factory=dict)
    bought_in: dict[str, int] = field(default_factory=dict)
    paid_out: dict[str, int] = field(default_factory=dict)
    bets: dict[int, tuple[str, int]] = field(default_factory=dict)

    def count(self, event: Any) -> None:
        if isinstance(event, pb.JoinRequested):
            self.expect(f"what {event.player} had asked for", self.asked.get(event.player), None)
            self.asked[event.player] = event.buy_in
        elif isinstance(event, pb.JoinCancelled):
            self.asked.pop(event.player, None)
        elif isinstance(event, pb.PlayerSeated):
            self.expect(f"the buy-in of {event.player}", event.stack, self.asked.pop(event.player, None))
            self.stacks[event.player] = self.bought_in[event.player] = event.stack
        elif isinstance(event, pb.BetTaken):
            self.expect(f"bet {event.number}", self.bets.get(event.number), None)
            self.bets[event.number] = event.player, event.amount
        elif isinstance(event, pb.HandSettled):
            before, after = sum(self.stacks.values()), sum(event.stacks)
            self.expect("the sum of all stacks after the hand", after, before)
            self.stacks = dict(zip(event.players, event.stacks, strict=True))
        elif isinstance(event, pb.PlayerLeft):
            self.expect(f"the stack of {event.player}, who leaves,", event.stack, self.stacks.pop(event.player, None))
            self.paid_out[event.player] = event.stack

    def finish(self, hand: HandBook) -> None:
        """Nobody may be left, and the bets must be those of the hand."""
        self.expect("what is still asked for", self.asked, {})
        self.expect("what is still on the table", self.stacks, {})
        self.expect("bets", self.bets, hand.bets)
        self.expect("what was paid out", self.paid_out, dict(zip(hand.players, hand.awarded or (), strict=False)))


@dataclass(slots=True)
class AccountBook(Book):
    """A player's account: what came in, what is free to use, and what is at which table."""

    deposited: int = 0
    bankroll: int = 0
    staked: dict[str, int] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)
    """All buy-ins, by table."""
    settled: dict[str, int] = field(default_factory=dict)
    """What came back, by table."""

    def count(self, event: Any) -> None:
        if isinstance(event, pb.FundsDeposited):
            self.deposited += event.amount
            self.bankroll += event.amount
        elif isinstance(event, pb.FundsReserved):
            self.expect(f"what was staked at {event.key}", self.reserved.get(event.key), None)
            self.staked[event.key] = self.reserved[event.key] = event.amount
            self.bankroll -= event.amount
        elif isinstance(event, (pb.FundsSettled, pb.FundsReleased)):
            self.expect(f"whether chips are at {event.key}", event.key in self.staked, True)
            self.staked.pop(event.key, None)
            self.settled[event.key] = event.amount
            self.bankroll += event.amount
        elif isinstance(event, pb.FundsWithdrawn):
            self.bankroll -= event.amount
        if not isinstance(event, pb.PlayerRegistered):
            self.expect("the balance that the event gives", event.new_balance, self.bankroll)


@dataclass(slots=True)
class CourseBook(Book):
    """The process of a hand: its time-outs, each of which comes once."""

    ended: int = 0
    timeouts: int = 0

    def count(self, event: Any) -> None:
        self.ended += isinstance(event, pb.CourseEnded)
        self.timeouts += isinstance(event, pb.TurnTimedOut)


BOOKS: dict[str, type[Book]] = {"player": AccountBook, "table": TableBook, "hand": HandBook, "course": CourseBook}
