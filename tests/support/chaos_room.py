"""The poker room with players who fall asleep: the clock takes their last turn, and awards the pot.

A hand whose name ends in `-asleep-7` has little time after its seventh action, and plenty of it before, as other hands
have. So what the clock does is what the file says, however long anything takes.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

from headrace import ProcessContext, Schedule, Topology, reacts
from headrace.examples.poker import Hand, Player, Table
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.course import Course, GoesOn, Yield
from headrace.examples.poker.history import HandHistory, commands
from headrace.examples.poker.sagas import Cashier, Croupier, Dealer, Usher

LITTLE_TIME, PLENTY = timedelta(seconds=1), timedelta(hours=1)
_ASLEEP = re.compile(r"-asleep-(\d+)$")
_SLEEPY = 5  # of so many hands, one has somebody asleep if it can
_TURNS = (pb.Act.FOLD, pb.Act.CHECK_OR_CALL, pb.Act.BET_OR_RAISE_TO)


class ImpatientCourse(Course):
    """The course of a hand, with little time for those who are asleep."""

    @reacts
    def started(self, state: pb.CourseState, event: pb.HandStarted, context: ProcessContext) -> Yield:
        yield pb.CourseBegan(hand=context.root)
        yield Schedule(PLENTY, pb.TurnOver())

    @reacts
    def went_on(self, state: pb.CourseState, event: GoesOn, context: ProcessContext) -> Yield:
        if context.root == state.hand and not state.over:
            asleep = _ASLEEP.search(context.root)
            late = asleep and isinstance(event, pb.ActionTaken) and event.number >= int(asleep[1])
            yield Schedule(LITTLE_TIME if late else PLENTY, pb.TurnOver())


def asleep(hand: HandHistory) -> HandHistory | None:
    """The same hand under a name that lets the clock end it, if it ends with a fold."""
    *told, last, _ = commands(hand)
    if not isinstance(last, pb.Act) or last.action != pb.Act.FOLD:
        return None
    turns = sum(isinstance(order, pb.Act) and order.action in _TURNS for order in told)
    return replace(hand, number=f"{hand.number}-asleep-{turns}")


def orders(hand: HandHistory) -> list[Any]:
    """What is told of a hand: all of it, but for what is left to the clock."""
    told: list[Any] = list(commands(hand))
    return told[:-2] if _ASLEEP.search(hand.root) else told


def repeated(sample: list[HandHistory]) -> Iterator[HandHistory]:
    """The sample's hands again and again, each time under other names."""
    for turn in count(1):
        for number, hand in enumerate(sample):
            again = replace(hand, number=f"{hand.number}-{turn}")
            yield (number % _SLEEPY == turn % _SLEEPY and asleep(again)) or again


room = Topology(Player, Table, Hand, Cashier, Usher, Dealer, Croupier, ImpatientCourse)
