"""Rules of betting, by given, when, then: forced bets, turns, sizes of raises, ends of rounds."""

from typing import Any

import pytest

from headrace.examples.poker import Hand, rules
from headrace.examples.poker import poker_pb2 as pb
from headrace.testing import given
from tests.support.poker_play import events_of, state_after

HOLE = ["2c7d", "3c8d", "4c9d", "5cTd", "6cJd", "7cQd"]
FLOP = pb.Deal(cards=["Ah", "Kh", "2h"])
State = pb.HandState


def start(*stacks: int, antes: tuple[int, ...] = (), blinds: tuple[int, ...] = (50, 100), **more: Any) -> list[Any]:
    """Players p1, p2, … with these stacks, and cards for each; the minimum bet is 100."""
    players = [f"p{i + 1}" for i in range(len(stacks))]
    command = pb.StartHand(
        players=players, starting_stacks=stacks, antes=antes, blinds_or_straddles=blinds, min_bet=100, **more
    )
    deals = [pb.Deal(player=p, cards=[c[:2], c[2:]]) for p, c in zip(players, HOLE, strict=False)]
    return [command, *deals]


def fold(player: int) -> pb.Act:
    return pb.Act(player=f"p{player}", action=pb.Act.FOLD)


def call(player: int) -> pb.Act:
    return pb.Act(player=f"p{player}", action=pb.Act.CHECK_OR_CALL)


def bet(player: int, amount: int) -> pb.Act:
    return pb.Act(player=f"p{player}", action=pb.Act.BET_OR_RAISE_TO, amount=amount)


def took(player: int, kind: Any, added: int = 0, by: int = 0) -> pb.ActionTaken:
    return pb.ActionTaken(player=f"p{player}", seat=player - 1, kind=kind, added=added, raised_by=by)


def turns(state: pb.HandState) -> list[str]:
    return [state.seats[i].player for i in state.to_act]


def test_blinds_are_posted_and_the_next_player_acts_first() -> None:
    state = state_after(start(1000, 1000, 1000, 1000))
    assert [seat.bet for seat in state.seats] == [50, 100, 0, 0]
    assert [seat.stack for seat in state.seats] == [950, 900, 1000, 1000]
    assert turns(state) == ["p3", "p4", "p1", "p2"]


def test_of_two_players_the_second_posts_the_small_blind_and_acts_first_then_last() -> None:
    state = state_after(start(1000, 1000))
    assert [seat.bet for seat in state.seats] == [100, 50]
    assert turns(state) == ["p2", "p1"]
    assert turns(state_after([*start(1000, 1000), call(2), call(1), FLOP])) == ["p1", "p2"]


def test_after_the_flop_the_first_seat_still_in_acts_first() -> None:
    assert turns(state_after([*start(1000, 1000, 1000, 1000), call(3), call(4), fold(1), call(2), FLOP])) == [
        "p2",
        "p3",
        "p4",
    ]


def test_a_straddle_is_answered_first_by_the_player_behind_it() -> None:
    state = state_after(start(1000, 1000, 1000, 1000, blinds=(50, 100, 200)))
    assert turns(state) == ["p4", "p1", "p2", "p3"]
    assert rules.bets(state) == (200, (300, 1000), "")


def test_a_newcomers_post_does_not_move_the_first_turn() -> None:
    state = state_after(start(1000, 1000, 1000, 1000, blinds=(50, 100, 0, -100)))
    assert [seat.bet for seat in state.seats] == [50, 100, 0, 100]
    assert turns(state) == ["p3", "p4", "p1", "p2"]


def test_the_big_blind_may_raise_when_all_have_called() -> None:
    called = [*start(1000, 1000, 1000), call(3), call(1)]
    assert rules.legal(state_after(called)) == "fold, check or raise to 200..1000"
    closed = pb.BettingClosed(pot=300, next=State.BOARD_CARDS)
    given(Hand, *events_of(called)).when(call(2)).then(took(2, pb.ActionTaken.CHECKED), closed)
    given(Hand, *events_of(called)).when(bet(2, 300)).then(took(2, pb.ActionTaken.RAISED, 200, 200))


def test_a_raise_is_at_least_as_large_as_the_one_before() -> None:
    raised = [*start(1000, 1000, 1000, 1000), bet(3, 350)]
    hand = given(Hand, *events_of(raised))
    hand.when(bet(4, 599)).then_rejected("p4 cannot bet or raise to 599; legal: fold, call 350 or raise to 600..1000")
    given(Hand, *events_of(raised)).when(bet(4, 600)).then(took(4, pb.ActionTaken.RAISED, 600, 250))
    given(Hand, *events_of(raised)).when(bet(4, 1001)).then_rejected("raise to 600..1000")


def test_the_first_bet_of_a_street_is_at_least_the_minimum() -> None:
    flop = [*start(1000, 1000), call(2), call(1), FLOP]
    given(Hand, *events_of(flop)).when(bet(1, 99)).then_rejected("legal: fold, check or bet to 100..900")
    given(Hand, *events_of(flop)).when(bet(1, 100)).then(took(1, pb.ActionTaken.BET, 100, 100))


def test_a_short_stack_may_go_all_in_for_less_than_a_raise() -> None:
    raised = [*start(1000, 1000, 420, 1000), bet(3, 350)]
    given(Hand, *events_of([*start(1000, 1000, 1000, 420), bet(3, 350)])).when(bet(4, 420)).then(
        took(4, pb.ActionTaken.RAISED, 420, 70)
    )
    assert rules.legal(state_after([*start(1000, 1000, 1000, 420), bet(3, 350)])) == (
        "fold, call 350 or raise to 420 (all in)"
    )
    assert state_after(raised).seats[2].stack == 70


def test_a_short_all_in_does_not_reopen_the_betting() -> None:
    short = [*start(1000, 1000, 1000, 420), bet(3, 350), bet(4, 420), fold(1), call(2)]
    given(Hand, *events_of(short)).when(bet(3, 800)).then_rejected(
        "fold or call 70 (no raise: an all-in of less than a full raise does not reopen the betting)"
    )
    unacted = short[:-1]
    given(Hand, *events_of(unacted)).when(bet(2, 670)).then(took(2, pb.ActionTaken.RAISED, 570, 250))


def test_short_all_ins_that_add_up_to_a_raise_reopen_the_betting() -> None:
    shorts = [*start(1000, 590, 1000, 420), bet(3, 300), bet(4, 420), call(1), bet(2, 590)]
    assert state_after(shorts).short_raises == 0
    given(Hand, *events_of(shorts)).when(bet(3, 790)).then(took(3, pb.ActionTaken.RAISED, 490, 200))


def test_nobody_acts_out_of_turn() -> None:
    hand = events_of(start(1000, 1000, 1000))
    given(Hand, *hand).when(call(1)).then_rejected("it is not p1's turn; p3 may fold, call 100 or raise to 200..1000")
    given(Hand, *hand).when(fold(9)).then_rejected("it is not p9's turn")
    given(Hand, *hand).when(pb.Act(player="p3")).then_rejected("p3 must say what to do")


def test_what_nobody_called_comes_back() -> None:
    raised = [*start(1000, 1000, 1000), bet(3, 700), fold(1)]
    hand = given(Hand, *events_of(raised)).when(fold(2))
    hand.then(
        took(2, pb.ActionTaken.FOLDED),
        pb.BettingClosed(pot=250, returned=600, returned_to=2, next=State.UNCONTESTED),
    )
    assert [seat.stack for seat in hand.state.seats] == [950, 900, 900]


def test_a_player_who_is_covered_can_call_with_less_but_not_raise() -> None:
    raised = [*start(1000, 1000, 1000, 300), bet(3, 500)]
    assert rules.legal(state_after(raised)) == "fold or call 300 (no raise: a call takes the whole stack)"
    given(Hand, *events_of(raised)).when(call(4)).then(took(4, pb.ActionTaken.CALLED, 300))


def test_nobody_raises_players_who_are_all_in() -> None:
    alone = [*start(1000, 400), bet(2, 400)]
    given(Hand, *events_of(alone)).when(bet(1, 600)).then_rejected("everyone else has folded or is all in")
    closed = pb.BettingClosed(pot=800, next=State.RUNOUT)
    given(Hand, *events_of(alone)).when(call(1)).then(took(1, pb.ActionTaken.CALLED, 300), closed)


def test_forced_bets_take_no_more_than_the_stack() -> None:
    state = state_after(start(1000, 60, 1000, 30, antes=(40, 40, 40, 40)))
    assert [seat.ante for seat in state.seats] == [40, 40, 40, 30]
    assert [seat.bet for seat in state.seats] == [50, 20, 0, 0]
    assert [seat.stack for seat in state.seats] == [910, 0, 960, 0]
    assert turns(state) == ["p3", "p1"] or turns(state) == ["p3"]


def test_a_big_blind_ante_is_dead_money() -> None:
    state = state_after(start(1000, 1000, 1000, antes=(0, 100)))
    assert [(seat.ante, seat.put_in) for seat in state.seats] == [(0, 50), (100, 100), (0, 0)]


def test_trimmed_antes_are_matched_by_another_one() -> None:
    state = state_after(start(1000, 1000, 1000, antes=(0, 100), trim_antes=True))
    assert [seat.stack for seat in state.seats] == [950, 900, 1000]
    state = state_after(start(1000, 1000, 30, antes=(40, 40, 40), trim_antes=True))
    assert [(seat.ante, seat.put_in) for seat in state.seats] == [(0, 90), (0, 140), (0, 30)]


def test_blinds_that_take_all_stacks_leave_nothing_to_bet() -> None:
    told = start(1000, 50)
    last = pb.HoleCardsDealt(player="p2", seat=1, cards=["3c", "8d"])
    closed = pb.BettingClosed(pot=100, returned=50, returned_to=0, next=State.RUNOUT)
    given(Hand, *events_of(told[:-1])).when(told[-1]).then(last, closed)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (pb.StartHand(players=["a"], starting_stacks=[1], min_bet=1), "2 to 10 players, not 1"),
        (pb.StartHand(players=["a"] * 11, starting_stacks=[1] * 11, min_bet=1), "2 to 10 players, not 11"),
        (pb.StartHand(players=["a", "a"], starting_stacks=[1, 1], min_bet=1), "each its own: a, a"),
        (pb.StartHand(players=["a", ""], starting_stacks=[1, 1], min_bet=1), "must have names"),
        (pb.StartHand(players=["a", "b"], starting_stacks=[1], min_bet=1), "as many stacks, not 1"),
        (pb.StartHand(players=["a", "b"], starting_stacks=[1, 0], min_bet=1), "b cannot play with a stack of 0"),
        (pb.StartHand(players=["a", "b"], starting_stacks=[1, 2**62], min_bet=1), "b cannot play with a stack"),
        (pb.StartHand(players=["a", "b"], starting_stacks=[9, 9], antes=[1, 1, 1], min_bet=1), "more antes or blinds"),
        (pb.StartHand(players=["a", "b"], starting_stacks=[9, 9], antes=[-1], min_bet=1), "cannot be negative"),
        (pb.StartHand(players=["a", "b"], starting_stacks=[9, 9]), "minimum bet must be positive, not 0"),
    ],
)
def test_a_hand_starts_only_as_it_can_be_played(command: pb.StartHand, reason: str) -> None:
    given(Hand).when(command).then_rejected(reason)


def test_a_hand_starts_once() -> None:
    told = start(1000, 1000)
    given(Hand, *events_of(told)).when(told[0]).then_rejected("started already")


@pytest.mark.parametrize("command", [call(1), FLOP, pb.Award(), pb.Act(player="p1", action=pb.Act.SHOW)])
def test_nothing_happens_before_the_start(command: Any) -> None:
    given(Hand).when(command).then_rejected("the hand has not started")


def test_a_handler_leaves_the_state_alone() -> None:
    state = state_after(start(1000, 1000, 1000))
    before = state.SerializeToString(deterministic=True)
    Hand().act(state, bet(3, 300))
    assert state.SerializeToString(deterministic=True) == before
