"""Who wins what: cards shown or mucked, pots and side pots, and their division among the best hands."""

from headrace import Rejected
from headrace.examples.poker import cards, rules
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.cards import Strength

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
    main pot whole. What only folded players have put in goes to the pot below it, or else to all who are left.
    """
    live = [seat.player for seat in state.seats if not seat.folded]
    amount = sum(seat.ante for seat in state.seats)
    found: list[pb.Pot] = []
    below = 0
    for level in sorted({seat.put_in for seat in state.seats}):
        amount += sum((level - below) for seat in state.seats if seat.put_in >= level)
        contenders = [seat.player for seat in state.seats if seat.put_in >= level and not seat.folded]
        if found and contenders in ([], list(found[-1].contenders)):
            found[-1].amount += amount
        elif amount:
            found.append(pb.Pot(amount=amount, contenders=contenders or live))
        amount = 0
        below = level
    return found


def award(state: State) -> pb.HandAwarded:
    """Divides the pots; an odd unit goes to the winner in the first seat. Rejected before the hand is decided."""
    if state.phase == State.AWARDED or (state.live != 1 and state.phase != State.SHOWDOWN):
        raise Rejected(f"the pot cannot be awarded now; {rules.waits_for(state)}")
    found = pots(state)
    hands: dict[str, Strength] = {}
    if any(len(pot.contenders) > 1 for pot in found):
        if cards.UNKNOWN in state.board:
            raise Rejected("the board has cards that nobody has seen, so that no hand can win")
        board = "".join(state.board)
        hands = {s.player: cards.strength("".join(cards.speaking(s)) + board) for s in state.seats if not s.folded}
        found = _merge(found, hands)
    won = dict.fromkeys((seat.player for seat in state.seats), 0)
    for pot in found:
        winners = _best(pot, hands)
        if len(pot.contenders) > 1:
            pot.hand = str(hands[winners[0]].entry.label)
        share, odd = divmod(pot.amount, len(winners))
        for player in winners:
            pot.shares.add(player=player, amount=share + odd)
            won[player] += share + odd
            odd = 0
    return pb.HandAwarded(pots=found, finishing_stacks=[seat.stack + won[seat.player] for seat in state.seats])


def _best(pot: pb.Pot, hands: dict[str, Strength]) -> list[str]:
    if len(pot.contenders) == 1:
        return list(pot.contenders)
    best = max(hands[player] for player in pot.contenders)
    return [player for player in pot.contenders if hands[player] == best]


def _merge(found: list[pb.Pot], hands: dict[str, Strength]) -> list[pb.Pot]:
    """Pots that only hands without a chance kept apart become one, which matters for odd units."""
    chance = {player for pot in found for player in _best(pot, hands)}
    merged: list[pb.Pot] = []
    for pot in found:
        if merged and chance.intersection(pot.contenders) == chance.intersection(merged[-1].contenders):
            merged[-1].amount += pot.amount
        else:
            merged.append(pot)
    return merged
