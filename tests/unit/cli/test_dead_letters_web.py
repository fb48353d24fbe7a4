"""Dead letters over HTTP in memory: what the pages answer, and what they refuse."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from headrace.schemas.headrace_v1_pb2 import DeadLetter
from headrace.streams.admin import dead_letters
from headrace.streams.admin.dead_letters_http import BODY
from headrace.testing import TopologyDriver
from tests.support.bank import reactions
from tests.support.cli_in_memory import furnish
from tests.support.dead_letters_pages import ALL, ask, command, replay, roots, served
from tests.support.pages import ROOT, blocks

pytestmark = pytest.mark.usefixtures("in_its_folder")


# ---- what is meant, and the answers


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["early", "late", "kept"]),
        ({"component": "keeper"}, ["early", "late"]),
        ([("component", "purse"), ("component", "keeper"), ("component", "keeper")], ["early", "late", "kept"]),
        ({"root": "late"}, ["late"]),
        ({"class": "Uncompensated"}, ["kept"]),
        ({"since": "2026-01-01T02:00:00+01:00", "component": "keeper"}, ["late"]),
        ({"since": "2026-01-01T01:00:00Z"}, ["late", "kept"]),
        ({"until": "2026-01-01T00:00:00Z", "all": "false"}, ["early"]),
        ({"until": "9999-12-31T23:59:59-14:00", "since": "0001-01-01T00:00:00+14:00"}, ["early", "late", "kept"]),
    ],
)
def test_a_list_has_those_that_are_meant(query: Any, found: list[str]) -> None:
    answer = ask("GET", "", params=query)
    assert answer.status == 200
    assert sorted(dead_letter["root"] for dead_letter in answer.data) == sorted(found)
    assert answer.data[0]["root"] == found[0], "the oldest comes first"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.usefixtures("driver")
def test_answers_are_what_the_command_prints() -> None:
    listed = ask("GET", "").data
    assert listed == command("list")
    one = listed[0]["id"]
    assert [ask("GET", "/show", params={"id": one}).data] == command("show", one)
    assert replay({"ids": [one], "dry_run": True}).data == command("replay", one, "--dry-run")
    discarded = ask("POST", "/discard", json={"ids": [one]})
    assert (discarded.status, discarded.data) == (200, [{"id": one, "done": "discarded"}])
    assert [(each["root"], each["settled"]) for each in ask("GET", "", params={"all": "true"}).data][:1] == [
        ("early", "discarded")
    ]
    assert roots() == [dead_letter["root"] for dead_letter in listed[1:]]


def test_one_is_shown_whole_by_an_id_of_any_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The id of a time-out holds its root."""
    furnish(monkeypatch)
    strange = "/../a b/?&%2F#ü|1"
    dead_letter = dead_letters.ListedDeadLetter(
        strange, "keeper", DeadLetter(component="saga:keeper", detail="because")
    )
    monkeypatch.setattr(dead_letters, "_dead_letters", lambda *_: {strange: dead_letter})
    answer = ask("GET", "/show", params={"id": strange, "component": "keeper"})
    assert (answer.status, answer.data["id"], answer.data["detail"]) == (200, strange, "because")


def test_a_replay_goes_through_those_behind_it_once(driver: TopologyDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    dry = replay({"root": "late", "dry_run": True})
    assert [done["done"] for done in dry.data] == ["would be sent again"]
    assert driver.records("main.keeper.inbox") == []
    monkeypatch.setattr(reactions.Keeper, "broken", False)
    assert [done["done"] for done in replay({"component": "keeper", "root": "late"}).data] == ["sent again"]
    assert [event.note for event in driver.messages("late", "book")] == ["0", "1"]
    again = replay({"root": "late"})
    assert (again.status, again.data) == (404, {"error": "no open dead letter is meant"})
    assert roots(component="keeper") == ["early"]


def test_one_named_twice_is_sent_once(driver: TopologyDriver) -> None:
    (dead_letter,) = command("list", "--root", "early")
    answer = replay({"ids": [dead_letter["id"]] * 3, "component": ["keeper", "keeper"]})
    assert answer.data == [{"id": dead_letter["id"], "done": "sent again"}]
    assert len(driver.records("main.keeper.inbox")) == 1
    assert len(command("replay", dead_letter["id"], "--component", "keeper", "--component", "keeper")) == 1


def test_what_a_feed_keeps_cannot_be_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = furnish(monkeypatch, reactions.timed)
    made.produce("main.purse.events", b"x", b"junk", [("ce_type", b"bank.v1.Deposited")])
    refused = replay({"component": "warden-feed"}, topology=reactions.timed)
    assert (refused.status, refused.data["done"]) == (409, [])
    assert "a feed keeps nothing to replay" in refused.data["error"]
    done = ask("POST", "/discard", json={"component": "warden-feed"}, topology=reactions.timed)
    assert [each["done"] for each in done.data] == ["discarded"]


def test_the_requests_that_the_page_shows(driver: TopologyDriver) -> None:
    """As they stand there, but for the address, the component, the class and the id."""
    (block,) = [b for b in blocks(ROOT / "docs/dead-letters.md") if b.language == "sh" and "curl" in b.text]
    (dead_letter,) = command("list", "--root", "early")
    text = block.text.replace("bonus", "keeper").replace("KeyError", "ZeroDivisionError")
    text = text.replace("main.player.events/3/2", dead_letter["id"])

    async def play(client: TestClient[Any, Any]) -> list[Any]:
        script = text.replace("http://127.0.0.1:6066", str(client.make_url("")).rstrip("/"))
        script = "set -e\n" + script.replace("curl -s", r"curl --fail -w '\n' -s")
        curls = await asyncio.create_subprocess_exec("bash", "-c", script, stdout=asyncio.subprocess.PIPE)
        output, _ = await curls.communicate()
        assert curls.returncode == 0, output
        return [json.loads(line) for line in output.splitlines()]

    found, shown, tried, done = served(play)
    assert [each["root"] for each in found] == ["early", "late"]
    assert shown["id"] == dead_letter["id"]
    assert [each["done"] for each in tried] == ["would be sent again"] * 2
    assert done == [{"id": dead_letter["id"], "done": "discarded"}]


# ---- what is wrong with a request


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("page", ["/replay", "/discard"])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "say which: ids, component, root, class, since or until"),
        ({"dry_run": True}, "say which"),
        ({"ids": []}, "ids: List should have at least 1 item"),
        ({"ids": [], "component": "purse"}, "ids: List should have at least 1 item"),
        ({"component": []}, "component: List should have at least 1 item"),
        ({"component": ["casino"]}, "component: unknown domain 'casino'; this topology has: purse, book, keeper"),
        ({"root": ""}, "root: String should have at least 1 character"),
        ({"class": ""}, "class: String should have at least 1 character"),
        ({"error_class": "X", "root": "late"}, "error_class: Extra inputs are not permitted"),
        ({"all": True, "root": "late"}, "all: Extra inputs are not permitted"),
        ({"since": None}, "since: must be a text"),
        ({"since": 0}, "since: must be a text"),
        ({"since": ""}, "since: Invalid isoformat string: ''"),
        ({"since": "yesterday"}, "since: Invalid isoformat string: 'yesterday'"),
        ({"until": "2026-01-01T00:00:00"}, "until: '2026-01-01T00:00:00' names no time zone"),
        ({"until": "2026-13-01T00:00:00Z"}, "until: month must be in 1..12"),
        ({"root": 5}, "root: Input should be a valid string"),
        ({"ids": {"a": 1}}, "ids: Input should be a valid array"),
        ({"ids": ["a", 1]}, "ids.1: Input should be a valid string"),
        ({"root": "late", "dry_run": "yes"}, "dry_run: Input should be a valid boolean"),
        ({"root": "late", "dry_run": 1}, "dry_run: Input should be a valid boolean"),
        ([], "body: Input should be an object"),
        ("root", "body: Input should be an object"),
    ],
)
def test_a_body_that_does_not_fit_is_400_with_the_field(page: str, body: Any, said: str) -> None:
    answer = ask("POST", page, json=body)
    assert answer.status == 400
    assert said in answer.data["error"]
    assert sorted(roots()) == ["early", "kept", "late"], "nothing is done"


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    "data", [b"", b"{", b"null,", b'{"root": "\xff"}', b'{"root": "\\ud800"}', b"[" * 100_000, b"NaN,", b"\x00"]
)
def test_a_body_that_is_no_json_is_400(data: bytes) -> None:
    answer = ask("POST", "/replay", data=data, headers={"Content-Type": "application/json"})
    assert answer.status == 400
    assert answer.data["error"].startswith(("body: Invalid JSON", "root: Invalid JSON"))


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("page", ["", "/show"])
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"nonsense": "1", "id": "x"}, "nonsense: Extra inputs are not permitted"),
        ([("id", "x"), ("id", "y")], "id: "),
        ({"component": "casino", "id": "x"}, "unknown domain 'casino'"),
        ({"component": "", "id": "x"}, "component.0: String should have at least 1 character"),
    ],
)
def test_a_query_that_does_not_fit_is_400_with_the_field(page: str, query: Any, said: str) -> None:
    if not page:
        query = [(k, v) for k, v in (query.items() if isinstance(query, dict) else query) if k != "id"]
        query = query or [("root", "x"), ("root", "y")]
        said = said.replace("id: ", "root: Input should be a valid string")
    answer = ask("GET", page, params=query)
    assert answer.status == 400
    assert said in answer.data["error"]


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("since=yesterday", "since: Invalid isoformat string: 'yesterday'"),
        ("until=2026-01-01T00:00:00", "until: '2026-01-01T00:00:00' names no time zone"),
        ("since=2026-01-01T00:00:00+01:00", "since: Invalid isoformat string"),  # a plus is a space here
        ("all=perhaps", "all: Input should be a valid boolean"),
        ("all", "all: Input should be a valid boolean"),
        ("root=", "root: String should have at least 1 character"),
    ],
)
def test_a_list_with_wrong_filters_is_400_with_the_field(query: str, said: str) -> None:
    answer = ask("GET", f"?{query}")
    assert (answer.status, said in answer.data["error"]) == (400, True), answer.data


@pytest.mark.usefixtures("driver")
def test_what_is_meant_stands_in_the_body() -> None:
    answer = ask("POST", "/discard", params={"root": "late"}, json={"component": "keeper"})
    assert (answer.status, "in the body" in answer.data["error"]) == (400, True)


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("octets", [b"%ff", b"%00", b"\xff", b"\xed\xa0\x80", b"%ed%a0%80", b"%", b"%zz", b"a;b"])
def test_ids_that_are_no_text_are_just_not_there(octets: bytes) -> None:
    async def play(client: TestClient[Any, Any]) -> bytes:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(
            b"GET /dead-letters/show?id=" + octets + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        answer = await reader.read()
        writer.close()
        return answer

    assert served(play).split(b" ")[1] in (b"404", b"400")


def test_nothing_found_is_404(monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(monkeypatch)
    assert ask("GET", "")[:2] == (404, {"error": "no dead letters"})
    assert ask("GET", "/show", params={"id": "main.purse.events/9/9"})[:2] == (
        404,
        {"error": "there is no dead letter main.purse.events/9/9"},
    )
    assert replay(ALL)[:2] == (404, {"error": "no open dead letter is meant"})


@pytest.mark.parametrize(("method", "path"), [("GET", "/replay"), ("GET", "/discard"), ("POST", ""), ("POST", "/show")])
def test_a_wrong_method_is_405(method: str, path: str) -> None:
    assert ask(method, path).status == 405


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_has_a_largest_size(chunked: bool) -> None:
    async def parts() -> Any:
        for _ in range(3):
            yield b" " * (BODY // 2)

    data: Any = parts() if chunked else b" " * (BODY + 1)
    assert ask("POST", "/replay", data=data, headers={"Content-Type": "application/json"}).status == 413
    fits = json.dumps({"root": "early"}).encode().ljust(BODY)
    assert ask("POST", "/replay", data=fits, headers={"Content-Type": "application/json"}).status == 200
