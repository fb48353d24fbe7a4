"""`headrace dead-letters` in memory: what is meant, what is shown, what is done, and what is wrong with a call."""

import json

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.streams.admin import dead_letters
from headrace.testing import TopologyDriver
from tests.support.bank import reactions
from tests.support.cli_in_memory import furnish


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dead-letters", *arguments])


def listed(*arguments: str) -> list[str]:
    """Roots of the dead letters that a list shows."""
    return [json.loads(line).get("root", "") for line in run("list", *arguments, "--json").stdout.splitlines()]


# ---- which are meant


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("arguments", "roots"),
    [
        ([], ["early", "late", "kept"]),
        (["--component", "keeper"], ["early", "late"]),
        (["--component", "purse"], ["kept"]),
        (["--component", "purse", "--component", "keeper"], ["early", "late", "kept"]),
        (["--root", "late"], ["late"]),
        (["--class", "Uncompensated"], ["kept"]),
        (["--class", "ZeroDivisionError", "--root", "early"], ["early"]),
        (["--since", "2026-01-01T01:00:00Z"], ["late", "kept"]),
        (["--since", "2026-01-01T02:00:00+01:00", "--component", "keeper"], ["late"]),
        (["--until", "2026-01-01T00:00:00Z"], ["early"]),
        (["--since", "2026-01-01T00:00:00.001Z", "--until", "2026-01-01T00:59:59Z"], [""]),
    ],
)
def test_filters(arguments: list[str], roots: list[str]) -> None:
    found = listed(*arguments)
    assert sorted(found) == sorted(roots)
    assert found[:1] == roots[:1]


def test_a_list_as_text(driver: TopologyDriver) -> None:
    first, reason = run("list", "--component", "keeper", "--root", "early").stdout.splitlines()
    (event,) = [r for r in driver.records("main.purse.events") if r.key == b"early|00000000000000000000"]
    dead_letter_id = f"main.purse.events/{event.partition}/{event.offset}"
    assert first == f"2026-01-01T00:00:00.000Z  {dead_letter_id}  saga:keeper  early"
    assert reason == "    bank.v1.Deposited: ZeroDivisionError: thirteen  (attempt 1)"
    assert run("discard", dead_letter_id).stdout == f"{dead_letter_id}  discarded\n"
    assert run("list", "--component", "keeper", "--root", "early").exit_code == 1
    assert run("list", "--all", "--root", "early").stdout.splitlines()[0].endswith("early  [discarded]")


def test_one_is_shown_whole(driver: TopologyDriver) -> None:
    (line,) = run("list", "--root", "early", "--json").stdout.splitlines()
    dead_letter_id = json.loads(line)["id"]
    shown = json.loads(run("show", dead_letter_id, "--json").stdout)
    assert (shown["headers"]["ce_correlationid"], shown["correlation_id"]) == ("trip", "trip")
    assert bytes.fromhex(shown["value_hex"]) == driver.records("main.purse.events")[0].value
    text = run("show", dead_letter_id).stdout
    assert "error_class: ZeroDivisionError\n" in text
    assert 'raise ZeroDivisionError("thirteen")' in text
    assert run("show", dead_letter_id, "--component", "keeper").exit_code == 0
    assert run("show", dead_letter_id, "--component", "purse").exit_code == 1
    missing = run("show", "main.purse.events/9/9")
    assert (missing.exit_code, "there is no dead letter main.purse.events/9/9" in missing.stderr) == (1, True)


# ---- settling


def test_a_replay_goes_through_those_behind_it(driver: TopologyDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    dry = run("replay", "--root", "late", "--dry-run")
    assert dry.stdout.endswith("  would be sent again\n")
    assert driver.records("main.keeper.inbox") == []
    again = run("replay", "--root", "late")
    assert again.exit_code == 0
    (line,) = run("list", "--root", "late", "--json").stdout.splitlines()
    assert json.loads(line)["attempts"] == 2, "it failed again, and lies there again"
    monkeypatch.setattr(reactions.Keeper, "broken", False)
    assert run("replay", "--root", "late").exit_code == 0
    assert [event.note for event in driver.messages("late", "book")] == ["0", "1"]
    nothing = run("replay", "--root", "late")
    assert (nothing.exit_code, "no open dead letter is meant" in nothing.stderr) == (1, True)


def test_a_letter_that_fails_in_another_way_is_still_one(
    driver: TopologyDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent again while the compensation still says that it is to be kept: a new dead letter for the new input."""
    assert run("replay", "--component", "purse").exit_code == 0
    states = [json.loads(line) for line in run("list", "--all", "--component", "purse", "--json").stdout.splitlines()]
    assert sorted((s["settled"], s["attempts"]) for s in states) == [("", 2), ("replayed", 1)]


def test_all_can_be_given_up(driver: TopologyDriver) -> None:
    done = run("discard", "--since", "2026-01-01T00:00:00Z", "--json")
    assert [json.loads(line)["done"] for line in done.stdout.splitlines()] == ["discarded"] * 3
    assert run("list").exit_code == 1
    assert [event.note for event in driver.messages("late", "book")] == ["1"]


@pytest.mark.parametrize("key", [b"p", None])
def test_what_is_no_command_at_all_can_be_settled(key: bytes | None, driver: TopologyDriver) -> None:
    driver.produce("main.purse.commands", key, b"junk", [("x", b"y")])
    closed, kept = run("list", "--class", "RecordError", "--json"), run("list", "--json").stdout.splitlines()
    (dead_letter,) = [json.loads(line) for line in closed.stdout.splitlines()]
    assert run("replay", dead_letter["id"]).exit_code == 0
    (again,) = [json.loads(line) for line in run("list", "--class", "RecordError", "--json").stdout.splitlines()]
    assert (again["attempts"], again["id"] != dead_letter["id"]) == (2, True)
    assert run("discard", again["id"]).exit_code == 0
    assert run("list", "--class", "RecordError").exit_code == 1
    assert len(run("list", "--json").stdout.splitlines()) == len(kept) - 1


def test_what_is_no_event_at_all_can_be_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process manager's feed, and its inbox, keep what somebody put there who should not."""
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.bank.reactions:timed")
    made = furnish(monkeypatch, reactions.timed)
    made.produce("main.purse.events", b"x", b"junk", [("ce_type", b"bank.v1.Deposited")])
    made.produce("main.warden.inbox", b"x", b"junk", [("ce_type", b"bank.v1.Deposited")])
    assert [line.split('"component": "')[1][:8] for line in run("list", "--json").stdout.splitlines()] == [
        "feed:war",
        "process:",
    ]
    refused = run("replay", "--component", "warden-feed")
    assert (refused.exit_code, "a feed keeps nothing to replay" in refused.stderr) == (4, True)
    assert run("discard", "--class", "RecordError").exit_code == 0
    assert run("list").exit_code == 1
    assert len(run("list", "--all", "--json").stdout.splitlines()) == 2


# ---- what is wrong


@pytest.mark.parametrize("command", ["list", "replay", "discard"])
@pytest.mark.parametrize("option", ["--since", "--until"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yesterday", "Invalid isoformat string: 'yesterday'"),
        ("2026-13-01T00:00:00Z", "month must be in 1..12"),
        ("2026-01-01T00:00:00", "'2026-01-01T00:00:00' names no time zone; write 2026-01-31T12:00:00Z"),
        ("2026-01-01", "names no time zone"),
        ("noon", "Invalid isoformat string"),
    ],
)
def test_bad_times_are_exit_2(command: str, option: str, text: str, said: str) -> None:
    result = run(command, option, text, "--bootstrap", "127.0.0.1:1")
    assert result.exit_code == 2
    assert f"headrace: {option}: " in result.stderr
    assert said in result.stderr


@pytest.mark.parametrize("command", ["replay", "discard"])
@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--json"]])
def test_settling_needs_to_be_told_which(command: str, more: list[str]) -> None:
    result = run(command, *more, "--bootstrap", "127.0.0.1:1")
    assert result.exit_code == 2
    assert "say which: ids, --component, --root, --class, --since or --until" in result.stderr


@pytest.mark.parametrize("arguments", [["show"], ["list", "one"], ["replay", "--class"], ["nonsense"], ["list", "-x"]])
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_an_unknown_component_is_exit_2(driver: TopologyDriver) -> None:
    result = run("list", "--component", "purse", "--component", "casino", "--json")
    assert result.exit_code == 2
    assert "unknown domain 'casino'; this topology has: purse, book, keeper" in result.stderr
    assert json.loads(result.stdout)["exit_code"] == 2


def test_no_letters_is_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.bank.reactions:topology")
    furnish(monkeypatch)
    result = run("list")
    assert (result.exit_code, result.stderr) == (1, "headrace: no dead letters\n")


def test_brokers_that_do_not_take_it_leave_it_open(driver: TopologyDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf:
        def __init__(self, config: dict[str, str]) -> None:
            return None

        def produce(self, *arguments: object, **named: object) -> None:
            return None

        def flush(self, timeout: float) -> int:
            return 1

        def purge(self) -> None:
            return None

    with monkeypatch.context() as patched:
        patched.setattr(dead_letters, "Producer", Deaf)
        result = run("replay", "--root", "early")
    assert result.exit_code == 4
    assert "was not sent: the brokers do not answer" in result.stderr
    assert "Traceback" not in result.stderr
    assert listed("--root", "early") == ["early"]
