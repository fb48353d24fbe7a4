"""Dead letters of sinks in memory: in one list with the others, over HTTP too, and never settled by a document."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.schemas.headers import ID, SOURCE, SPECVERSION, TYPE
from headrace.schemas.record import Record
from headrace.streams.admin import sink_dead_letters
from headrace.streams.admin.sink_dead_letters import dead_letter
from headrace.testing import TopologyDriver
from headrace.topology.names import Names, SinkName
from tests.support import sink_cards
from tests.support.cli_in_memory import furnish
from tests.support.dead_letters_pages import ask

SEARCH = "player-cards-v1.search"
TOPIC = "main.player-cards-v1-search.sink-dead-letters"
WHERE = {"topic": "main.player-cards-v1.documents", "partition": "2", "offset": "17"}
WHY = {
    "exception.class.name": "org.apache.kafka.connect.errors.DataException",
    "exception.message": "failed to parse field [chips]",
    "exception.stacktrace": "org.apache…\n\tat dev.headrace…",
}
DOCUMENT = {SPECVERSION: b"1.0", ID: b"1", SOURCE: b"/main/player-cards-v1", TYPE: b"Card"}


def headers(**more: str) -> dict[str, bytes]:
    """Those of a document that Connect has set aside."""
    found = WHERE | WHY | {name.replace("_", "."): value for name, value in more.items()}
    return DOCUMENT | {f"__connect.errors.{name}": value.encode() for name, value in found.items()}


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> TopologyDriver:
    """A deployment with a search sink that has set one document aside, and a component with a dead letter."""
    made = furnish(monkeypatch, sink_cards.topology)
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.sink_cards:topology")
    monkeypatch.setattr(sink_dead_letters, "sinks", lambda *_: [SEARCH])
    made._runtime.write(TOPIC, b'{"chips": "many"}', b"mike", 0, list(headers().items()))
    made.produce("main.account.commands", b"x", b"junk", [(TYPE, b"bank.v1.Nothing")])
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dead-letters", *arguments])


def listed(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("list", *arguments, "--json").stdout.splitlines()]


def test_they_are_in_one_list_with_the_others(driver: TopologyDriver) -> None:
    assert {data["component"] for data in listed()} == {"aggregate:account", f"sink:{SEARCH}"}
    (one,) = listed("--component", SEARCH)
    assert one | {"last_failed": "", "first_failed": ""} == {
        "id": "main.player-cards-v1.documents/2/17",
        "component": f"sink:{SEARCH}",
        "root": "mike",
        "type": "Card",
        "error_class": "DataException",
        "error": "failed to parse field [chips]",
        "attempts": 1,
        "first_failed": "",
        "last_failed": "",
        "correlation_id": "",
        "settled": "",
    }
    assert listed("--component", f"main.{SEARCH}") == [one], "the connector's full name does as well"
    assert listed("--class", "DataException") == [one]
    pages = ask("GET", "", params={"component": SEARCH}, topology=sink_cards.topology)
    assert pages.data == [one]
    shown = ask("GET", "/show", params={"id": one["id"]}, topology=sink_cards.topology).data
    assert bytes.fromhex(shown["value_hex"]) == b'{"chips": "many"}'
    assert shown["headers"] == {name: value.decode() for name, value in DOCUMENT.items()}


def test_an_unknown_sink_is_named_with_the_known_ones(driver: TopologyDriver) -> None:
    result = run("list", "--component", "player-cards-v2.search")
    assert result.exit_code == 2
    assert f"no sink 'player-cards-v2.search' has a topic for dead letters; those that have one: {SEARCH}" in (
        result.stderr
    )
    assert ask("GET", "", params={"component": "x-v1.search"}, topology=sink_cards.topology).status == 400


def test_one_that_is_discarded_is_settled_until_its_document_is_refused_again(driver: TopologyDriver) -> None:
    (one,) = listed("--component", SEARCH)
    assert run("discard", one["id"]).stdout == f"{one['id']}  discarded\n"
    assert run("list", "--component", SEARCH).exit_code == 1
    assert [data["settled"] for data in listed("--component", SEARCH, "--all")] == ["discarded"]
    driver._runtime.write(TOPIC, b'{"chips": "many"}', b"mike", 0, list(headers().items()))
    assert [data["settled"] for data in listed("--component", SEARCH)] == [""]


def test_a_worker_cannot_replay_them_and_says_who_can(driver: TopologyDriver) -> None:
    refused = ask("POST", "/replay", json={"component": SEARCH}, topology=sink_cards.topology)
    assert refused.status == 409
    assert "`headrace dead-letters replay` can send the document again" in refused.data["error"]
    assert len(listed("--component", SEARCH)) == 1
    done = ask("POST", "/discard", json={"component": SEARCH}, topology=sink_cards.topology)
    assert [each["done"] for each in done.data] == ["discarded"]


def test_no_document_settles_another_one(driver: TopologyDriver) -> None:
    (one,) = listed("--component", SEARCH)
    value, _ = sink_dead_letters.settled(one["id"], "discarded")
    forged = headers(offset="18") | {TYPE: b"headrace.v1.Settled"}
    driver._runtime.write(TOPIC, value, b"eve", 0, list(forged.items()))
    assert [data["root"] for data in listed("--component", SEARCH)] == ["mike", "eve"]


@pytest.mark.parametrize("broken", [{"partition": "-1"}, {"offset": "²"}, {"topic": ""}, {"offset": "x"}])
def test_a_record_without_a_place_has_its_own(broken: dict[str, str]) -> None:
    found = dead_letter(SEARCH, Record(TOPIC, 0, 5, 1, None, None, headers(**broken)))
    assert found is not None
    assert (found.topic, found.partition, found.offset) == (TOPIC, 0, 5)
    assert (found.key_missing, found.value_missing) == (True, True)


def test_names_of_sinks() -> None:
    names = Names("shop.")
    sink = SinkName("player-cards-v1-x-v2", "search")
    assert sink.topic(names, "main") == "shop.main.player-cards-v1-x-v2-search.sink-dead-letters"
    assert SinkName.of_topic(names, "main", sink.topic(names, "main")) == sink
    assert SinkName.of_topic(names, "other", sink.topic(names, "main")) is None
    assert SinkName.of_topic(names, "main", "shop.main.player-cards-v1.documents") is None
    assert SinkName.parse(str(sink)) == sink
    assert [SinkName.parse(text) for text in ("player-cards-v1", "player-cards.search", "a-v1.b.c", "")] == [None] * 4
