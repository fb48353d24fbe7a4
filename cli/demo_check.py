"""Reads the whole event log back and compares it with the file. Nothing of the engine is used here.

The money of each player is counted anew from what the events say was posted, bet, returned and won.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message

from headrace.cli.demo_play import Played
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.history import HandHistory, differences
from headrace.streams.reader import read
from headrace.streams.settings import Settings

_PACKAGE = "poker.v1."


@dataclass(slots=True)
class Told:
    """One root as its events tell it."""

    events: int = 0
    players: list[str] = field(default_factory=list)
    money: list[int] = field(default_factory=list)
    """Of each seat, in units: what is behind and what was won, less what was put in."""
    pots: Sequence[pb.Pot] = ()
    awarded: list[int] | None = None
    """The stacks as the hand's last event gives them."""
    wrong: list[str] = field(default_factory=list)

    def take(self, root: str, message: Message) -> Any:
        """Check the next event's place in the sequence and count its money; the event."""
        headers: dict[str, Any] = dict(message.headers() or ())
        sequence = int(headers["ce_sequence"])
        if sequence != self.events or message.key() != f"{root}|{sequence:020d}".encode():
            self.wrong.append(f"event {self.events} was to come, the log has {sequence} (key {message.key()!r})")
        self.events += 1
        kind = getattr(pb, headers["ce_type"].decode().removeprefix(_PACKAGE))
        event = kind.FromString(message.value() or b"")
        self._count(event)
        return event

    def _count(self, event: Any) -> None:
        if isinstance(event, pb.HandStarted):
            self.players = [post.player for post in event.posts]
            self.money = [post.starting_stack - post.ante - post.blind for post in event.posts]
        elif isinstance(event, pb.ActionTaken):
            self.money[event.seat] -= event.added
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
            self.wrong.append(f"HandAwarded gives the stacks {self.awarded}, the bets and pots come to {self.money}")
        seats = [pb.HandState.Seat(player=p, stack=m) for p, m in zip(self.players, self.money, strict=True)]
        state = pb.HandState(phase=pb.HandState.AWARDED, seats=seats, pots=self.pots)
        return [*self.wrong, *differences(hand, state)]


@dataclass(slots=True)
class Checked:
    """What the log holds, and how it compares."""

    events: int
    """In all, of hands and of players."""
    mismatched: dict[str, list[str]]
    """What does not fit, by root: hands that ended otherwise than the file says, and events that are not in order."""
    story: list[Any]
    """The events of one hand."""


def check(settings: Settings, hands: Sequence[HandHistory], played: Played, follow: str) -> Checked:
    """Hold the log against the file, and against what the answers told; keeps the events of the hand `follow`."""
    players, _ = _read(settings, "player", "")
    tables, story = _read(settings, "hand", follow)
    mistakes: dict[str, list[str]] = {}
    for hand in hands:
        why = tables.setdefault(hand.root, Told()).mistakes(hand)
        mistakes[hand.root] = why + played.refusals.get(("hand", hand.root), []) if why else []
    for domain, found in (("player", players), ("hand", tables)):
        for root, one in found.items():
            why = mistakes.setdefault(root, one.wrong)
            answered = played.events.get((domain, root), 0)
            if one.events != answered:
                why.append(f"the log holds {one.events} event(s), the answers told of {answered}")
    events = sum(one.events for found in (players, tables) for one in found.values())
    return Checked(events, {root: why for root, why in mistakes.items() if why}, story)


def _read(settings: Settings, domain: str, follow: str) -> tuple[dict[str, Told], list[Any]]:
    told: dict[str, Told] = {}
    story: list[Any] = []
    for message in read(settings, settings.names.topic(settings.edition, domain, "events")):
        root = (message.key() or b"").decode().rpartition("|")[0]
        event = told.setdefault(root, Told()).take(root, message)
        if root == follow:
            story.append(event)
    return told, story
