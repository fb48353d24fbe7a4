"""One hand of no-limit Texas hold'em, from the blinds to the pots. The rules are in `rules` and `showdown`."""

from collections.abc import Sequence

from headrace.examples.poker import cards, rules, showdown
from headrace.examples.poker import poker_pb2 as pb
from headrace.topology import Aggregate, Flag, Refusal, Rejected, applies, compensates, handles

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
    def bet_refused(self, state: State, command: pb.TakeBet, refusal: Refusal) -> pb.BetReverted | Flag:
        if not state.before or state.actions != command.number:
            return Flag.ESCALATE  # play has gone on, so that a person has to see to it
        return pb.BetReverted(
            player=command.player, amount=command.amount, number=command.number, reason=refusal.reason
        )

    @applies
    def started(self, state: State, event: pb.HandStarted) -> None:
        for post in event.posts:
            state.seats.add(
                player=post.player,
                stack=post.starting_stack - post.ante - post.blind,
                bet=post.blind,
                put_in=post.blind + (post.ante if event.trim_antes else 0),
                ante=0 if event.trim_antes else post.ante,
            )
        state.live = len(event.posts)
        state.cards_due = rules.HOLE_CARDS * state.live
        state.first_seat = event.first_seat
        state.highest_bet = max(post.blind for post in event.posts)
        state.min_bet = event.min_bet
        state.units_per_chip = event.units_per_chip
        state.table = event.table
        state.phase = State.HOLE_CARDS

    @applies
    def hole_cards_dealt(self, state: State, event: pb.HoleCardsDealt) -> None:
        state.seats[event.seat].hole_cards.extend(event.cards)
        self._dealt(state, event.cards)

    @applies
    def board_dealt(self, state: State, event: pb.BoardDealt) -> None:
        state.board.extend(event.cards)
        self._dealt(state, event.cards)

    @applies
    def acted(self, state: State, event: pb.ActionTaken) -> None:
        state.before = b""
        if state.table:
            state.before = state.SerializeToString() if event.added else b""
            state.actions += 1
        del state.to_act[0]
        seat = state.seats[event.seat]
        seat.acted = True
        if event.kind == pb.ActionTaken.FOLDED:
            seat.folded = True
            state.live -= 1
        elif event.added:
            seat.stack -= event.added
            seat.bet += event.added
            seat.put_in += event.added
            if event.raised_by:
                state.highest_bet = seat.bet
                self._raised(state, event, seat)

    @applies
    def reverted(self, state: State, event: pb.BetReverted) -> None:
        state.ParseFromString(state.before)
        state.actions = event.number  # the next action gets another number

    @applies
    def betting_closed(self, state: State, event: pb.BettingClosed) -> None:
        if event.returned:
            seat = state.seats[event.returned_to]
            seat.stack += event.returned
            seat.put_in -= event.returned
        for seat in state.seats:
            seat.bet = 0
            seat.acted = False
        del state.to_act[:]
        state.first_seat = state.highest_bet = state.last_raise = state.short_raises = 0
        state.cards_due = rules.street(len(state.board))
        state.phase = event.next

    @applies
    def shown(self, state: State, event: pb.CardsShown) -> None:
        state.before = b""
        state.seats[event.seat].shown[:] = event.cards
        cards.see(state, event.cards)

    @applies
    def mucked(self, state: State, event: pb.CardsMucked) -> None:
        state.before = b""
        state.seats[event.seat].folded = True
        state.live -= 1

    @applies
    def awarded(self, state: State, event: pb.HandAwarded) -> None:
        state.before = b""
        for seat, stack in zip(state.seats, event.finishing_stacks, strict=True):
            seat.stack = stack
        state.pots.extend(event.pots)
        state.phase = State.AWARDED

    def _dealt(self, state: State, new: Sequence[str]) -> None:
        state.before = b""
        opens = rules.betting_opens(state, len(new))
        cards.see(state, new)
        state.cards_due -= len(new)
        if opens:
            state.to_act.extend(rules.opening_order(state))
            state.phase = State.BETTING
        elif state.phase == State.RUNOUT and not state.cards_due:
            state.cards_due = rules.street(len(state.board))
            if not state.cards_due:
                state.phase = State.SHOWDOWN

    def _raised(self, state: State, event: pb.ActionTaken, raiser: State.Seat) -> None:
        if event.raised_by >= state.last_raise:  # a full raise lets everyone raise again
            state.last_raise = event.raised_by
            for seat in state.seats:
                seat.acted = False
            raiser.acted = True
        # Several short all-ins that make up a full raise between them reopen the betting as well.
        state.short_raises = 0 if raiser.stack else state.short_raises + event.raised_by
        if state.short_raises >= state.last_raise:
            state.short_raises = 0
        state.to_act[:] = rules.to_answer(state, event.seat)
