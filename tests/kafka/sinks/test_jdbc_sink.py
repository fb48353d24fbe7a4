"""Documents in a real Postgres by Debezium's sink: the table is what the log says."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace import Jdbc, Names
from headrace.embedded import EmbeddedConnect
from tests.support import sink_cards
from tests.support.connect_cli import SinksDeployment
from tests.support.deployment import until
from tests.support.postgres import Postgres, jdbc_plugin
from tests.support.sink_cards import PlayerCards

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture(scope="module")
def connect(bootstrap: str) -> Iterator[EmbeddedConnect]:
    """A worker with Debezium's plug-in."""
    with EmbeddedConnect(bootstrap, [jdbc_plugin()], group=f"connect-{uuid.uuid4().hex[:8]}") as running:
        yield running


@pytest.fixture
def sinks(
    bootstrap: str, postgres: Postgres, connect: EmbeddedConnect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SinksDeployment]:
    made = SinksDeployment(monkeypatch, bootstrap, connect, tmp_path)
    password = made.secret("password", postgres.password)
    table = f"cards_{uuid.uuid4().hex[:8]}"
    made.declare(Jdbc(PlayerCards, url=postgres.jdbc_url, user=postgres.user, password=password, table=table))
    made.run("deploy")
    yield made
    made.clean()


def table_of(sinks: SinksDeployment) -> str:
    return sinks.client().configs()[sinks.connector("jdbc").name]["collection.name.format"]


def rows(sinks: SinksDeployment, postgres: Postgres) -> dict[str, Any]:
    found = postgres.query(f"SELECT * FROM {table_of(sinks)} WHERE document IS NOT NULL")
    return {row["id"]: json.loads(row["document"]) for row in found}


def check(sinks: SinksDeployment, postgres: Postgres) -> None:
    """The table is as the log says, once the sink has caught up."""
    sinks.await_caught_up()
    assert rows(sinks, postgres) == {id: document for id, (_, document) in sinks.documents.expected().items()}


def card(name: str, **fields: Any) -> dict[str, Any]:
    whole = {"chips": 2**70, "ratio": 0.5, "active": True, "worth": "1.50", "born": "2001-02-03"}
    rest = {"joined": "2026-01-01T00:00:00Z", "style": "loose", "home": {"table": "t", "number": 1}, "seats": []}
    return {"name": name, **whole, **rest, "tags": ["a", "b"], "notes": {"deep": [1, {"er": None}]}, **fields}


def test_documents_come_change_and_go_and_aborted_ones_never_appear(sinks: SinksDeployment, postgres: Postgres) -> None:
    documents = sinks.documents
    documents.write({f"p{number}": card(f"player {number}") for number in range(500)})
    documents.write({"ghost": card("aborted"), "p1": None}, abort=True)
    check(sinks, postgres)
    documents.write({f"p{number}": card("changed", chips=number) for number in range(0, 500, 2)})
    documents.write({f"p{number}": None for number in range(0, 500, 3)})
    documents.write({"p3": card("back"), "zoë|\"\\'; --": card("Zoë 🂡")})
    check(sinks, postgres)
    assert sinks.status()[0]["dead_letters"] == 0


def test_a_reset_leaves_no_row_whose_deletion_is_forgotten(sinks: SinksDeployment, postgres: Postgres) -> None:
    sinks.documents.write({"p": card("player"), "q": card("another")})
    check(sinks, postgres)
    # of a document that was deleted so long ago that its topic knows nothing of it any more
    postgres.execute(f"INSERT INTO {table_of(sinks)} VALUES ('ghost', '{{}}')")
    before = sinks.documents.committed(sinks.connector("jdbc").name)
    refusal = sinks.run("reset", "player-cards-v1.jdbc", code=2)
    for step in ("connect pause", f"TRUNCATE {table_of(sinks)}", "--emptied"):
        assert step in refusal
    assert sinks.documents.committed(sinks.connector("jdbc").name) == before
    assert sinks.status()[0]["runs"]
    sinks.run("pause", "player-cards-v1.jdbc")
    postgres.execute(f"TRUNCATE {table_of(sinks)}")
    sinks.run("reset", "player-cards-v1.jdbc", "--emptied")
    check(sinks, postgres)


def test_what_is_written_again_over_newer_rows_changes_nothing(sinks: SinksDeployment, postgres: Postgres) -> None:
    documents = sinks.documents
    for chips in range(3):
        documents.write({f"p{number}": card("player", chips=chips) for number in range(100)})
    documents.write({"p1": None})
    check(sinks, postgres)
    sinks.connector("jdbc").replay()
    until(lambda: sum(documents.committed(sinks.connector("jdbc").name).values()) > 0, "it began anew")
    check(sinks, postgres)


def test_the_rendered_statements_give_a_column_for_each_field(sinks: SinksDeployment, postgres: Postgres) -> None:
    for statement in json.loads(sinks.run("render", "--json"))[0]["sql"]:
        postgres.execute(statement)
    sinks.documents.write({"p": card("player"), "empty": {}, "gone": card("gone")})
    sinks.documents.write({"gone": None})
    sinks.documents.write({"q": card("a\0b", chips="many", active="no")})
    check(sinks, postgres)
    empty, whole, strange = postgres.query(f"SELECT * FROM {table_of(sinks)}_now ORDER BY id")
    assert whole == {
        "id": "p",
        "name": "player",
        "chips": 2**70,
        "ratio": 0.5,
        "active": True,
        "worth": "1.50",
        "born": "2001-02-03",
        "joined": whole["joined"],
        "style": "loose",
        "home": {"table": "t", "number": 1},
        "seats": [],
        "tags": ["a", "b"],
        "notes": {"deep": [1, {"er": None}]},
    }
    assert whole["joined"].startswith(("2026-01-01", "2025-12-31"))
    assert empty == {"id": "empty", **dict.fromkeys(name for name in whole if name != "id")}
    assert (strange["name"], strange["chips"], strange["active"]) == ("a\ufffdb", None, None)
    (rendered,) = sink_cards.sinks.render(Names(sinks.prefix), "main")
    for statement in rendered.serving * 2:  # when a version is to serve, and again
        postgres.execute(statement)
    assert len(postgres.query("SELECT * FROM player_cards")) == 3
    assert postgres.query(f"SELECT name FROM {table_of(sinks)}_now WHERE chips > 1000") == [{"name": "player"}]


def test_a_database_that_is_away_loses_nothing(sinks: SinksDeployment, postgres: Postgres) -> None:
    sinks.documents.write({"p": card("before")})
    check(sinks, postgres)
    postgres.stop()
    sinks.documents.write({"p": card("after"), "q": card("after")})
    until(lambda: not sinks.status()[0]["runs"] or sinks.status()[0]["lag"], "it was noticed")
    postgres.start()

    def runs() -> bool:
        sinks.run("resume")
        return bool(sinks.status()[0]["runs"])

    until(runs, "it worked again", 60)
    check(sinks, postgres)
