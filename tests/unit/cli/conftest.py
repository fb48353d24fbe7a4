"""Each test starts with none of the variables that the command reads."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.testing import TopologyDriver
from tests.support.bank import reactions
from tests.support.bank.messages_pb2 import Deposit
from tests.support.cli_in_memory import furnish


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No HEADRACE_… variables but for the topology."""
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "headrace.examples.poker:topology")


@pytest.fixture
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_STATE_DIR", str(tmp_path))


@pytest.fixture
def driver(in_its_folder: None, monkeypatch: pytest.MonkeyPatch) -> TopologyDriver:
    """Three dead letters: two of the saga, an hour apart, and one of the purse, which keeps a refusal."""
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.bank.reactions:topology")
    monkeypatch.setattr(reactions.Keeper, "broken", True)
    made = furnish(monkeypatch)
    made.send(Deposit(amount=13), "early", correlation_id="trip")
    made.clock.advance(timedelta(hours=1))
    made.send(Deposit(amount=13), "late")
    made.send(Deposit(amount=4), "late")
    made.send(Deposit(amount=71), "kept")
    return made
