"""Rules of betting in no-limit hold'em: forced bets, turns, what may be bet, and when a round ends.

Pure functions over the state of a hand, which they do not change; those that refuse raise Rejected with
what would be legal. They agree with the simulation of PokerKit, which the tests hold against them.
"""

from collections.abc import Sequence
from typing import NamedTuple

from headrace.examples.poker import cards
from headrace.examples.poker import poker_pb2 as pb
from headrace.topology import Rejected

Phase = pb.HandState.Phase
Kind = pb.ActionTaken.Kind
MOST_PLAYERS = 10
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
    # A newcomer's post does not count here; of equal bets the later position is the higher one.
    first = (max((bet if blind > 0 else -bet, i) for i, (bet, blind) in _numbered(posted, blinds))[1] + 1) % count
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
    )


def _numbered(posted: list[int], blinds: list[int]) -> list[tuple[int, tuple[int, int]]]:
    return list(enumerate(zip(posted, blinds, strict=True)))


def _check_start(command: pb.StartHand) -> None:
    players = list(command.players)
    if not 2 <= len(players) <= MOST_PLAYERS:
        raise Rejected(f"a hand is played by 2 to {MOST_PLAYERS} players, not {len(players)}")
    if "" in players or len(set(players)) < len(players):
        raise Rejected(f"players must have names, each its own: {', '.join(players)}")
    if len(command.starting_stacks) != len(players):
        raise Rejected(f"{len(players)} players need as many stacks, not {len(command.starting_stacks)}")
    for player, stack in zip(players, command.starting_stacks, strict=True):
        if stack <= 0:
            raise Rejected(f"{player} cannot play with a stack of {stack}")
    if len(command.antes) > len(players) or len(command.blinds_or_straddles) > len(players):
        raise Rejected(f"there are more antes or blinds than the {len(players)} players")
    if any(ante < 0 for ante in command.antes):
        raise Rejected("an ante cannot be negative")
    if command.min_bet <= 0:
        raise Rejected(f"the minimum bet must be positive, not {command.min_bet}")


def opening_order(state: pb.HandState) -> list[int]:
    """Seats that get a turn when the next round of betting opens; empty when there is nothing to bet about."""
    seats = list(state.seats)
    count = len(seats)
    # More than the second deepest player has cannot be lost, so whoever has put that in need not act.
    at_risk = sorted(seat.bet + seat.stack for seat in seats if not seat.folded)[-2]
    turns = [(state.first_seat + i) % count for i in range(count)]
    order = [i for i in turns if not seats[i].folded and seats[i].stack and at_risk > seats[i].bet]
    if len(order) == 1 and seats[order[0]].bet >= max(seat.bet for seat in seats):
        return []
    return order


class Bets(NamedTuple):
    """What the player in turn may do, in units. `raise_to` is None where `why_not` says why not."""

    to_call: int
    raise_to: tuple[int, int] | None
    why_not: str = ""


def bets(state: pb.HandState) -> Bets:
    """The legal bets of the player in turn; the state must be in a round of betting."""
    seats = list(state.seats)
    seat = seats[state.to_act[0]]
    bet, stack = seat.bet, seat.stack
    highest = max(other.bet for other in seats)
    to_call = min(stack, highest - bet)
    if stack <= highest - bet:
        return Bets(to_call, None, "a call takes the whole stack")
    if to_call < state.last_raise or (seat.acted and 0 < state.short_raises < state.last_raise):
        return Bets(to_call, None, "an all-in of less than a full raise does not reopen the betting")
    if all(other.folded or other is seat or other.stack + other.bet <= highest for other in seats):
        return Bets(to_call, None, "everyone else has folded or is all in")
    least = highest + max(state.last_raise, state.min_bet)
    return Bets(to_call, (min(least, stack + bet), stack + bet))


def legal(state: pb.HandState) -> str:
    """In words, what the player in turn may do."""
    to_call, raise_to, why_not = bets(state)
    words = ["fold", f"call {to_call}" if to_call else "check"]
    if raise_to is None:
        return f"{' or '.join(words)} (no raise: {why_not})"
    least, most = raise_to
    words.append(f"{'raise' if any(seat.bet for seat in state.seats) else 'bet'} to {least}")
    return ", ".join(words[:2]) + " or " + words[2] + (f"..{most}" if most > least else " (all in)")


def act(state: pb.HandState, command: pb.Act) -> list[pb.ActionTaken | pb.BettingClosed]:
    """A fold, check, call, bet or raise of the player in turn; with it the round's end, when that follows."""
    in_turn = state.to_act[0]
    seats = list(state.seats)
    seat = seats[in_turn]
    if seat.player != command.player:
        raise Rejected(f"it is not {command.player}'s turn; {seat.player} may {legal(state)}")
    bet = seat.bet
    event = pb.ActionTaken(player=command.player, seat=in_turn)
    if command.action == pb.Act.FOLD:
        event.kind = Kind.FOLDED
    elif command.action == pb.Act.CHECK_OR_CALL:
        event.added = min(seat.stack, max(other.bet for other in seats) - bet)
        event.kind = Kind.CALLED if event.added else Kind.CHECKED
    else:
        _, raise_to, _ = bets(state)
        if raise_to is None or not raise_to[0] <= command.amount <= raise_to[1]:
            raise Rejected(f"{seat.player} cannot bet or raise to {command.amount}; legal: {legal(state)}")
        highest = max(other.bet for other in seats)
        event.kind = Kind.RAISED if highest else Kind.BET
        event.added = command.amount - bet
        event.raised_by = command.amount - highest
        return [event]  # a raise is legal only when someone is there to answer it
    live = sum(not other.folded for other in seats) - (event.kind == Kind.FOLDED)
    if len(state.to_act) > 1 and live > 1:
        return [event]
    return [event, close(state, event)]


def close(state: pb.HandState, last: pb.ActionTaken | None = None) -> pb.BettingClosed:
    """The end of a round, after `last` where it is not applied to the state yet."""
    bets, live, stacks, pot = [], [], 0, 0
    for i, seat in enumerate(state.seats):
        bet, stack, folded = seat.bet, seat.stack, seat.folded
        pot += seat.ante + seat.put_in
        if last is not None and last.seat == i:
            bet, stack, pot = bet + last.added, stack - last.added, pot + last.added
            folded = last.kind == Kind.FOLDED
        bets.append(bet)
        if not folded:
            live.append(i)
            stacks += stack > 0
    second, highest = sorted(bets)[-2:]
    returned = highest - second
    board = len(state.board)
    if len(live) == 1:
        phase = Phase.UNCONTESTED
    elif board == BOARD:
        phase = Phase.SHOWDOWN
    else:
        phase = Phase.RUNOUT if stacks <= 1 else Phase.BOARD_CARDS
    to = bets.index(highest) if returned else 0
    return pb.BettingClosed(pot=pot - returned, returned=returned, returned_to=to, next=phase)


def to_answer(state: pb.HandState, raiser: int) -> list[int]:
    """Seats that have to answer a raise, in the order of their turns."""
    seats = list(state.seats)
    count = len(seats)
    after = [(raiser + i) % count for i in range(1, count)]
    return [i for i in after if not seats[i].folded and seats[i].stack]


def deal(state: pb.HandState, command: pb.Deal) -> pb.HoleCardsDealt | pb.BoardDealt:
    """Hole cards, up to two each, or board cards, up to those of the street under way."""
    if command.player:
        seat = seat_of(state, command.player)
        due, wanted = HOLE_CARDS - len(state.seats[seat].hole_cards), state.phase == Phase.HOLE_CARDS
    else:
        due, wanted = cards_due(state.board), state.phase in (Phase.BOARD_CARDS, Phase.RUNOUT)
    if not wanted:
        raise Rejected(f"{command.player or 'the board'} cannot be dealt cards now; {waits_for(state)}")
    if not 1 <= len(command.cards) <= due:
        raise Rejected(f"{command.player or 'the board'} is due {due} card(s) now, not {len(command.cards)}")
    cards.check_dealable(state, command.cards)
    if command.player:
        return pb.HoleCardsDealt(player=command.player, seat=seat, cards=command.cards)
    return pb.BoardDealt(cards=command.cards)


def betting_opens(state: pb.HandState, dealt: pb.HoleCardsDealt | pb.BoardDealt) -> bool:
    """Whether these cards, not applied yet, are the last before a round of betting."""
    if isinstance(dealt, pb.BoardDealt):
        return state.phase == Phase.BOARD_CARDS and len(dealt.cards) == cards_due(state.board)
    missing = sum(HOLE_CARDS - len(seat.hole_cards) for seat in state.seats)
    return missing == len(dealt.cards)


def cards_due(board: Sequence[str]) -> int:
    """How many board cards the street under way still takes: three on the flop, then one each."""
    return 3 - len(board) if len(board) < 3 else min(1, BOARD - len(board))


def seat_of(state: pb.HandState, player: str) -> int:
    """The seat of a player; Rejected names those who play."""
    players = [seat.player for seat in state.seats]
    if player not in players:
        raise Rejected(f"{player or 'nobody'} does not play here; {', '.join(players) or 'the hand has not started'}")
    return players.index(player)


def waits_for(state: pb.HandState) -> str:
    """In words, what the hand waits for."""
    if state.phase == Phase.BETTING:
        return f"{state.seats[state.to_act[0]].player} may {legal(state)}"
    if state.phase in (Phase.BOARD_CARDS, Phase.RUNOUT):
        return f"the board is due {cards_due(state.board)} card(s)"
    if state.phase == Phase.HOLE_CARDS:
        due = [seat.player for seat in state.seats if len(seat.hole_cards) < HOLE_CARDS]
        return f"hole cards are due to {', '.join(due)}"
    return {
        Phase.SHOWDOWN: "players may show or muck before the pot is awarded",
        Phase.UNCONTESTED: "the last player may show before the pot is awarded",
        Phase.AWARDED: "the pot has been awarded",
    }.get(state.phase, "the hand has not started")
