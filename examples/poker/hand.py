"""One hand of no-limit Texas hold'em, from the blinds to the pots. The rules are in `rules` and `showdown`."""

from headrace.examples.poker import cards, rules, showdown
from headrace.examples.poker import poker_pb2 as pb
from headrace.topology import Aggregate, Rejected, applies, handles

Phase = pb.HandState.Phase
Kind = pb.ActionTaken.Kind
HOLE_CARDS = 2


class Hand(Aggregate[pb.HandState]):
    """The root is the hand's id. The cards come from outside: this is a record of a game, not a dealer."""

    domain = "hand"

    @handles
    def start(self, state: pb.HandState, command: pb.StartHand) -> pb.HandStarted:
        if state.phase:
            raise Rejected("the hand has been started already")
        return rules.start(command)

    @handles
    def deal(
        self, state: pb.HandState, command: pb.Deal
    ) -> list[pb.HoleCardsDealt | pb.BoardDealt | pb.BettingClosed]:
        if command.player:
            seat = _seat(state, command.player)
            due = HOLE_CARDS - len(state.seats[seat].hole_cards)
            _expect(state, Phase.HOLE_CARDS, command, due)
            dealt: pb.HoleCardsDealt | pb.BoardDealt = pb.HoleCardsDealt(
                player=command.player, seat=seat, cards=command.cards
            )
            opens = sum(len(s.hole_cards) for s in state.seats) + len(command.cards) == HOLE_CARDS * len(state.seats)
        else:
            due = rules.cards_due(state.board)
            _expect(state, Phase.RUNOUT if state.phase == Phase.RUNOUT else Phase.BOARD_CARDS, command, due)
            dealt = pb.BoardDealt(cards=command.cards)
            opens = len(command.cards) == due and state.phase == Phase.BOARD_CARDS
        cards.check_dealable(state, command.cards)
        if opens and not rules.opening_order(state):
            return [dealt, rules.close(state)]
        return [dealt]

    @handles
    def act(
        self, state: pb.HandState, command: pb.Act
    ) -> list[pb.ActionTaken | pb.BettingClosed | pb.CardsShown | pb.CardsMucked]:
        if command.action in (pb.Act.SHOW, pb.Act.MUCK):
            return [showdown.show(state, command, _seat(state, command.player))]
        if state.phase != Phase.BETTING:
            raise Rejected(f"{command.player} cannot act now; {_waits_for(state)}")
        return [*rules.act(state, command)]

    @handles
    def award(self, state: pb.HandState, command: pb.Award) -> pb.HandAwarded:
        live = sum(not seat.folded for seat in state.seats)
        if state.phase not in (Phase.SHOWDOWN, Phase.UNCONTESTED) and (live != 1 or state.phase == Phase.AWARDED):
            raise Rejected(f"the pot cannot be awarded now; {_waits_for(state)}")
        return showdown.award(state)
