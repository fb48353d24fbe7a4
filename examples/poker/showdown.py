"""Who wins what: cards shown or mucked, pots and side pots, and their division among the best hands."""

from headrace.examples.poker import cards, rules
from headrace.examples.poker import poker_pb2 as pb
from headrace.topology import Rejected

State = pb.HandState


def show(state: State, command: pb.Act) -> pb.CardsShown | pb.CardsMucked:
    """A player shows hole cards, or gives up the pot without showing, once betting is over."""
    index = rules.seat_of(state, command.player)
    seat = state.seats[index]
    if state.phase not in (State.RUNOUT, State.SHOWDOWN, State.UNCONTESTED) or seat.folded:
        why = "has folded" if seat.folded else "cannot show or muck now"
        raise Rejected(f"{command.player} {why}; {rules.waits_for(state)}")
    if command.action == pb.Act.MUCK:
        if state.live == 1:
            raise Rejected(f"{command.player} cannot muck: everyone else is out, the pot is his")
        return pb.CardsMucked(player=command.player, seat=index)
    shown = list(command.cards or seat.hole_cards)
    shown += [cards.UNKNOWN] * (rules.HOLE_CARDS - len(shown))
    if len(shown) > rules.HOLE_CARDS:
        raise Rejected(f"{command.player} has {rules.HOLE_CARDS} cards to show, not {len(shown)}")
    known = {*seat.hole_cards, *seat.shown} - {cards.UNKNOWN}
    strange = [card for card in shown if card != cards.UNKNOWN and card not in known]
    if len(known) + len(strange) > rules.HOLE_CARDS:
        raise Rejected(f"{command.player} cannot show {' '.join(strange)}: his cards are {' '.join(sorted(known))}")
    cards.check_new(state, strange)
    return pb.CardsShown(player=command.player, seat=index, cards=shown)


def pots(state: State) -> list[pb.Pot]:
    """Main pot first, each with the players who can win it, in seat order; they are not divided yet.

    A player can win from each other one what he has put in himself. Antes that are not trimmed lie in the
    main pot whole.
    """
    amount = sum(seat.ante for seat in state.seats)
    found: list[pb.Pot] = []
    below = 0
    for level in sorted({seat.put_in for seat in state.seats}):
        amount += sum((level - below) for seat in state.seats if seat.put_in >= level)
        contenders = [seat.player for seat in state.seats if seat.put_in >= level and not seat.folded]
        # What only folded players have put in goes to those who can win the pot below it.
        if found and contenders in ([], list(found[-1].contenders)):
            found[-1].amount += amount
        elif amount:
            found.append(pb.Pot(amount=amount, contenders=contenders))
        amount = 0
        below = level
    return found


def award(state: State) -> pb.HandAwarded:
    """Divides the pots; an odd unit goes to the winner in the first seat. Rejected before the hand is decided."""
    if state.phase == State.AWARDED or (state.live > 1 and state.phase != State.SHOWDOWN):
        raise Rejected(f"the pot cannot be awarded now; {rules.waits_for(state)}")
    divided = pots(state)
    contested = any(len(pot.contenders) > 1 for pot in divided)
    if contested and cards.UNKNOWN in state.board:
        raise Rejected("the board has cards that nobody has seen, so that no hand can win")
    hands = {}
    if contested:
        board = "".join(state.board)
        hands = {s.player: cards.strength("".join(cards.speaking(s)) + board) for s in state.seats if not s.folded}
    won: dict[str, int] = {}
    for pot in divided:
        winners = list(pot.contenders)
        if len(winners) > 1:
            best = max(hands[player] for player in winners)
            winners = [player for player in winners if hands[player] == best]
            pot.hand = str(best.entry.label)
        share, odd = divmod(pot.amount, len(winners))
        for i, player in enumerate(winners):
            amount = share + odd if i == 0 else share
            pot.shares.add(player=player, amount=amount)
            won[player] = won.get(player, 0) + amount
    stacks = [seat.stack + won.get(seat.player, 0) for seat in state.seats]
    return pb.HandAwarded(pots=divided, finishing_stacks=stacks)
