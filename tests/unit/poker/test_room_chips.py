"""Whatever is played in the poker room, no chip is lost or made."""

from collections import defaultdict
from itertools import islice
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.examples import poker
from headrace.examples.poker import history
from tests.support.room_play import ANN, BOB, CY, DEEDS, Deed, Room, Wild

SAMPLE = Path(poker.__file__).with_name("sample.phhs")


def test_recorded_hands_through_the_whole_room_end_as_their_file_says() -> None:
    room = Room()
    results: dict[str, int] = defaultdict(int)
    hands = list(islice(history.read(SAMPLE), 0, None, 12))
    brought = room.fund(hands)
    for hand in hands:
        state = room.recorded(hand)
        assert history.differences(hand, state) == []
        for seat, stack in zip(state.seats, hand.starting_stacks, strict=True):
            results[seat.player] += seat.stack - stack
    room.check()
    for player, stack in brought.items():
        assert room.player(player).bankroll == stack + results[player]
    assert sum(results.values()) == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(DEEDS), st.sampled_from([ANN, BOB, CY]), st.integers(1, 400)), max_size=60))
def test_whatever_they_do_no_chip_is_lost_or_made(deeds: list[tuple[Deed, str, int]]) -> None:
    room = Room()
    wild = Wild(room)
    for deed, player, amount in deeds:
        deed(wild, player, amount)
        room.check()
