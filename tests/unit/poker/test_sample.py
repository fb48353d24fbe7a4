"""The bundled hands, played again through the handlers alone: each ends with the stacks that its file gives."""

from pathlib import Path

from headrace.examples import poker
from tests.support.poker_play import ended

SAMPLE = Path(poker.__file__).with_name("sample.phhs")


def test_every_hand_of_the_sample_ends_as_it_did_and_all_kinds_are_there() -> None:
    states, differences = ended(SAMPLE)
    assert differences == []
    assert len(states) == 312
    shows = [sum(bool(seat.shown) for seat in state.seats) for state in states]
    assert shows.count(0) >= 100
    assert sum(count >= 3 for count in shows) == 6
    assert sum(any(len(pot.shares) > 1 for pot in state.pots) for state in states) == 66
    assert sum(any(not seat.stack for seat in state.seats) for state in states) >= 80
    assert sum(state.units_per_chip > 1 for state in states) == 8
