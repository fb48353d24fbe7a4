"""`headrace demo --what-if`: hands of the poker room branch, in memory and in an edition on real Kafka."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import deadlines

pytestmark = pytest.mark.kafka


def test_hands_end_the_same_in_memory_and_in_an_edition(tmp_path: Path) -> None:
    own = ("HEADRACE_BOOTSTRAP", "HEADRACE_TOPOLOGY", "HEADRACE_PREFIX")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    done = subprocess.run(
        [sys.executable, "-m", "headrace.cli.main", "demo", "--what-if", "--hands", "4", "--json"],
        env=environment | {"HEADRACE_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=deadlines.seconds(200),
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    found = json.loads(done.stdout)
    assert (found["hands"], found["branched"], found["same_in_both"]) == (4, 4, 4)
    assert (found["main_unchanged"], found["editions_left"], found["mismatched"]) == (True, 0, [])
