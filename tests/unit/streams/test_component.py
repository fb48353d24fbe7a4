"""What a component does when its store fails while it does anything but process a batch."""

import time
from pathlib import Path
from typing import Any

import pytest

from headrace.streams.observability.alerts import Alerts
from headrace.streams.observability.metrics import Metrics
from headrace.streams.observability.tracing import Tracing
from headrace.streams.runtime.component import Component
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.settings import Settings
from headrace.streams.steps.store import StoreFailed
from tests.support.bank import accounts


@pytest.fixture
def component(tmp_path: Path) -> Any:
    """Of the bank's accounts, at the time of reading what is due."""
    settings = Settings(bootstrap="nowhere:1")
    config = ComponentConfig(accounts.topology, "account", settings, tmp_path, ["main"], 2, 1, {}, 1_000_000)
    made: Any = Component(config, Metrics(), Tracing(""), Alerts(""))
    made._processor.in_doubt = False
    return made


def fail(component: Any, error: StoreFailed) -> None:
    """Let the next look at time-outs end with this."""

    def due() -> None:
        raise error

    component._fire_due = due


def test_a_store_that_is_damaged_is_made_anew_whoever_reads_it(component: Any, tmp_path: Path) -> None:
    repaired: list[StoreFailed] = []
    component._assignment.repair = repaired.append
    error = StoreFailed("it is damaged", str(tmp_path / "0"), damaged=True)
    fail(component, error)
    assert component.poll(0) == []
    assert repaired == [error]
    assert component.failure is None


def test_one_that_cannot_be_repaired_ends_the_worker(component: Any, tmp_path: Path) -> None:
    error = StoreFailed("the disk is full", str(tmp_path / "0"))
    fail(component, error)
    with pytest.raises(StoreFailed):
        component.poll(0)
    assert component.failure is error


def test_it_is_stuck_while_a_record_is_handled_for_longer_than_its_transaction_can_be_open(
    component: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [50.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    component._processor._began = now[0]
    component._processor._suspects.begin({("main.account.commands", 0): (0, 1)})
    now[0] += 29.9
    assert not component.stuck
    now[0] += 0.2
    assert component.stuck
    with component._processor._suspects.waiting():  # for the history of its partition
        assert not component.stuck
    component._processor._suspects.clear()
    assert not component.stuck


def test_what_the_last_process_left_at_work_is_said(
    component: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    component._processor._suspects.begin({("main.account.commands", 1): (7, 8)})
    Component(component._assignment.config, Metrics(), Tracing(""), Alerts(""))
    said = capsys.readouterr().out
    assert "the worker ended while it handled this" in said
    assert "topic=main.account.commands" in said
