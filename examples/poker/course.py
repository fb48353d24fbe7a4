"""The course of a hand at a table: whoever does not act in time has his turn taken for him."""

from collections.abc import Iterator
from datetime import timedelta

from headrace import (
    Cancel,
    ProcessContext,
    ProcessManager,
    Rejection,
    Schedule,
    Send,
    StateOf,
    applies,
    compensates,
    reacts,
)
from headrace.examples.poker import poker_pb2 as pb

TIME_TO_ACT = timedelta(minutes=2)
GoesOn = pb.BoardDealt | pb.ActionTaken | pb.BetReverted
Yield = Iterator[pb.CourseBegan | pb.TurnTimedOut | pb.CourseEnded | Send[pb.Act | pb.Award] | Schedule | Cancel]


def the_hand(state: pb.CourseState, event: pb.TurnOver) -> list[StateOf]:
    """Events do not say whose turn it is; the hand does."""
    return [StateOf("hand", state.hand)]


class Course(ProcessManager[pb.CourseState]):
    """Follows one hand, as long as its commands carry one correlation id, which is the root here."""

    name = "course"
    begin = "oldest"

    @reacts
    def started(self, state: pb.CourseState, event: pb.HandStarted, context: ProcessContext) -> Yield:
        if event.table and not state.hand:
            yield pb.CourseBegan(hand=context.root)
            yield Schedule(TIME_TO_ACT, pb.TurnOver())

    @reacts
    def went_on(self, state: pb.CourseState, event: GoesOn, context: ProcessContext) -> Yield:
        if context.root == state.hand and not state.over:
            yield Schedule(TIME_TO_ACT, pb.TurnOver())

    @reacts(reads=the_hand)
    def timed_out(self, state: pb.CourseState, event: pb.TurnOver, context: ProcessContext) -> Yield:
        found = context.states[StateOf("hand", state.hand)]
        hand: pb.HandState = found.state
        if hand.phase == pb.HandState.BETTING:
            seat = hand.seats[hand.to_act[0]]
            action = pb.Act.FOLD if seat.bet < hand.highest_bet else pb.Act.CHECK_OR_CALL
            yield pb.TurnTimedOut(player=seat.player, action=action)
            act = pb.Act(player=seat.player, action=action)
            yield Send("hand", state.hand, act, expected_sequence=found.sequence)
        elif hand.phase in (pb.HandState.SHOWDOWN, pb.HandState.UNCONTESTED):
            yield Send("hand", state.hand, pb.Award(), expected_sequence=found.sequence)
        yield Schedule(TIME_TO_ACT, pb.TurnOver())

    @reacts
    def awarded(self, state: pb.CourseState, event: pb.HandAwarded, context: ProcessContext) -> Yield:
        if context.root == state.hand:
            yield pb.CourseEnded()
            yield Cancel(pb.TurnOver)

    @compensates
    def too_late(self, state: pb.CourseState, command: pb.Act | pb.Award, refusal: Rejection) -> None:
        """The player acted after all; the clock runs already."""

    @applies
    def began(self, state: pb.CourseState, event: pb.CourseBegan) -> None:
        state.hand = event.hand

    @applies
    def turn_timed_out(self, state: pb.CourseState, event: pb.TurnTimedOut) -> None:
        state.timeouts += 1

    @applies
    def ended(self, state: pb.CourseState, event: pb.CourseEnded) -> None:
        state.over = True

    def finished(self, state: pb.CourseState) -> bool:
        return state.over
