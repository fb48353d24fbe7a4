"""`headrace check`: what it says of a topology, and how it shows what was found on a log."""

import json

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.streams.admin import log_check
from headrace.streams.steps.fold_check import Difference, FoldCheck, Unreadable
from tests.support.purse import today


@pytest.fixture(autouse=True)
def deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.purse:today")
    monkeypatch.setenv("HEADRACE_BOOTSTRAP", "nowhere:1")


def run(*arguments: str, code: int) -> str:
    result = CliRunner().invoke(app, ["check", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def found(monkeypatch: pytest.MonkeyPatch, differences: list[Difference], unreadable: list[Unreadable]) -> None:
    check = FoldCheck(today.component("purse"))
    check.events, check.compared, check.outdated = 9, 3, 1
    check.differences, check.unreadable = differences, unreadable
    monkeypatch.setattr(log_check, "check_log", lambda settings, topology, components: {"purse": check})


STALE = Difference("anna", 4, ("coins", "spent"), in_use=True)
ANEW = Difference("bert\x1b[31m", 2, ("coins",), in_use=False)


def test_a_topology_alone() -> None:
    assert run(code=0) == "8 components are right\n"
    assert json.loads(run("--json", code=0))["components"][0] == "purse"
    assert "--changes-meant is for --against-log" in run("--changes-meant", code=2)


def test_a_snapshot_that_would_be_used_is_an_error_whatever_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, [STALE], [])
    for option in ((), ("--changes-meant",)):
        first, last = run("--against-log", *option, code=1).splitlines()
        assert first == (
            "purse anna: coins, spent differs from the snapshot of event 4, which would be used; increase "
            "Snapshots(version=…)"
        )
        assert last.endswith(
            "9 events; 0 cannot be read, 1 of 3 states differ from their snapshots; 1 of them will be folded anew"
        )


def test_a_change_may_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, [ANEW], [])
    assert "purse bert\\x1b[31m: coins differs from the snapshot of event 2, and will be folded anew" in run(
        "--against-log", code=1
    )
    run("--against-log", "--changes-meant", code=0)


def test_an_event_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, [], [Unreadable("anna", "UpcastFailed: why")])
    assert "purse anna: UpcastFailed: why" in run("--against-log", "--changes-meant", code=1)
    row = json.loads(run("--against-log", "--json", code=1))
    assert (row["component"], row["unreadable"]) == ("purse", [{"root": "anna", "reason": "UpcastFailed: why"}])


def test_an_edition_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_EDITION", "trial")
    assert "edition trial begins in the history of its parent; check main instead" in run("--against-log", code=2)
