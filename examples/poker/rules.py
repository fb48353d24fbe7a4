"""Rules of betting in no-limit hold'em: forced bets, turns, what may be bet, and when a round ends.

Pure functions over the state of a hand, which they do not change; those that refuse raise Rejected with
what would be legal. They agree with the simulation of PokerKit, which the tests hold against them.
"""

from typing import NamedTuple

from headrace import Rejected
from headrace.examples.poker import cards
from headrace.examples.poker import poker_pb2 as pb

State = pb.HandState
Taken = pb.ActionTaken
MOST_PLAYERS = 10
MOST_CHIPS = 10**15
"""Units in a stack at most: far from where 64 bits end, so that sums stay exact."""
HOLE_CARDS = 2
BOARD = 5


def start(command: pb.StartHand) -> pb.HandStarted:
    """Posts antes and blinds as far as stacks allow, and finds who acts first."""
    count = len(command.players)
    _check_start(command)
    antes, blinds = list(command.antes), list(command.blinds_or_straddles)
    antes += [0] * (count - len(antes))
    blinds += [0] * (count - len(blinds))
    if count == 2:  # the button, who is the second of two, posts the small blind and acts first before the flop
        antes.reverse()
        blinds.reverse()
    stacks = list(command.starting_stacks)
    paid = [min(ante, stack) for ante, stack in zip(antes, stacks, strict=True)]
    posted = [min(abs(blind), stack - ante) for blind, stack, ante in zip(blinds, stacks, paid, strict=True)]
    # The turn goes to the seat after the highest bet; of equal bets the later counts, and a newcomer's post does not.
    height = [bet if blind > 0 else -bet for bet, blind in zip(posted, blinds, strict=True)]
    first = (max(range(count), key=lambda i: (height[i], i)) + 1) % count
    if command.trim_antes:
        matched = sorted(paid)[-2]
        paid = [min(ante, matched) for ante in paid]
    rows = zip(command.players, stacks, paid, posted, strict=True)
    return pb.HandStarted(
        posts=[pb.HandStarted.Post(player=p, starting_stack=s, ante=a, blind=b) for p, s, a, b in rows],
        first_seat=first,
        min_bet=command.min_bet,
        trim_antes=command.trim_antes,
        units_per_chip=command.units_per_chip or 1,
        table=command.table,
    )


def _check_start(command: pb.StartHand) -> None:
    players = list(command.players)
    if not 2 <= len(players) <= MOST_PLAYERS:
        raise Rejected(f"a hand is played by 2 to {MOST_PLAYERS} players, not {len(players)}")
    if "" in players or len(set(players)) < len(players):
        raise Rejected(f"players must have names, each its own: {', '.join(players)}")
    if len(command.starting_stacks) != len(players):
        raise Rejected(f"{len(players)} players need as many stacks, not {len(command.starting_stacks)}")
    for player, stack in zip(players, command.starting_stacks, strict=True):
        if not 0 < stack <= MOST_CHIPS:
            raise Rejected(f"{player} cannot play with a stack of {stack}; 1 to {MOST_CHIPS} are possible")
    if len(command.antes) > len(players) or len(command.blinds_or_straddles) > len(players):
        raise Rejected(f"there are more antes or blinds than the {len(players)} players")
    if any(ante < 0 for ante in command.antes):
        raise Rejected("an ante cannot be negative")
    if command.min_bet <= 0:
        raise Rejected(f"the minimum bet must be positive, not {command.min_bet}")


def opening_order(state: State) -> list[int]:
    """Seats that get a turn when the next round of betting opens; empty when there is nothing to bet about."""
    seats = list(state.seats)
    # More than the second deepest player has cannot be lost, so whoever has put that in need not act.
    at_risk = sorted([seat.bet + seat.stack for seat in seats if not seat.folded])[-2]
    order = [
        i
        for i in _around(state.first_seat, len(seats))
        if (seat := seats[i]).stack and not seat.folded and at_risk > seat.bet
    ]
    if len(order) == 1 and seats[order[0]].bet >= state.highest_bet:
        return []
    return order


def to_answer(state: State, raiser: int) -> list[int]:
    """Seats that have to answer a raise, in the order of their turns."""
    seats = list(state.seats)
    return [i for i in _around(raiser, len(seats))[1:] if (seat := seats[i]).stack and not seat.folded]


def _around(first: int, count: int) -> list[int]:
    return [*range(first, count), *range(first)]


class Bets(NamedTuple):
    """What the player in turn may do, in units. `raise_to` is None where `why_not` says why not."""

    to_call: int
    raise_to: tuple[int, int] | None
    why_not: str = ""


def bets(state: State) -> Bets:
    """The legal bets of the player in turn; the state must be in a round of betting."""
    in_turn, highest = state.to_act[0], state.highest_bet
    seat = state.seats[in_turn]
    bet, stack = seat.bet, seat.stack
    to_call = min(stack, highest - bet)
    if stack <= highest - bet:
        return Bets(to_call, None, "a call takes the whole stack")
    if to_call < state.last_raise or (seat.acted and 0 < state.short_raises < state.last_raise):
        return Bets(to_call, None, "an all-in of less than a full raise does not reopen the betting")
    others = [s for i, s in enumerate(state.seats) if i != in_turn and not s.folded]
    if all(other.stack + other.bet <= highest for other in others):
        return Bets(to_call, None, "everyone else has folded or is all in")
    least = highest + max(state.last_raise, state.min_bet)
    return Bets(to_call, (min(least, stack + bet), stack + bet))


def legal(state: State) -> str:
    """In words, what the player in turn may do."""
    to_call, raise_to, why_not = bets(state)
    words = ["fold", f"call {to_call}" if to_call else "check"]
    if raise_to is None:
        return f"{' or '.join(words)} (no raise: {why_not})"
    least, most = raise_to
    words.append(f"{'raise' if state.highest_bet else 'bet'} to {least}")
    return ", ".join(words[:2]) + " or " + words[2] + (f"..{most}" if most > least else " (all in)")


def act(state: State, command: pb.Act) -> list[pb.ActionTaken | pb.BettingClosed]:
    """A fold, check, call, bet or raise of the player in turn; with it the round's end, when that follows."""
    in_turn = state.to_act[0]
    seat = state.seats[in_turn]
    if seat.player != command.player:
        raise Rejected(f"it is not {command.player}'s turn; {seat.player} may {legal(state)}")
    action, added, by = command.action, 0, 0
    if action == pb.Act.BET_OR_RAISE_TO:
        _, raise_to, _ = bets(state)
        if raise_to is None or not raise_to[0] <= command.amount <= raise_to[1]:
            raise Rejected(f"{seat.player} cannot bet or raise to {command.amount}; legal: {legal(state)}")
        kind = Taken.RAISED if state.highest_bet else Taken.BET
        added, by = command.amount - seat.bet, command.amount - state.highest_bet
    elif action == pb.Act.CHECK_OR_CALL:
        added = min(seat.stack, state.highest_bet - seat.bet)
        kind = Taken.CALLED if added else Taken.CHECKED
    elif action == pb.Act.FOLD:
        kind = Taken.FOLDED
    else:
        raise Rejected(f"{command.player} must say what to do; legal: {legal(state)}")
    event = pb.ActionTaken(player=command.player, seat=in_turn, kind=kind, added=added, raised_by=by)
    last = len(state.to_act) == 1 and not by  # a raise is legal only when someone is there to answer it
    if last or (kind == Taken.FOLDED and state.live == 2):
        return [event, close(state, event)]
    return [event]


def close(state: State, last: pb.ActionTaken | None = None) -> pb.BettingClosed:
    """The end of a round, after `last` where it is not applied to the state yet."""
    bets, live, stacks, pot = [], 0, 0, 0
    for i, seat in enumerate(state.seats):
        bet, stack, folded = seat.bet, seat.stack, seat.folded
        pot += seat.ante + seat.put_in
        if last is not None and last.seat == i:
            bet, stack, pot = bet + last.added, stack - last.added, pot + last.added
            folded = last.kind == Taken.FOLDED
        bets.append(bet)
        if not folded:
            live += 1
            stacks += stack > 0
    second, highest = sorted(bets)[-2:]
    returned = highest - second
    board = len(state.board)
    if live == 1:
        phase = State.UNCONTESTED
    elif board == BOARD:
        phase = State.SHOWDOWN
    else:
        phase = State.RUNOUT if stacks <= 1 else State.BOARD_CARDS
    to = bets.index(highest) if returned else 0
    return pb.BettingClosed(pot=pot - returned, returned=returned, returned_to=to, next=phase)


def deal(state: State, command: pb.Deal) -> pb.HoleCardsDealt | pb.BoardDealt:
    """Hole cards, up to two each, or board cards, up to those of the street under way."""
    if command.player:
        seat = seat_of(state, command.player)
        wanted, due = state.phase == State.HOLE_CARDS, HOLE_CARDS - len(state.seats[seat].hole_cards)
    else:
        wanted, due = state.phase in (State.BOARD_CARDS, State.RUNOUT), state.cards_due
    if not wanted:
        raise Rejected(f"{command.player or 'the board'} cannot be dealt cards now; {waits_for(state)}")
    if not 1 <= len(command.cards) <= due:
        raise Rejected(f"{command.player or 'the board'} is due {due} card(s) now, not {len(command.cards)}")
    cards.check_new(state, command.cards)
    if command.player:
        return pb.HoleCardsDealt(player=command.player, seat=seat, cards=command.cards)
    return pb.BoardDealt(cards=command.cards)


def betting_opens(state: State, count: int) -> bool:
    """Whether betting follows the next `count` cards."""
    return count == state.cards_due and state.phase != State.RUNOUT


def street(board: int) -> int:
    """How many cards follow a board of so many: three on the flop, then one each."""
    return min(3 if not board else 1, BOARD - board)


def seat_of(state: State, player: str) -> int:
    """The seat of a player; Rejected names those who play."""
    players = [seat.player for seat in state.seats]
    if player not in players:
        raise Rejected(f"{player or 'nobody'} does not play here; {', '.join(players) or 'the hand has not started'}")
    return players.index(player)


def waits_for(state: State) -> str:
    """In words, what the hand waits for."""
    if state.phase == State.BETTING:
        return f"{state.seats[state.to_act[0]].player} may {legal(state)}"
    if state.phase in (State.BOARD_CARDS, State.RUNOUT):
        return f"the board is due {state.cards_due} card(s)"
    if state.phase == State.HOLE_CARDS:
        due = [seat.player for seat in state.seats if len(seat.hole_cards) < HOLE_CARDS]
        return f"hole cards are due to {', '.join(due)}"
    return {
        State.SHOWDOWN: "players may show or muck before the pot is awarded",
        State.UNCONTESTED: "the last player may show before the pot is awarded",
        State.AWARDED: "the pot has been awarded",
    }.get(state.phase, "the hand has not started")
