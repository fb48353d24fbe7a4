"""Cards and pots, by given, when, then: dealing, showing, mucking, side pots and odd units."""

from typing import Any

import pytest

from headrace.examples.poker import Hand, cards
from headrace.examples.poker import poker_pb2 as pb
from headrace.testing import given
from tests.support.poker_play import events_of, state_after

State = pb.HandState
BOARD = "AhKd8s5c2h"


def hole(player: int, text: str) -> pb.Deal:
    return pb.Deal(player=f"p{player}", cards=cards.split(text))


def board(text: str) -> pb.Deal:
    return pb.Deal(cards=cards.split(text))


def act(player: int, action: Any, amount: int = 0, shown: str = "") -> pb.Act:
    return pb.Act(player=f"p{player}", action=action, amount=amount, cards=cards.split(shown))


def started(*stacks: int, **more: Any) -> list[Any]:
    players = [f"p{i + 1}" for i in range(len(stacks))]
    return [pb.StartHand(players=players, starting_stacks=stacks, blinds_or_straddles=[5, 10], min_bet=10, **more)]


def all_in(stacks: dict[str, int], text: str = BOARD, **more: Any) -> list[Any]:
    """Players with these hole cards and stacks put all of it in, and the board is dealt."""
    deals = [hole(i, held) for i, held in enumerate(stacks, start=1)]
    told = [*started(*stacks.values(), **more), *deals]
    state = state_after(told)
    while state.to_act:
        seat = state.seats[state.to_act[0]]
        most = seat.bet + seat.stack
        raises = most > state.highest_bet and any(
            other.stack + other.bet > state.highest_bet for other in state.seats if other.player != seat.player
        )
        action = pb.Act.BET_OR_RAISE_TO if raises else pb.Act.CHECK_OR_CALL
        told.append(pb.Act(player=seat.player, action=action, amount=most if raises else 0))
        state = state_after(told)
    return [*told, board(text[:6]), board(text[6:8]), board(text[8:])]


def pots(told: list[Any]) -> list[tuple[int, dict[str, int]]]:
    return [
        (pot.amount, {share.player: share.amount for share in pot.shares})
        for pot in state_after([*told, pb.Award()]).pots
    ]


def test_each_all_in_plays_for_what_it_matches() -> None:
    told = all_in({"AcAd": 100, "KcKs": 300, "QcQs": 500, "JcJs": 500})
    assert pots(told) == [(400, {"p1": 400}), (600, {"p2": 600}), (400, {"p3": 400})]
    finished = given(Hand, *events_of(told)).when(pb.Award()).state
    assert [seat.stack for seat in finished.seats] == [400, 600, 400, 0]
    assert [pot.hand for pot in finished.pots] == ["Three of a kind", "Three of a kind", "One pair"]
    assert list(finished.pots[1].contenders) == ["p2", "p3", "p4"]


def test_the_odd_unit_of_a_split_pot_goes_to_the_first_seat() -> None:
    told = all_in({"QcJd": 101, "3c3d": 101, "QsJc": 101}, antes=[1, 1, 1])
    assert pots(told) == [(303, {"p2": 303})]
    told = all_in({"QcJd": 101, "9c7d": 101, "QsJc": 101})
    assert pots(told) == [(303, {"p1": 152, "p3": 151})]


def test_hands_without_a_chance_do_not_keep_pots_apart() -> None:
    told = all_in({"QcJd": 101, "9c7d": 51, "QsJc": 101})
    assert pots(told) == [(253, {"p1": 127, "p3": 126})]


def test_antes_are_the_main_pots_whole_unless_trimmed() -> None:
    short = {"AcAd": 10, "KcKs": 100, "QcQs": 100}
    assert pots(all_in(short, antes=[30, 30, 30])) == [(70, {"p1": 70}), (140, {"p2": 140})]
    assert pots(all_in(short, antes=[30, 30, 30], trim_antes=True)) == [(30, {"p1": 30}), (180, {"p2": 180})]


def test_a_hand_that_everyone_else_folded_needs_no_cards() -> None:
    told = [*started(100, 100), hole(1, "????"), hole(2, "????"), act(2, pb.Act.FOLD)]
    assert pots(told) == [(10, {"p1": 10})]


def test_the_last_player_may_show_but_not_muck() -> None:
    told = [*started(100, 100), hole(1, "AcAd"), hole(2, "7c2d"), act(2, pb.Act.FOLD)]
    shown = pb.CardsShown(player="p1", seat=0, cards=["Ac", "Ad"])
    given(Hand, *events_of(told)).when(act(1, pb.Act.SHOW)).then(shown)
    given(Hand, *events_of(told)).when(act(1, pb.Act.MUCK)).then_rejected("the pot is his")
    given(Hand, *events_of(told)).when(act(2, pb.Act.SHOW)).then_rejected("p2 has folded")


def test_a_mucked_hand_wins_nothing() -> None:
    told = [*all_in({"AcAd": 100, "KcKs": 100}), act(1, pb.Act.MUCK)]
    assert pots(told) == [(200, {"p2": 200})]


def test_hidden_cards_play_the_board_and_shown_ones_count() -> None:
    hidden = all_in({"????": 100, "KcQs": 100})
    assert pots(hidden) == [(200, {"p2": 200})]
    assert pots([*hidden, act(1, pb.Act.SHOW, shown="AcAd")]) == [(200, {"p1": 200})]
    assert pots([*hidden, act(1, pb.Act.SHOW, shown="Ac")]) == [(200, {"p1": 200})]
    told = [*all_in({"AcAd": 100, "KcQs": 100}), act(1, pb.Act.SHOW, shown="????")]
    assert pots(told) == [(200, {"p2": 200})]


def test_cards_that_are_shown_must_be_the_players_own() -> None:
    told = events_of(all_in({"Ac??": 100, "KcQs": 100}))
    given(Hand, *told).when(act(1, pb.Act.SHOW, shown="9c9d")).then_rejected("p1 cannot show 9c 9d: his cards are Ac")
    given(Hand, *told).when(act(1, pb.Act.SHOW, shown="AcQs")).then_rejected("Qs has been dealt already, to p2")
    given(Hand, *told).when(act(1, pb.Act.SHOW, shown="AcAh")).then_rejected("Ah has been dealt already, to the board")
    given(Hand, *told).when(act(1, pb.Act.SHOW, shown="AcAd9c")).then_rejected("has 2 cards to show, not 3")


def test_no_card_is_dealt_twice() -> None:
    told = [*started(100, 100), hole(1, "AcAd")]
    given(Hand, *events_of(told)).when(hole(2, "KcAd")).then_rejected("Ad has been dealt already, to p1")
    given(Hand, *events_of(told)).when(hole(2, "KcKc")).then_rejected("Kc has been dealt already, just now")
    given(Hand, *events_of(told)).when(pb.Deal(player="p2", cards=["1c"])).then_rejected("'1c' is no card")
    called = [*told, hole(2, "KcKd"), act(2, pb.Act.CHECK_OR_CALL), act(1, pb.Act.CHECK_OR_CALL)]
    given(Hand, *events_of(called)).when(board("AhKd2c")).then_rejected("Kd has been dealt already, to p2")


@pytest.mark.parametrize(("text", "count"), [("AhKhQhJh", 4), ("", 0)])
def test_a_street_takes_its_cards_and_no_more(text: str, count: int) -> None:
    called = [*started(100, 100), hole(1, "????"), hole(2, "????")]
    called += [act(2, pb.Act.CHECK_OR_CALL), act(1, pb.Act.CHECK_OR_CALL)]
    given(Hand, *events_of(called)).when(board(text)).then_rejected(f"the board is due 3 card(s) now, not {count}")


def test_a_street_may_be_dealt_card_by_card() -> None:
    told = [*started(100, 100), hole(1, "Ac"), hole(1, "Ad"), hole(2, "KcKd")]
    told += [act(2, pb.Act.CHECK_OR_CALL), act(1, pb.Act.CHECK_OR_CALL), board("2c"), board("3c")]
    assert state_after(told).phase == State.BOARD_CARDS
    assert state_after([*told, board("4c")]).phase == State.BETTING


def test_cards_wait_for_the_betting_and_betting_for_the_cards() -> None:
    told = [*started(100, 100), hole(1, "AcAd")]
    given(Hand, *events_of(told)).when(act(2, pb.Act.FOLD)).then_rejected("hole cards are due to p2")
    given(Hand, *events_of(told)).when(board("2c3c4c")).then_rejected("the board cannot be dealt cards now")
    given(Hand, *events_of(told)).when(hole(1, "2c")).then_rejected("p1 is due 0 card(s) now, not 1")
    given(Hand, *events_of(told)).when(hole(7, "2c")).then_rejected("p7 does not play here; p1, p2")
    told += [hole(2, "KcKd")]
    given(Hand, *events_of(told)).when(board("2c3c4c")).then_rejected("p2 may fold, call 5 or raise to 20..100")
    given(Hand, *events_of(told)).when(act(2, pb.Act.SHOW)).then_rejected("cannot show or muck now; p2 may fold")


def test_the_pot_is_awarded_once_and_not_too_early() -> None:
    told = all_in({"AcAd": 100, "KcKs": 100})
    given(Hand, *events_of(told[:-1])).when(pb.Award()).then_rejected("the board is due 1 card(s)")
    awarded = [*told, pb.Award()]
    given(Hand, *events_of(awarded)).when(pb.Award()).then_rejected("the pot has been awarded")
    given(Hand, *events_of(awarded)).when(act(1, pb.Act.CHECK_OR_CALL)).then_rejected("the pot has been awarded")


def test_a_board_that_nobody_has_seen_decides_nothing() -> None:
    told = all_in({"AcAd": 100, "KcKs": 100}, text="??????????")
    given(Hand, *events_of(told)).when(pb.Award()).then_rejected("cards that nobody has seen")
