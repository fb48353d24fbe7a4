"""Dead letters over HTTP in memory: who may use the pages, and what happens while brokers are slow or away."""

import asyncio
import json
import threading
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from confluent_kafka import KafkaError, KafkaException

from headrace.streams.admin import dead_letters
from headrace.streams.settings import Settings
from headrace.testing import TopologyDriver
from tests.support.dead_letters_pages import ALL, TOKEN, ask, replay, roots, served

pytestmark = pytest.mark.usefixtures("in_its_folder")


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
        patched.setattr(dead_letters, "read", read)
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

    monkeypatch.setattr(dead_letters, "Producer", Fading)
    first, second = ask("GET", "", params={"component": "keeper"}).data
    answer = replay({"component": "keeper"})
    assert (answer.status, answer.data["done"]) == (503, [{"id": first["id"], "done": "sent again"}])
    assert answer.data["error"] == f"{second['id']} was not sent: the brokers do not answer"
    assert purged, "it would be sent later, though it is said that it was not"


@pytest.mark.usefixtures("driver")
def test_while_one_reads_the_others_wait_and_all_else_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    real, go, reading, most = dead_letters.find, threading.Event(), 0, 0
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

    monkeypatch.setattr(dead_letters, "find", find)

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

    monkeypatch.setattr(dead_letters, "find", find)

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
