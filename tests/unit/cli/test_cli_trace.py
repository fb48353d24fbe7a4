"""`headrace trace` in memory: every record of a correlation hangs below what caused it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from tests.support.bank import reactions
from tests.support.bank.messages_pb2 import Deposit
from tests.support.cli_in_memory import furnish


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["trace", *arguments])


def tree(correlation: str) -> list[Any]:
    """Kinds, domains and types, nested; what is below one in alphabetical order, since all happens at once here."""

    def shape(node: dict[str, Any]) -> Any:
        short = f"{node['kind']} {node['domain']} {node['type'].rpartition('.')[2]}"
        return (short, *sorted(shape(child) for child in node["children"]))

    return [shape(node) for node in json.loads(run(correlation, "--json").stdout)]


def test_a_process_with_a_time_out_and_a_refusal_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.bank.reactions:timed")
    driver = furnish(monkeypatch, reactions.timed)
    driver.execute(Deposit(amount=5), "p", correlation_id="trip")
    driver.clock.advance(timedelta(seconds=2))
    assert tree("trip") == [
        ("command purse Deposit", ("event purse Deposited", ("event warden Opened",))),
        (
            "time-out warden Withdraw",
            ("command book Touch", ("rejection warden Rejection", ("event warden Stashed",))),
            ("event warden Stashed",),
        ),
    ]
    line = next(line for line in run("trip").stdout.splitlines() if line.startswith("time-out"))
    assert line == "time-out warden trip: bank.v1.Withdraw  +1500 ms"


def test_states_that_a_process_asks_for_hang_below_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.bank.reactions:timed")
    driver = furnish(monkeypatch, reactions.timed)
    driver.execute(Deposit(amount=1), "treasury")
    driver.execute(Deposit(amount=100), "p", correlation_id="trip")
    written = [("event warden Stashed",)] * 3
    asked = [("command book Query",), ("command purse Query",)]
    assert tree("trip") == [("command purse Deposit", ("event purse Deposited", *asked, *written))]


def test_a_refusal_that_a_process_passes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies in the inbox and, left to the purse, with the purse's rejections; the purse compensates the second."""
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.bank.reactions:timed")
    driver = furnish(monkeypatch, reactions.timed)
    driver.execute(Deposit(amount=7), "p", correlation_id="trip")
    passed = ("rejection purse Rejection", ("event purse Withdrawn",)), ("rejection warden Rejection",)
    assert tree("trip") == [("command purse Deposit", ("event purse Deposited", ("command book Annotate", *passed)))]


def test_a_dead_event_of_a_process_hangs_below_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.bank.reactions:timed")
    driver = furnish(monkeypatch, reactions.timed)
    driver.execute(
        Deposit(amount=100), "p", correlation_id="trip"
    )  # the treasury has no state, and its balance is asked
    found = tree("trip")
    assert found[0][1][-1] == ("dead letter warden DeadLetter",)


def test_a_dead_letter_settled_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.bank.reactions:topology")
    monkeypatch.setattr(reactions.Keeper, "broken", True)
    driver = furnish(monkeypatch)
    driver.execute(Deposit(amount=13), "p", correlation_id="trip")
    monkeypatch.setattr(reactions.Keeper, "broken", False)
    assert CliRunner().invoke(app, ["dead-letters", "replay", "--root", "p"]).exit_code == 0
    dead = ("dead letter keeper DeadLetter",)
    assert tree("trip") == [
        ("command purse Deposit", ("event purse Deposited", ("command book Annotate", ("event book Annotated",)), dead))
    ]
    assert "(replayed; saga:keeper: ZeroDivisionError: thirteen)" in run("trip").stdout


def test_nothing_is_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.bank.reactions:topology")
    furnish(monkeypatch)
    result = run("nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "headrace: no record has the correlation id nobody\n"


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["a", "--dot"]])
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2
