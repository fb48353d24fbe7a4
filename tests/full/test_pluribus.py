"""The whole collection of real hands, where it is at hand; some seconds, so not among the unit tests."""

import os
from pathlib import Path

import pytest

from tests.support.poker_play import ended

SHARED = Path(os.environ.get("HEADRACE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
ALL = SHARED / "data" / "pluribus.phhs"


@pytest.mark.skipif(not ALL.exists(), reason="data/pluribus.phhs is not in ../shared nor in $HEADRACE_SHARED")
def test_every_hand_of_the_whole_collection_ends_as_it_did() -> None:
    states, differences = ended(ALL)
    assert differences == []
    assert len(states) == 7991
