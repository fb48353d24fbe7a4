"""`headrace connect` where it needs no Connect: what is printed, and what is said of mistakes."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from headrace import Jdbc, Projector, Search, Sinks
from headrace.cli import connect
from headrace.cli.main import app
from headrace.connectors.connect.overview import sink_status
from tests.support import sink_cards
from tests.support.sink_cards import PlayerCards, Seat

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch, in_its_folder: None) -> None:
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.sink_cards:topology")
    monkeypatch.setenv("HEADRACE_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setattr(connect, "_own_worker", str)  # this machine's is no matter here


def failed(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    return result.output


def test_render_prints_all_that_follows_from_the_declarations() -> None:
    output = run(app, ["connect", "render", "--prefix", "shop."]).output
    for text in (
        "# shop.main.player-cards-v1.search",
        '"consumer.override.isolation.level": "read_committed"',
        "# index shop.main.player-cards-v1.documents",
        "CREATE OR REPLACE VIEW HEADRACE.PUBLIC.PLAYER_CARDS_V1 AS",
        "CREATE TABLE IF NOT EXISTS player_cards_v1_rows",
        "# Deletions do not reach the table",
    ):
        assert text in output
    data = json.loads(run(app, ["connect", "render", "--json"]).output)
    assert [one["name"].rpartition(".")[2] for one in data] == ["search", "snowflake", "jdbc", "iceberg"]
    assert data[0]["index"]["body"]["settings"] == {"index": {"gc_deletes": "1h"}}


def test_a_deployment_without_sinks_is_told_where_they_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sink_cards, "sinks")
    output = failed(run(app, ["connect", "render"]), 2)
    assert "tests.support.sink_cards declares no sinks; write sinks = Sinks(…) beside its topology" in output


def test_sinks_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_cards, "sinks", [Search(PlayerCards)])
    output = failed(run(app, ["connect", "render"]), 2)
    assert "sinks of tests.support.sink_cards is a list; write sinks = Sinks(…)" in output


@pytest.mark.parametrize(
    "command", [["worker"], ["monitor"], ["acls"], ["connect", "render"], ["connect", "deploy"]], ids=" ".join
)
def test_an_unknown_projector_is_said_at_start_up(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Ranks(Projector[Seat]):
        name = "ranks"

    monkeypatch.setenv("HEADRACE_CONNECT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(sink_cards, "sinks", Sinks(Search(Ranks)))
    output = failed(run(app, command), 2)
    assert "Search(Ranks): the topology has no ranks-v1; it has: account, player-cards-v1" in output


def test_a_literal_secret_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_cards, "sinks", Sinks(Jdbc(PlayerCards, password="hunter2")))  # noqa: S106
    output = failed(run(app, ["connect", "render"]), 2)
    assert "Jdbc(PlayerCards): connection.password is a secret" in output
    assert "${env:CONNECTION_PASSWORD}" in output
    assert "hunter2" not in output


@pytest.mark.parametrize("command", ["diff", "deploy", "status", "pause", "resume"])
def test_a_connect_that_is_not_named(command: str) -> None:
    output = failed(run(app, ["connect", command]), 3)
    assert "no Kafka Connect named; set HEADRACE_CONNECT_URL or --connect" in output
    assert json.loads(run(app, ["connect", command, "--json"]).output.splitlines()[0])["exit_code"] == 3


@pytest.mark.parametrize(("options", "code"), [(["--connect", "connect:8083"], 2), ([], 3)])
def test_an_address_that_is_none(options: list[str], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CONNECT_URL", "ftp://connect")
    output = failed(run(app, ["connect", "diff", *options]), code)
    assert "the address of Connect must be written http://host:port" in output


def test_a_row_of_status_shows_the_last_cause_of_a_failure() -> None:
    trace = (
        "org.Outer: x\n\tat a.b(C.java:1)\nCaused by: org.Inner: y\n\tat d\nCaused by: org.Root: no such table\n\tat e"
    )
    found: dict[str, Any] = {
        "connector": {"state": "RUNNING"},
        "tasks": [{"id": 0, "state": "RUNNING"}, {"id": 1, "state": "FAILED", "trace": trace}],
    }
    row = sink_status("c", found)
    assert not row.runs
    assert [task.error for task in row.tasks] == ["", "org.Root: no such table"]
    assert sink_status("c", None).state == "MISSING"


def test_rights_of_sinks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_cards, "sinks", Sinks(Search(PlayerCards)))
    rules = json.loads(run(app, ["acls", "--prefix", "shop.", "--format", "json"]).stdout)
    documents = "shop.main.player-cards-v1.documents"
    dead_letters = "shop.main.player-cards-v1-search.sink-dead-letters"
    group = "connect-shop.main.player-cards-v1.search"
    found = [(rule["name"], rule["pattern"], *rule["operations"]) for rule in rules if rule["role"] == "connect"]
    assert found == [
        (documents, "literal", "Read"),
        (dead_letters, "literal", "Write"),
        (group, "literal", "Read", "Delete"),
    ]
    others = {
        (rule["role"], rule["name"], *rule["operations"]) for rule in rules if rule["name"] in (dead_letters, group)
    }
    assert others - {("connect", dead_letters, "Write"), ("connect", group, "Read", "Delete")} == {
        ("operator", dead_letters, "Write"),
        ("operator", group, "Describe"),
        ("ops", group, "Describe"),
    }
