"""One hand of no-limit Texas hold'em, from blinds to pots. Its rules are in `rules`, `betting` and `showdown`."""

from headrace import Aggregate, Flag, Rejected, Rejection, applies, compensates, handles
from headrace.examples.poker import betting, rules, showdown
from headrace.examples.poker import poker_pb2 as pb

State = pb.HandState


class Hand(Aggregate[pb.HandState]):
    """The root is the hand's id. The cards come from outside: this is a record of a game, not a dealer."""

    domain = "hand"

    @handles
    def start(self, state: State, command: pb.StartHand) -> pb.HandStarted:
        if state.phase:
            raise Rejected("the hand has been started already")
        return rules.start(command)

    @handles
    def deal(self, state: State, command: pb.Deal) -> list[pb.HoleCardsDealt | pb.BoardDealt | pb.BettingClosed]:
        dealt = rules.deal(state, command)
        if rules.betting_opens(state, len(command.cards)) and not rules.opening_order(state):
            return [dealt, rules.close(state)]
        return [dealt]

    @handles
    def act(
        self, state: State, command: pb.Act
    ) -> list[pb.ActionTaken | pb.BettingClosed | pb.CardsShown | pb.CardsMucked]:
        if command.action in (pb.Act.SHOW, pb.Act.MUCK):
            return [showdown.show(state, command)]
        if state.phase != State.BETTING:
            raise Rejected(f"{command.player} cannot act now; {rules.waits_for(state)}")
        taken, *closed = rules.act(state, command)
        if state.table and isinstance(taken, pb.ActionTaken):
            taken.table, taken.number = state.table, state.actions + 1
        return [taken, *closed]

    @handles
    def award(self, state: State, command: pb.Award) -> pb.HandAwarded:
        event = showdown.award(state)
        if state.table:
            event.table = state.table
            event.players.extend(seat.player for seat in state.seats)
        return event

    @compensates
    def bet_refused(self, state: State, command: pb.TakeBet, refusal: Rejection) -> pb.BetReverted | Flag:
        if not state.before or state.actions != command.number:
            return Flag.ESCALATE  # play has gone on, so that a person has to see to it
        return pb.BetReverted(
            player=command.player, amount=command.amount, number=command.number, reason=refusal.reason
        )

    @applies
    def started(self, state: State, event: pb.HandStarted) -> None:
        betting.started(state, event)

    @applies
    def dealt(self, state: State, event: pb.HoleCardsDealt | pb.BoardDealt) -> None:
        betting.dealt(state, event)

    @applies
    def acted(self, state: State, event: pb.ActionTaken) -> None:
        betting.acted(state, event)

    @applies
    def reverted(self, state: State, event: pb.BetReverted) -> None:
        betting.reverted(state, event)

    @applies
    def betting_closed(self, state: State, event: pb.BettingClosed) -> None:
        betting.closed(state, event)

    @applies
    def shown(self, state: State, event: pb.CardsShown | pb.CardsMucked) -> None:
        betting.shown(state, event)

    @applies
    def awarded(self, state: State, event: pb.HandAwarded) -> None:
        betting.awarded(state, event)
