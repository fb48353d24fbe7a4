"""The demo's own fold of the log, against projectors; and what is said of documents that differ from it."""

from itertools import islice
from pathlib import Path

import pytest

from headrace.examples import poker
from headrace.examples.poker import history
from headrace.examples.poker.demo.folds import Logs, Told, expected, unlike
from headrace.examples.poker.demo.read_side import Compared
from headrace.testing import TopologyDriver
from tests.support.poker_documents import ALL, documents, logs
from tests.support.room_play import ANN, BOB, CY, FOLD, Room

SAMPLE = Path(poker.__file__).with_name("sample.phhs")


def told(driver: TopologyDriver) -> Logs:
    """The events as the demo reads them."""
    return {
        domain: {root: [Told(event.data, event.time) for event in log] for root, log in logs(driver, domain).items()}
        for domain in ("player", "hand", "table")
    }


def check(driver: TopologyDriver) -> None:
    wanted = expected(told(driver))
    assert {projector.name for projector in ALL} == set(wanted)
    for projector in ALL:
        assert documents(driver, projector) == wanted[projector.name]


def test_real_hands() -> None:
    room = Room(poker.read_side)
    hands = list(islice(history.read(SAMPLE), 5, None, 40))
    room.fund(hands)
    for hand in hands:
        room.recorded(hand)
    assert len(documents(room.driver, ALL[0])) > 5
    check(room.driver)


def test_a_hand_in_play_and_a_seat_that_was_not_paid() -> None:
    room = Room(poker.read_side)
    for player in (ANN, BOB, CY):
        room.welcome(player, 500)
    room.open()
    for player in (ANN, BOB):
        room.join(player, 100)
    room.join(CY, 501)  # more than there is
    room.start(ANN, BOB)
    room.deal(ANN, BOB)
    check(room.driver)
    room.act(ANN, FOLD)
    room.award()
    check(room.driver)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"a": {"pot": 7, "board": "Ah"}}, ""),
        ({"a": {"pot": 8, "board": "Ah"}}, "search: a: pot is 8, and the log gives 7"),
        ({"a": {"pot": 7}}, "search: a: board is None, and the log gives 'Ah'"),
        ({"a": {"pot": 7, "board": "Ah", "more": 1}}, "search: a: more is 1, and the log gives None"),
        ({}, "search: a: is missing"),
        ({"a": {"pot": 7, "board": "Ah"}, "b": {}}, "search: b: is there, and no event is of it"),
    ],
)
def test_each_document_that_differs_is_named(found: dict[str, dict[str, object]], why: str) -> None:
    compared = Compared()
    matched = compared.take("search", found, {"a": {"pot": 7, "board": "Ah"}})
    assert compared.mismatched == ([why] if why else [])
    assert matched == (1 if not why or "b" in found else 0)


def test_nothing_differs_from_nothing() -> None:
    assert unlike(None, None) == ""
