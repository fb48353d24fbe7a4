"""Poker Hand History files: what is read, what is refused and how, and what the commands are."""

from decimal import Decimal
from pathlib import Path

import pytest

from headrace.examples.poker import history
from headrace.examples.poker import poker_pb2 as pb
from tests.support.poker_play import replay

HAND = """
variant = 'NT'
ante_trimming_status = true
antes = [0, 0]
blinds_or_straddles = [50, 100]
min_bet = 100
starting_stacks = [1000, 1000]
actions = ['d dh p1 AcKc', 'd dh p2 7h2s', '# quiet so far', 'p2 cbr 300 # a bluff', 'p1 cc', 'd db 2c3c4d',
  'p1 cc', 'p2 f']
players = ['Ann', 'Bob']
finishing_stacks = [1300, 700]
"""


def parsed(text: str) -> history.HandHistory:
    (hand,) = history.parse(text, "test.phhs")
    return hand


def changed(old: str, new: str) -> history.HandHistory:
    assert old in HAND
    return parsed("[1]\n" + HAND.replace(old, new))


def test_a_file_has_one_hand_or_many(tmp_path: Path) -> None:
    one, many = tmp_path / "one.phh", tmp_path / "many.phhs"
    one.write_text("# a hand\n" + HAND)
    many.write_text(f"# hands\n[3] # first\n{HAND}\n\n[4]\n{HAND}")
    assert [(hand.root, str(hand)) for hand in history.read(one)] == [("one-1", "one.phh, hand 1")]
    assert [hand.root for hand in history.read(str(many))] == ["many-3", "many-4"]


def test_actions_become_commands() -> None:
    start, *told = history.commands(parsed(HAND))
    assert start == pb.StartHand(
        players=["Ann", "Bob"],
        starting_stacks=[1000, 1000],
        antes=[0, 0],
        blinds_or_straddles=[50, 100],
        min_bet=100,
        trim_antes=True,
        units_per_chip=1,
    )
    assert told == [
        pb.Deal(player="Ann", cards=["Ac", "Kc"]),
        pb.Deal(player="Bob", cards=["7h", "2s"]),
        pb.Act(player="Bob", action=pb.Act.BET_OR_RAISE_TO, amount=300),
        pb.Act(player="Ann", action=pb.Act.CHECK_OR_CALL),
        pb.Deal(cards=["2c", "3c", "4d"]),
        pb.Act(player="Ann", action=pb.Act.CHECK_OR_CALL),
        pb.Act(player="Bob", action=pb.Act.FOLD),
        pb.Award(),
    ]


def test_a_hand_that_ends_otherwise_is_told_player_by_player() -> None:
    hand = changed("[1300, 700]", "[1299, 701]")
    assert history.differences(hand, replay(hand)) == [
        "test.phhs, hand 1: Ann finished with 1300, the file says 1299",
        "test.phhs, hand 1: Bob finished with 700, the file says 701",
    ]
    hand = changed("finishing_stacks = [1300, 700]", "winnings = [600, 0]")
    assert history.differences(hand, replay(hand)) == []
    hand = changed("finishing_stacks = [1300, 700]", "winnings = [0, 600]")
    assert history.differences(hand, replay(hand))[0] == "test.phhs, hand 1: Ann won 600, the file says 0"


def test_winnings_less_the_houses_share_are_not_compared() -> None:
    hand = changed("finishing_stacks = [1300, 700]", "winnings = [570, 0]")
    assert history.differences(hand, replay(hand)) == []


def test_a_hand_that_is_not_over_says_what_it_waits_for() -> None:
    assert history.differences(parsed(HAND), pb.HandState()) == [
        "test.phhs, hand 1: is not over: the hand has not started"
    ]


def test_cents_and_half_chips_are_whole_units() -> None:
    hand = changed("'p2 cbr 300 # a bluff'", "'p2 cbr 300.25'")
    assert (hand.units_per_chip, hand.min_bet, hand.starting_stacks) == (100, 10_000, (100_000, 100_000))
    assert history.commands(hand)[3] == pb.Act(player="Bob", action=pb.Act.BET_OR_RAISE_TO, amount=30_025)
    hand = changed("[1300, 700]", "[1300.5, 699.50]")
    assert (hand.units_per_chip, hand.tolerance) == (10, 1)
    assert hand.finishing_stacks == (Decimal("13005.0"), Decimal("6995.00"))
    assert changed("[1300, 700]", "[1300.0, 700.0]").units_per_chip == 1
    assert changed("[1300, 700]", "[1300.333333333334, 699.666666666667]").units_per_chip == 10_000


def test_a_stack_that_nobody_knows_is_as_good_as_infinite() -> None:
    hand = changed("starting_stacks = [1000, 1000]", "starting_stacks = [inf, 1000]")
    assert hand.starting_stacks == (history.UNLIMITED, 1000)
    assert changed("[1300, 700]", "[inf, 700]").finishing_stacks is not None


def test_players_without_names_of_their_own_go_by_position() -> None:
    assert changed("players = ['Ann', 'Bob']", "").players == ("p1", "p2")
    assert changed("['Ann', 'Bob']", "['Ann', '']").players == ("p1", "p2")
    assert changed("['Ann', 'Bob']", "['Ann', 'Ann']").players == ("p1", "p2")


def test_hole_cards_that_the_file_does_not_mention_are_unseen() -> None:
    hand = changed("'d dh p1 AcKc', 'd dh p2 7h2s', ", "'d dh p2 7h', ")
    assert history.commands(hand)[1:4] == [
        pb.Deal(player="Bob", cards=["7h"]),
        pb.Deal(player="Ann", cards=["??", "??"]),
        pb.Deal(player="Bob", cards=["??"]),
    ]
    assert history.differences(hand, replay(hand)) == []


def test_showing_is_in_the_file_with_cards_or_without() -> None:
    hand = changed("'p1 cc', 'p2 f'", "'p1 sm AcKc', 'p1 sm', 'p2 sm -', 'p2 sm ????'")
    assert history.commands(hand)[6:-1] == [
        pb.Act(player="Ann", action=pb.Act.SHOW, cards=["Ac", "Kc"]),
        pb.Act(player="Ann", action=pb.Act.MUCK),
        pb.Act(player="Bob", action=pb.Act.SHOW),
        pb.Act(player="Bob", action=pb.Act.SHOW, cards=["??", "??"]),
    ]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("'NT'", "'PO'", "variant 'PO' is not played here"),
        ("variant = 'NT'", "", "variant None is not played here"),
        ("min_bet = 100", "", "lacks min_bet"),
        ("min_bet = 100", "min_bet = 'x'", "min_bet is not a list of numbers: ['x']"),
        ("antes = [0, 0]", "antes = 5", "antes is not a list of numbers: 5"),
        ("antes = [0, 0]", "antes = [inf, 0]", "antes has a number that is no amount"),
        ("antes = [0, 0]", "antes = [0, 0, 0]", "antes has 3 entries for 2 players"),
        ("[1000, 1000]", "[nan, 1000]", "starting_stacks has a number that is no amount"),
        ("[1000, 1000]", "[-inf, 1000]", "starting_stacks has a number that is no amount"),
        ("[1000, 1000]", "[1e40, 1000]", "starting_stacks has a number that is no amount"),
        ("[1000, 1000]", "[true, 1000]", "starting_stacks is not a list of numbers"),
        ("[1000, 1000]", "[0.00001, 1000]", "amounts have 5 decimals; 4 at most"),
        ("[1300, 700]", "[1300]", "finishing_stacks has 1 entries for 2 players"),
        ("['Ann', 'Bob']", "['Ann']", "players does not name the 2 players"),
        ("actions = [", "actions = [7, ", "actions is not a list of strings"),
        ("antes = [0, 0]", "antes = [0, 0", "is not TOML"),
        ("'p1 cc', 'p2 f'", "'p1 sd'", "action 7, 'p1 sd': is no action of Texas hold'em"),
        ("'p1 cc', 'p2 f'", "'p3 f'", "action 7, 'p3 f': 'p3' is none of p1 to p2"),
        ("'p1 cc', 'p2 f'", "'p1 cbr x'", "'x' is no amount of chips"),
        ("'p1 cc', 'p2 f'", "'p1 cbr inf'", "'inf' is no amount of chips"),
        ("'p1 cc', 'p2 f'", "'p1 cbr 1e30'", "'1e30' is no amount of chips"),
        ("2c3c4d", "2c3c4x", "action 6, 'd db 2c3c4x': '4x' in '2c3c4x' is no card"),
    ],
)
def test_what_cannot_be_played_is_refused_with_its_place(old: str, new: str, reason: str) -> None:
    with pytest.raises(history.HistoryError) as refused:
        history.commands(changed(old, new))
    assert str(refused.value).startswith("test.phhs, hand 1: ")
    assert reason in str(refused.value)


def test_hands_before_a_broken_one_are_read() -> None:
    hands = history.parse(f"[1]\n{HAND}\n[2]\nvariant = \n", "test.phhs")
    assert next(hands).number == "1"
    with pytest.raises(history.HistoryError, match=r"test.phhs, hand 2: is not TOML"):
        next(hands)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"[1]\n{HAND}\n[1]\n{HAND}", "test.phhs, hand 1: there are two hands of this number"),
        (f"min_bet = 3\n[1]\n{HAND}", "test.phhs: text before the first hand"),
        ("", r"test.phhs, hand 1: variant None"),
    ],
)
def test_a_file_is_refused_as_a_whole(text: str, reason: str) -> None:
    with pytest.raises(history.HistoryError, match=reason):
        list(history.parse(text, "test.phhs"))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.phhs"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(history.HistoryError, match=r"x.phhs: is not UTF-8 text"):
        history.read(path)
