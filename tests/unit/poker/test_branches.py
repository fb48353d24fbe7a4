"""Hands that go on as if their last fold had been a call: real ones in memory, and what cannot be said of some."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from headrace import History
from headrace.examples.poker import cards, history
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.demo import what_if
from headrace.examples.poker.demo.branches import branch, goes_on
from headrace.examples.poker.demo.story import side_by_side
from headrace.examples.poker.demo.what_if import Ending, in_memory
from headrace.streams.settings import Settings
from tests.support.cli_in_memory import Message
from tests.support.room_play import Room

SAMPLE = Path(pb.__file__).with_name("sample.phhs")
HANDS = list(islice(history.read(SAMPLE), 2, None, 15))


@pytest.fixture(scope="module")
def past() -> History:
    """Some hands of the sample, played by a room."""
    room = Room()
    room.fund(HANDS)
    for hand in HANDS:
        room.recorded(hand)
    names = [hand.root for hand in HANDS]
    return room.driver.history({"hand": names, "table": names})


@pytest.fixture(scope="module")
def endings(past: History) -> list[Ending]:
    found = [in_memory(past, hand.root) for hand in HANDS]
    return [ending for ending in found if ending is not None]


def test_each_goes_on_to_its_end_and_no_chip_is_lost(endings: list[Ending]) -> None:
    assert len(endings) > 10
    for ending in endings:
        then, really = ending.hand, ending.really
        fold = ending.branch.fold
        assert then.phase == pb.HandState.AWARDED
        assert sum(seat.stack for seat in then.seats) == sum(seat.stack for seat in really.seats)
        assert (really.seats[fold.seat].folded, then.seats[fold.seat].folded) == (True, False)
        assert ending.commands[0] == pb.Act(player=fold.player, action=pb.Act.CHECK_OR_CALL)
        assert {type(command) for command in ending.commands} <= {pb.Act, pb.Deal, pb.Award}
        assert {p: seat.stack for p, seat in ending.table.seats.items()} == {s.player: s.stack for s in then.seats}


def test_the_board_is_the_real_one_and_then_new_cards(endings: list[Ending]) -> None:
    for ending in endings:
        then, really = list(ending.hand.board), list(ending.really.board)
        assert then[: len(really)] == really
        dealt = [card for seat in ending.hand.seats for card in seat.hole_cards] + then
        assert len(set(dealt)) == len(dealt)
        assert cards.UNKNOWN not in then
    assert {len(ending.hand.board) for ending in endings} == {5}
    assert {len(ending.really.board) for ending in endings} > {5}


def test_it_is_the_same_each_time(past: History, endings: list[Ending]) -> None:
    assert [in_memory(past, ending.branch.hand) for ending in endings] == endings


def test_both_endings_are_told_side_by_side(endings: list[Ending]) -> None:
    ending = endings[0]
    title, _, *rows, board = side_by_side(ending)
    assert f"{ending.branch.fold.player} folded. Had he called, " in title
    assert len(rows) == len(ending.hand.seats)
    for row, real, then in zip(rows, ending.really.seats, ending.hand.seats, strict=True):
        name, before, after = row.split()[:3]
        assert (name, before, after) == (real.player, f"{real.stack:,}", f"{then.stack:,}")
    assert board.endswith(" ".join(ending.hand.board))


FOLDED = pb.ActionTaken(player="ann", kind=pb.ActionTaken.FOLDED, table="t", number=3)
SETTLED = pb.HandSettled(hand="h")
BETS = [pb.BetTaken(hand=hand, number=number) for hand, number in (("h", 1), ("other", 9), ("h", 2), ("h", 4))]


def test_of_its_table_it_knows_what_had_happened_by_then() -> None:
    found = branch("h", [pb.HandStarted(), FOLDED], [*BETS, SETTLED])
    assert found is not None
    assert found.points == ["hand/h:0", "table/t:2"]
    found = branch("h", [pb.HandStarted(), FOLDED], [*BETS[:3], pb.HandSettled(hand="other"), SETTLED])
    assert found is not None
    assert found.table_events == 4


def dealt(player: str, *hole: str) -> pb.HoleCardsDealt:
    return pb.HoleCardsDealt(player=player, cards=hole)


@pytest.mark.parametrize(
    ("events", "at_table"),
    [
        ([pb.HandStarted()], [SETTLED]),  # nobody folded
        ([dealt("ann", "??", "??"), FOLDED], [SETTLED]),
        ([dealt("bob", "Ah", "??"), FOLDED], [SETTLED]),
        ([FOLDED, pb.BoardDealt(cards=["Ah", "??", "Kh"])], [SETTLED]),
        ([pb.ActionTaken(player="ann", kind=pb.ActionTaken.FOLDED)], []),  # it was not played at a table
        ([FOLDED], BETS[:1]),  # it was not settled
    ],
)
def test_where_nobody_could_say_what_follows_it_does_not_branch(events: list[object], at_table: list[object]) -> None:
    assert branch("h", events, at_table) is None


def test_cards_of_one_who_had_folded_before_need_not_be_known() -> None:
    earlier = pb.ActionTaken(player="bob", kind=pb.ActionTaken.FOLDED, table="t", number=1)
    assert branch("h", [dealt("bob", "??", "??"), earlier, FOLDED], [SETTLED]) is not None


def test_an_awarded_hand_is_over() -> None:
    assert goes_on(pb.HandState(phase=pb.HandState.AWARDED), iter(())) is None


def test_another_hand_has_other_cards(endings: list[Ending]) -> None:
    one = replace(endings[0].branch, board=())
    other = replace(one, hand="other")
    assert sorted(one.deck(0)) == sorted(other.deck(0))
    assert list(one.deck(0)) != list(other.deck(0))


def test_one_record_more_in_main_is_noticed(past: History, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room()
    room.welcome("ann", 5)
    monkeypatch.setattr(what_if, "read", lambda settings, topic: map(Message, room.driver.records(topic)))
    settings = Settings(bootstrap="127.0.0.1:1")
    before = what_if.digest(settings)
    assert what_if.digest(settings) == before
    room.welcome("bob", 5)
    assert what_if.digest(settings) != before
