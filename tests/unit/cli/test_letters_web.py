"""Dead letters over HTTP in memory: the worker's own pages, served; what they answer, and whom and what they refuse."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import guild
import pytest
from aiohttp.test_utils import TestClient, TestServer
from bank_pb2 import Deposit
from confluent_kafka import KafkaError, KafkaException
from pages import ROOT, blocks
from room import furnish
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.schemas.headrace_v1_pb2 import DeadLetter
from headrace.streams import letters
from headrace.streams.host import Host
from headrace.streams.letters_web import BODY
from headrace.streams.metrics import Metrics
from headrace.streams.settings import Settings
from headrace.topology import Topology, TopologyDriver

T = TypeVar("T")
TOKEN = "correct horse"  # noqa: S105
ALL = {"since": "2026-01-01T00:00:00Z"}


class Answer(NamedTuple):
    status: int
    data: Any
    headers: Any


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> TopologyDriver:
    """Three dead letters: two of the saga, an hour apart, and one of the purse, which keeps a refusal."""
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "guild:topology")
    monkeypatch.setattr(guild.Keeper, "broken", True)
    made = furnish(monkeypatch)
    made.send(Deposit(amount=13), "early", correlation_id="trip")
    made.clock.advance(timedelta(hours=1))
    made.send(Deposit(amount=13), "late")
    made.send(Deposit(amount=4), "late")
    made.send(Deposit(amount=71), "kept")
    return made


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_STATE_DIR", str(tmp_path))


def served(
    play: Callable[[TestClient[Any, Any]], Awaitable[T]], topology: Topology = guild.topology, **settings: Any
) -> T:
    """What `play` comes to, with a client of a worker's web server."""

    async def go() -> T:
        host: Any = Host(Settings(**settings), topology, [], Metrics())
        async with TestClient(TestServer(await host.web.wsgi())) as client:
            return await play(client)

    return asyncio.run(go())


def ask(
    method: str, path: str, *, worker: dict[str, Any] | None = None, topology: Topology = guild.topology, **named: Any
) -> Answer:
    """One request, to a worker with these settings."""

    async def play(client: TestClient[Any, Any]) -> Answer:
        async with client.request(method, f"/dead-letters{path}", **named) as answer:
            text = await answer.text()
            return Answer(
                answer.status, json.loads(text) if answer.content_type.endswith("json") else text, answer.headers
            )

    return served(play, topology, **(worker or {}))


def replay(body: Any, **named: Any) -> Answer:
    return ask("POST", "/replay", json=body, **named)


def roots(**params: Any) -> list[str]:
    return [letter["root"] for letter in ask("GET", "", params=params).data]


def command(*arguments: str) -> list[Any]:
    """What `headrace dead-letters` prints with --json."""
    printed = CliRunner().invoke(app, ["dead-letters", *arguments, "--json"]).stdout
    return [json.loads(line) for line in printed.splitlines()]


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
    assert sorted(letter["root"] for letter in answer.data) == sorted(found)
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
    assert roots() == [letter["root"] for letter in listed[1:]]


def test_one_is_shown_whole_by_an_id_of_any_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The id of a time-out holds its root."""
    furnish(monkeypatch)
    strange = "/../a b/?&%2F#ü|1"
    letter = letters.Letter(strange, "keeper", DeadLetter(component="saga:keeper", detail="because"))
    monkeypatch.setattr(letters, "_letters", lambda *_: {strange: letter})
    answer = ask("GET", "/show", params={"id": strange, "component": "keeper"})
    assert (answer.status, answer.data["id"], answer.data["detail"]) == (200, strange, "because")


def test_a_replay_goes_through_those_behind_it_once(driver: TopologyDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    dry = replay({"root": "late", "dry_run": True})
    assert [done["done"] for done in dry.data] == ["would be sent again"]
    assert driver.records("main.keeper.inbox") == []
    monkeypatch.setattr(guild.Keeper, "broken", False)
    assert [done["done"] for done in replay({"component": "keeper", "root": "late"}).data] == ["sent again"]
    assert [event.note for event in driver.events("book", "late")] == ["0", "1"]
    again = replay({"root": "late"})
    assert (again.status, again.data) == (404, {"error": "no open dead letter is meant"})
    assert roots(component="keeper") == ["early"]


def test_one_named_twice_is_sent_once(driver: TopologyDriver) -> None:
    (letter,) = command("list", "--root", "early")
    answer = replay({"ids": [letter["id"]] * 3, "component": ["keeper", "keeper"]})
    assert answer.data == [{"id": letter["id"], "done": "sent again"}]
    assert len(driver.records("main.keeper.inbox")) == 1
    assert len(command("replay", letter["id"], "--component", "keeper", "--component", "keeper")) == 1


def test_what_a_feed_keeps_cannot_be_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = furnish(monkeypatch, guild.timed)
    made.produce("main.purse.events", b"x", b"junk", [("ce_type", b"bank.v1.Deposited")])
    refused = replay({"component": "warden-feed"}, topology=guild.timed)
    assert (refused.status, refused.data["done"]) == (409, [])
    assert "a feed keeps nothing to replay" in refused.data["error"]
    done = ask("POST", "/discard", json={"component": "warden-feed"}, topology=guild.timed)
    assert [each["done"] for each in done.data] == ["discarded"]


def test_the_requests_that_the_page_shows(driver: TopologyDriver) -> None:
    """As they stand there, but for the address, the component, the class and the id."""
    (block,) = [b for b in blocks(ROOT / "docs/dead-letters.md") if b.language == "sh" and "curl" in b.text]
    (letter,) = command("list", "--root", "early")
    text = block.text.replace("bonus", "keeper").replace("KeyError", "ZeroDivisionError")
    text = text.replace("main.player.events/3/2", letter["id"])

    async def play(client: TestClient[Any, Any]) -> list[Any]:
        script = text.replace("http://127.0.0.1:6066", str(client.make_url("")).rstrip("/"))
        script = "set -e\n" + script.replace("curl -s", r"curl --fail -w '\n' -s")
        curls = await asyncio.create_subprocess_exec("bash", "-c", script, stdout=asyncio.subprocess.PIPE)
        output, _ = await curls.communicate()
        assert curls.returncode == 0, output
        return [json.loads(line) for line in output.splitlines()]

    found, shown, tried, done = served(play)
    assert [each["root"] for each in found] == ["early", "late"]
    assert shown["id"] == letter["id"]
    assert [each["done"] for each in tried] == ["would be sent again"] * 2
    assert done == [{"id": letter["id"], "done": "discarded"}]


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


# ---- who may


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("type_", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_web_page_cannot_settle(type_: str) -> None:
    """It may send these types to any server; for JSON the browser asks first, and gets no leave."""
    answer = ask("POST", "/discard", data=json.dumps(ALL), headers={"Content-Type": type_, "Origin": "http://evil"})
    assert answer.status == 415
    leave = ask("OPTIONS", "/discard", headers={"Origin": "http://evil", "Access-Control-Request-Method": "POST"})
    assert leave.status == 405
    assert not [name for name in leave.headers if name.lower().startswith("access-control")]
    assert len(roots()) == 3


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "", {}),
    ("GET", "/show", {"params": {"id": "x"}}),
    ("POST", "/replay", {"json": ALL}),
    ("POST", "/discard", {"json": ALL}),
]


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(("method", "path", "named"), REQUESTS)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:6066", "192.0.2.1", "localhost.evil", "", "[", "[::1"])
def test_without_a_token_the_machine_is_asked_by_its_own_name(
    method: str, path: str, named: dict[str, Any], host: str
) -> None:
    answer = ask(method, path, headers={"Host": host}, **named)
    assert answer.status == 403 or (answer.status, host) == (400, "[")
    assert len(roots()) == 3


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:6066", "127.0.0.1:1", "[::1]:6066", "127.8.8.8"])
def test_the_names_of_the_machine_itself(host: str) -> None:
    assert ask("GET", "", headers={"Host": host}).status == 200


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(("method", "path", "named"), REQUESTS)
@pytest.mark.parametrize("bound", ["0.0.0.0", "192.0.2.1", "worker-1"])
def test_open_to_the_network_there_must_be_a_token(method: str, path: str, named: dict[str, Any], bound: str) -> None:
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer x"}):
        answer = ask(method, path, worker={"web_host": bound}, headers=headers, **named)
        assert (answer.status, "set HEADRACE_WEB_TOKEN" in answer.data["error"]) == (403, True)
    assert len(roots()) == 3


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(("method", "path", "named"), REQUESTS)
@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer correct", "Bearer ü"],
)
def test_a_wrong_token_is_401(method: str, path: str, named: dict[str, Any], bound: str, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    answer = ask(method, path, worker={"web_host": bound, "web_token": TOKEN}, headers=headers, **named)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert TOKEN not in json.dumps(answer.data)
    assert len(roots()) == 3


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_the_token_one_may_from_anywhere(bound: str, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {TOKEN}", "Host": "worker-1:6066"}
    worker = {"web_host": bound, "web_token": TOKEN}
    assert len(ask("GET", "", worker=worker, headers=headers).data) == 3
    assert len(ask("POST", "/discard", worker=worker, headers=headers, json=ALL).data) == 3


def test_a_token_from_a_file_may_have_a_line_end(driver: TopologyDriver) -> None:
    worker, headers = {"web_host": "0.0.0.0", "web_token": f"{TOKEN}\n"}, {"Authorization": f"Bearer {TOKEN}"}
    assert ask("GET", "", worker=worker, headers=headers).status == 200
    assert ask("GET", "", worker=worker | {"web_token": "\n"}, headers={"Authorization": "Bearer "}).status == 403


def test_the_token_is_not_printed() -> None:
    assert TOKEN not in repr(Settings(web_token=TOKEN))


# ---- brokers, and waiting


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("error", [KafkaException(KafkaError(KafkaError._TRANSPORT)), TimeoutError("nothing came")])
@pytest.mark.parametrize(("method", "path", "named"), REQUESTS)
def test_brokers_away_is_503(
    method: str, path: str, named: dict[str, Any], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any) -> Any:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(letters, "read", read)
        answer = ask(method, path, **named)
    assert answer.status == 503
    assert answer.data["error"].startswith("the brokers do not answer, or refuse: ")
    assert answer.data["error"].endswith(("Broker transport failure", "nothing came"))


@pytest.mark.usefixtures("driver")
def test_brokers_that_go_away_in_between_leave_the_rest_open(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    purged: list[bool] = []

    class Fading:
        def __init__(self, config: Any) -> None:
            return None

        def produce(self, *arguments: Any, **named: Any) -> None:
            taken.append(arguments)

        def flush(self, timeout: float) -> int:
            return len(taken) - 1

        def purge(self) -> None:
            purged.append(True)

    monkeypatch.setattr(letters, "Producer", Fading)
    first, second = ask("GET", "", params={"component": "keeper"}).data
    answer = replay({"component": "keeper"})
    assert (answer.status, answer.data["done"]) == (503, [{"id": first["id"], "done": "sent again"}])
    assert answer.data["error"] == f"{second['id']} was not sent: the brokers do not answer"
    assert purged, "it would be sent later, though it is said that it was not"


@pytest.mark.usefixtures("driver")
def test_while_one_reads_the_others_wait_and_all_else_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    real, go, reading, most = letters.find, threading.Event(), 0, 0
    count = threading.Lock()

    def find(*arguments: Any) -> Any:
        nonlocal reading, most
        with count:
            reading += 1
            most = max(most, reading)
        assert go.wait(30)
        with count:
            reading -= 1
        return real(*arguments)

    monkeypatch.setattr(letters, "find", find)

    async def play(client: TestClient[Any, Any]) -> tuple[list[int], list[int]]:
        async def get(path: str) -> int:
            async with client.get(path) as answer:
                return answer.status

        tasks = [asyncio.ensure_future(get("/dead-letters")) for _ in range(10)]
        done, _ = await asyncio.wait(tasks, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 2:
            done, _ = await asyncio.wait(tasks, timeout=1)
        healthy = [await get("/healthz"), await get("/readyz")]
        go.set()
        return sorted(await asyncio.gather(*tasks)), healthy

    assert served(play) == ([200] * 8 + [503] * 2, [200, 200])
    assert most == 1


@pytest.mark.usefixtures("driver")
def test_a_server_that_stops_waits_for_no_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    def find(*_: Any) -> Any:
        begun.set()
        assert go.wait(30)
        return []

    monkeypatch.setattr(letters, "find", find)

    async def play(client: TestClient[Any, Any]) -> list[tuple[int, str]]:
        async def get() -> tuple[int, str]:
            async with client.get("/dead-letters") as answer:
                return answer.status, (await answer.json())["error"]

        tasks = [asyncio.ensure_future(get()) for _ in range(2)]
        assert await asyncio.to_thread(begun.wait, 30)
        stopping = asyncio.ensure_future(client.server.close())
        answers = await asyncio.gather(*tasks)
        await stopping
        return answers

    try:
        assert served(play) == [(503, "the worker stops; what was asked for may be done in part")] * 2
    finally:
        go.set()
