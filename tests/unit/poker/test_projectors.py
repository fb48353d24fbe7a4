"""The read models of the poker room: each document is what the log says, by a fold of the test's own."""

import random
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace import Projector
from headrace import testing as harness
from headrace.examples import poker
from headrace.examples.poker import history, projectors
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.projectors import HandFacts, Leaderboard, PastHands, PlayerCards
from headrace.testing import TopologyDriver
from headrace.topology.inspection.projector import ProjectorSpec
from tests.support.poker_documents import ALL, check, documents, logs, nothing_secret, of
from tests.support.room_play import ANN, BOB, CY, DEEDS, FOLD, Deed, Room, Wild

SAMPLE = Path(poker.__file__).with_name("sample.phhs")


# ---- real hands


@pytest.fixture(scope="module")
def played() -> TopologyDriver:
    """A part of the sample, each hand at a table of its own."""
    room = Room(poker.read_side)
    hands = list(islice(history.read(SAMPLE), 0, None, 12))
    room.fund(hands)
    for hand in hands:
        room.recorded(hand)
    room.check()
    return room.driver


def test_the_documents_of_real_hands_are_what_the_log_says(played: TopologyDriver) -> None:
    assert len(documents(played, PastHands)) == 26
    check(played)


def test_what_was_not_shown_is_in_no_document(played: TopologyDriver) -> None:
    hidden = shown = 0
    for log in logs(played, "hand").values():
        players = {event.player for event in of(log, pb.CardsShown)}
        dealt = {event.player for event in of(log, pb.HoleCardsDealt)}
        hidden, shown = hidden + len(dealt - players), shown + len(players)
    assert hidden > 50
    assert shown > 10
    nothing_secret(played)


def test_hands_can_be_found_by_player_card_and_pot(played: TopologyDriver) -> None:
    found = documents(played, PastHands)
    assert all("Pluribus" in hand["players"] for hand in found.values())
    assert {hand["table"] for hand in found.values()} == set(found)
    with_ace = [name for name, hand in found.items() if "As" in hand["cards"]]
    assert 0 < len(with_ace) < len(found)
    assert max(hand["pot"] for hand in found.values()) > 10_000
    assert {hand["won_with"] for hand in found.values()} >= {"", "One pair", "Full house"}


def test_facts_are_rows_of_numbers_and_texts(played: TopologyDriver) -> None:
    rows = documents(played, HandFacts)
    assert {type(value) for row in rows.values() for value in row.values()} == {int, str}
    assert len({tuple(row) for row in rows.values()}) == 1


# ---- what a document is, event by event


def test_a_card_of_a_player_who_comes_and_goes() -> None:
    room = Room(poker.read_side)
    room.welcome(ANN, 1000)
    room.open()
    room.join(ANN, 400)
    card = documents(room.driver, PlayerCards)[ANN]
    assert (card["balance"], card["tables"], card["reserved"]) == (600, {"t": 400}, {})
    room.tell(ANN, pb.ReserveFunds(key="hotel", amount=50))
    card = documents(room.driver, PlayerCards)[ANN]
    assert (card["balance"], card["tables"], card["reserved"]) == (550, {"t": 400}, {"hotel": 50})
    room.tell("t", pb.LeaveTable(player=ANN))
    card = documents(room.driver, PlayerCards)[ANN]
    assert (card["balance"], card["tables"]) == (950, {})
    assert [movement["kind"] for movement in card["movements"]] == ["deposit", "buy-in", "reservation", "cash-out"]
    check(room.driver)


def test_what_is_released_is_gone_from_where_it_was() -> None:
    """A reservation for a table, whose seat was refused, as well as any other."""
    scenario = harness.given(PlayerCards, pb.FundsReserved(key="t", amount=4, new_balance=6, for_table=True), root=ANN)
    scenario.when(pb.FundsReserved(key="hotel", amount=5, new_balance=1))
    scenario.when(pb.FundsReleased(key="hotel", amount=5, new_balance=6))
    assert (scenario.documents[ANN].tables, scenario.documents[ANN].reserved) == ({"t": 4}, {})
    scenario.when(pb.FundsReleased(key="t", amount=4, new_balance=10))
    assert (scenario.documents[ANN].tables, scenario.documents[ANN].reserved) == ({}, {})
    assert [movement.kind for movement in scenario.documents[ANN].movements][-2:] == ["release", "release"]


def test_a_card_has_no_more_than_the_last_movements() -> None:
    scenario = harness.given(PlayerCards, pb.PlayerRegistered(name="Ann"), root=ANN)
    for number in range(50):
        scenario.when(pb.FundsDeposited(amount=1, new_balance=number + 1))
    movements = scenario.documents[ANN].movements
    assert [movement.balance for movement in movements] == list(range(31, 51))


def test_a_bet_that_the_table_does_not_take_leaves_no_trace_in_hand_and_facts() -> None:
    room = Room(poker.read_side)
    for player in (ANN, BOB, CY):
        room.welcome(player, 1000)
    room.open(max_bet=100)
    for player in (ANN, BOB, CY):
        room.join(player, 500)
    room.start(ANN, BOB, CY)
    room.deal(ANN, BOB, CY)
    room.act(CY, pb.Act.BET_OR_RAISE_TO, 200)
    hand, fact = documents(room.driver, PastHands)["h"], documents(room.driver, HandFacts)["h"]
    assert hand["actions"] == []
    assert (fact["raises"], fact["put_in"], fact["last_action"]) == (0, 0, "")
    room.act(CY, pb.Act.BET_OR_RAISE_TO, 100)
    room.act(ANN, FOLD)
    hand, fact = documents(room.driver, PastHands)["h"], documents(room.driver, HandFacts)["h"]
    assert [(one["player"], one["number"]) for one in hand["actions"]] == [(CY, 2), (ANN, 3)]
    assert (fact["raises"], fact["put_in"], fact["folds"], fact["last_action"]) == (1, 100, 1, "folded")
    check(room.driver)


def test_a_card_shown_alone_is_shown_alone_and_what_is_mucked_stays_hidden() -> None:
    """The other card is known to the aggregate, and to no document."""
    scenario = harness.given(PastHands, pb.HandStarted(posts=[{"player": ANN}, {"player": BOB}]), root="h")
    scenario.when(pb.CardsShown(player=ANN, cards=["Ah", "??"]))
    assert scenario.documents["h"].shown == [projectors.Shown(ANN, ["Ah"])]
    scenario.when(pb.CardsShown(player=ANN, cards=["Ah", "Kd"])).when(pb.BoardDealt(cards=["2c", "??", "3c"]))
    assert scenario.documents["h"].shown == [projectors.Shown(ANN, ["Ah", "Kd"])]
    assert scenario.documents["h"].cards == ["2c", "3c", "Ah", "Kd"]
    for projector in ALL:
        assert "poker.v1.HoleCardsDealt" not in harness.given(projector)._spec.projections
    facts = harness.given(HandFacts, pb.CardsMucked(player=BOB), root="h")
    assert facts.documents["h"].mucks == 1


def test_a_hand_without_stakes_has_no_pot() -> None:
    scenario = harness.given(PastHands, pb.HandAwarded(), root="h")
    assert (scenario.documents["h"].pot, scenario.documents["h"].won_with) == (0, "")


def test_a_leaderboard_ranks_and_counts_both_domains() -> None:
    awarded = pb.HandAwarded(table="t", pots=[{"amount": 30, "shares": [{"player": BOB, "amount": 30}]}])
    elsewhere = pb.HandAwarded(pots=[{"amount": 99, "shares": [{"player": CY, "amount": 99}]}])
    scenario = harness.given(Leaderboard, root="t")
    for player in (ANN, BOB):
        scenario.when(pb.PlayerSeated(player=player, stack=100))
    scenario.when(pb.HandSettled(players=[ANN, BOB], stacks=[80, 120])).when(awarded, root="h")
    scenario.when(elsewhere, root="i").when(pb.PlayerLeft(player=ANN, stack=80), root="t")
    scenario.when(pb.PlayerSeated(player=ANN, stack=10))
    scenario.then_documents(
        {
            "t": projectors.Board(
                standings=[
                    projectors.Standing(BOB, result=20, stack=120, brought=100, hands=1, wins=1),
                    projectors.Standing(ANN, result=-20, stack=10, brought=110, taken=80, hands=1),
                ],
                largest_pot=30,
                largest_pot_hand="h",
            )
        }
    ).in_any_order()


# ---- laws


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(DEEDS), st.sampled_from([ANN, BOB, CY]), st.integers(1, 400)), max_size=40))
def test_whatever_they_do_documents_are_what_the_log_says(deeds: list[tuple[Deed, str, int]]) -> None:
    room = Room(poker.read_side)
    wild = Wild(room)
    for deed, player, amount in deeds:
        deed(wild, player, amount)
    check(room.driver)
    nothing_secret(room.driver)


@pytest.fixture(scope="module")
def wild() -> TopologyDriver:
    """Some hands of three players at one table, bets that it did not take among them."""
    room, chance = Room(poker.read_side), random.Random(7)
    wild = Wild(room)
    for _ in range(150):
        chance.choice(DEEDS)(wild, chance.choice([ANN, BOB, CY]), chance.randrange(1, 400))
    log = [event for events in logs(room.driver, "hand").values() for event in events]
    assert len(of(log, pb.HandAwarded)) > 3
    assert of(log, pb.BetReverted)
    return room.driver


@pytest.mark.parametrize("projector", ALL)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=False))
def test_documents_do_not_depend_on_the_order_of_roots(
    wild: TopologyDriver, projector: type[Projector[Any]], chance: random.Random
) -> None:
    """A rebuild sees roots interleaved in any way, and comes to the documents that were kept event by event."""
    spec = poker.read_side.component(f"{projector.name}-v1")
    assert isinstance(spec, ProjectorSpec)
    found = {
        root: [event for event in log if event.type in spec.projections]
        for domain in sorted(set(spec.sources.values()))
        for root, log in sorted(logs(wild, domain).items())
    }
    order = [root for root, log in found.items() for _ in log]
    chance.shuffle(order)
    left = {root: iter(log) for root, log in found.items()}
    scenario = harness.given(projector)
    for root in order:
        event = next(left[root])
        assert event.data is not None
        scenario.when(event.data, root=root, now=datetime.fromisoformat(event.time))
    assert msgspec.to_builtins(scenario.documents) == documents(wild, projector)
