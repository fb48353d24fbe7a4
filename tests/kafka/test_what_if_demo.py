"""`headrace demo --what-if`: hands of the poker room branch, in memory and in an edition on real Kafka."""

from pathlib import Path

import pytest

from tests.support.demo import demo

pytestmark = pytest.mark.kafka


def test_hands_end_the_same_in_memory_and_in_an_edition(tmp_path: Path) -> None:
    code, found, errors = demo(tmp_path, "--what-if", "--hands", "4", seconds=200)
    assert code == 0, (found, errors)
    assert (found["hands"], found["branched"], found["same_in_both"]) == (4, 4, 4)
    assert (found["main_unchanged"], found["editions_left"], found["mismatched"]) == (True, 0, [])
