"""What the events of a hand change in its state; the rules by which they come about are in `rules` and `showdown`."""

from headrace.examples.poker import cards, rules
from headrace.examples.poker import poker_pb2 as pb

State = pb.HandState


def started(state: State, event: pb.HandStarted) -> None:
    """Players sit down, antes and blinds are posted."""
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


def dealt(state: State, event: pb.HoleCardsDealt | pb.BoardDealt) -> None:
    """Cards lie before a player or on the board; betting opens after the last that were due."""
    state.before = b""
    where = state.board if isinstance(event, pb.BoardDealt) else state.seats[event.seat].hole_cards
    where.extend(event.cards)
    opens = rules.betting_opens(state, len(event.cards))
    cards.see(state, event.cards)
    state.cards_due -= len(event.cards)
    if opens:
        state.to_act.extend(rules.opening_order(state))
        state.phase = State.BETTING
    elif state.phase == State.RUNOUT and not state.cards_due:
        state.cards_due = rules.street(len(state.board))
        if not state.cards_due:
            state.phase = State.SHOWDOWN


def acted(state: State, event: pb.ActionTaken) -> None:
    """The player in turn has acted; a bet at a table can be reverted until more follows than the round's end."""
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
            _raised(state, event, seat)


def _raised(state: State, event: pb.ActionTaken, raiser: State.Seat) -> None:
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


def reverted(state: State, event: pb.BetReverted) -> None:
    """The hand is as it was before the last bet, but the next action gets a number of its own."""
    state.ParseFromString(state.before)
    state.actions = event.number


def closed(state: State, event: pb.BettingClosed) -> None:
    """Bets are in the pot, but for what nobody called."""
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


def shown(state: State, event: pb.CardsShown | pb.CardsMucked) -> None:
    """A player shows, or gives up the pot."""
    state.before = b""
    if isinstance(event, pb.CardsShown):
        state.seats[event.seat].shown[:] = event.cards
        cards.see(state, event.cards)
    else:
        state.seats[event.seat].folded = True
        state.live -= 1


def awarded(state: State, event: pb.HandAwarded) -> None:
    """The pots are divided, the hand is over."""
    state.before = b""
    for seat, stack in zip(state.seats, event.finishing_stacks, strict=True):
        seat.stack = stack
    state.pots.extend(event.pots)
    state.phase = State.AWARDED
