"""The gateway without Kafka: what is sent over HTTP, what it becomes, and what is answered."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Topology
from headrace.connectors.gateway import events
from headrace.connectors.gateway.access import Access, Token, TokensUnfit, tokens
from headrace.connectors.gateway.problems import Problem
from headrace.connectors.gateway.server import MOST_BYTES, Gateway
from headrace.schemas.codecs import PROTOBUF
from headrace.streams.client import OutcomeUnknown
from headrace.testing import DriverClient, TopologyDriver
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import Book, Purse

BANK = Topology(Purse, Book)
DEPOSIT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "bank.v1.Deposit", "subject": "ann"}
TOKENS = [
    Token("shop", sha256(b"secret").digest(), frozenset({"commands:purse"})),
    Token("reader", sha256(b"other").digest(), frozenset({"read"})),
]
Scenario = Callable[[TestClient[Any, Any], TopologyDriver], Coroutine[Any, Any, None]]


def serve(scenario: Scenario, access: Access | None = None, client: Any = None) -> TopologyDriver:
    """Run a scenario against a gateway to a bank in memory."""
    driver = TopologyDriver(BANK)

    async def run() -> None:
        gateway = Gateway(BANK, access or Access(), timeout=1)
        gateway.client = client or DriverClient(driver)  # type: ignore[assignment]
        server = TestServer(gateway.app())
        await server.start_server(auto_decompress=False)
        async with TestClient(server) as http:
            await scenario(http, driver)

    asyncio.run(run())
    return driver


def body(data: Any = None, **attributes: Any) -> dict[str, Any]:
    """A deposit in structured mode; an attribute of None is left out."""
    found = {**DEPOSIT, "data": {"amount": 5} if data is None else data, **attributes}
    return {name: value for name, value in found.items() if value is not None}


async def post(http: TestClient[Any, Any], data: Any, kind: str = events.STRUCTURED, **more: Any) -> tuple[int, Any]:
    path, headers = more.pop("path", "/commands"), more.pop("headers", {})
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    answer = await http.post(path, data=raw, headers={"Content-Type": kind, **headers}, **more)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    found = json.loads(await answer.text())
    if answer.status >= 400:
        assert answer.content_type == "application/problem+json"
        assert found["status"] == answer.status
        assert {"type", "title", "detail"} <= found.keys()
    return answer.status, found


def test_binary_structured_and_batch_mode_give_the_same_events() -> None:
    theirs = CloudEvent({**DEPOSIT, "correlationid": "trip", "datacontenttype": "application/json"}, {"amount": 5})

    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        for number, written in enumerate((to_binary(theirs, JSONFormat()), to_structured(theirs, JSONFormat()))):
            answer = await http.post("/commands", data=written.body, headers=dict(written.headers))
            found = await answer.json()
            assert (answer.status, found["already_processed"]) == (200, number > 0)
            assert found["events"][0]["data"] == {"amount": "5", "balance": "5"}
            assert found["correlation_id"] == "trip"
        status, found = await post(http, [body(id="2"), body(id="3", type=None), body(id="4")], events.BATCH)
        assert status == 200
        assert [one["http_status"] for one in found] == [200, 400, 200]
        first, _, third = found
        assert first["events"][0]["data"]["balance"] == "10"
        assert third["events"][0]["data"]["balance"] == "15"

    driver = serve(scenario)
    assert driver.state("ann", "purse").balance == 15


def test_data_as_protobuf() -> None:
    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        headers = {f"ce-{name}": value for name, value in DEPOSIT.items()}
        data = pb.Deposit(amount=7).SerializeToString()
        status, found = await post(http, data, PROTOBUF, headers=headers)
        assert (status, found["status"]) == (200, "accepted")

    assert serve(scenario).state("ann", "purse").balance == 7


def test_ids_of_two_senders_do_not_collide() -> None:
    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        for source in ("/shop", "/bar", "/shop"):
            assert (await post(http, body(source=source)))[0] == 200
        for key in ("a", "a", "b"):
            assert (await post(http, body(id=key + "x"), headers={"Idempotency-Key": key}))[0] == 200

    assert serve(scenario).state("ann", "purse").balance == 20


def test_facts_are_stated_once_per_source_and_id() -> None:
    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        fact = body({"pocket": "x", "amount": 2}, type="bank.v1.Stash", factid="cash/1")
        for source, repeated in (("/a", False), ("/a", True), ("/b", False)):
            status, found = await post(http, {**fact, "source": source}, path="/facts")
            assert (status, found["already_processed"]) == (200, repeated)

    assert len(serve(scenario).events("ann", domain="purse")) == 2


def test_answers_that_are_no_acceptance() -> None:
    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        await post(http, body())
        touch = body({}, type="bank.v1.Touch", id="t")
        status, found = await post(http, touch, params={"domain": "book"})
        assert (status, found["detail"]) == (422, "not to be touched")
        status, found = await post(http, body(id="2", expectedsequence="7"))
        assert (status, found["code"]) == (409, "sequence-conflict")
        status, found = await post(http, body(type="bank.v1.Nothing"))
        assert (status, "no domain handles no bank.v1.Nothing" in found["detail"]) == (404, True)
        status, found = await post(http, body(), params={"domain": "book"})
        assert status == 404

    serve(scenario)


@pytest.mark.parametrize(
    ("data", "kind", "status", "detail"),
    [
        (b"", events.STRUCTURED, 400, "body: the value is no CloudEvent as JSON"),
        (b"[" * 50_000, events.BATCH, 400, "body: is no JSON"),
        (b"{}", events.BATCH, 400, "body: is no list of 1 to 100 events"),
        (b"[]", events.BATCH, 400, "body: is no list of 1 to 100 events"),
        (json.dumps([body()] * 101).encode(), events.BATCH, 400, "body: is no list of 1 to 100 events"),
        (b"{}", "application/json", 415, "this is no CloudEvent"),
        (b"", "application/cloudevents+avro", 415, "application/cloudevents+avro is not read"),
        (body(subject=None), events.STRUCTURED, 400, "subject: is missing; it names the root"),
        (body({"amount": "much"}), events.STRUCTURED, 400, "data: bank.v1.Deposit as application/json"),
        (body({"sum": 5}), events.STRUCTURED, 400, "sum"),
        (body(id=None), events.STRUCTURED, 400, "id"),
        (body(expectedsequence="-2"), events.STRUCTURED, 400, "expectedsequence: must be a whole number"),
        (body(rejectto="a:b"), events.STRUCTURED, 400, "rejectto: is set by the engine only"),
        (body(reportto="a/0/b"), events.STRUCTURED, 400, "reportto: is set by the engine only"),
        (b"x" * (MOST_BYTES + 1), events.STRUCTURED, 413, "a body has at most"),
    ],
)
def test_bad_input_is_named_and_sends_nothing(data: Any, kind: str, status: int, detail: str) -> None:
    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        found = await post(http, data, kind)
        assert found[0] == status, found
        assert detail in found[1]["detail"]

    driver = serve(scenario)
    assert not driver.records("main.purse.commands")


def test_what_is_asked_for_in_another_way() -> None:
    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        for method, path, status in (("get", "/commands", 405), ("get", "/nothing", 404), ("post", "/healthz", 405)):
            answer = await getattr(http, method)(path)
            assert (answer.status, answer.content_type) == (status, "application/problem+json")
        for params in ({"sync": "never"}, {"sync": "isolated"}):
            assert (await post(http, body(), params=params))[0] == 400
        assert (await post(http, body(), headers={"Content-Encoding": "gzip"}))[0] == 415
        assert (await post(http, [body()], events.BATCH, headers={"Idempotency-Key": "k"}))[0] == 400

    assert not serve(scenario).records("main.purse.commands")


def test_reads() -> None:
    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        for number in range(5):
            await post(http, body(id=f"{number}", subject="a/b c"))
        state = await http.get("/roots/purse/a%2Fb%20c")
        assert (await state.json())["state"]["balance"] == "25"
        again = await http.get("/roots/purse/a%2Fb%20c", headers={"If-None-Match": state.headers["ETag"]})
        assert again.status == 304
        page = await (await http.get("/roots/purse/a%2Fb%20c/events?from=1&limit=2")).json()
        assert [event["sequence"] for event in page["events"]] == [1, 2]
        assert page["next"] == 3
        for path, status in (
            ("/roots/purse/none", 404),
            ("/roots/x/a", 404),
            ("/roots/purse/a/events?limit=1001", 400),
        ):
            answer = await http.get(path)
            assert (answer.status, answer.content_type) == (status, "application/problem+json")

    serve(scenario)


def test_a_token_may_do_what_its_rights_say() -> None:
    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        shop, reader = {"Authorization": "Bearer secret"}, {"Authorization": "bearer other"}
        assert (await post(http, body(), headers=shop))[0] == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
            assert (await post(http, body(), headers=headers))[0] == 401
        status, found = await post(http, body(), headers=reader)
        assert (status, found["needs"]) == (403, "commands:purse")
        assert (await post(http, body({"pocket": "x"}, type="bank.v1.Stash"), path="/facts", headers=shop))[0] == 403
        assert (await http.get("/roots/purse/ann", headers=reader)).status == 200
        assert (await http.get("/roots/purse/ann", headers=shop)).status == 403
        assert (await http.get("/healthz")).status == 200

    serve(scenario, Access(TOKENS))


def test_tokens_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    digest = sha256(b"secret").hexdigest()
    path.write_text(f'[[token]]\nname = "shop"\nsha256 = "{digest}"\nmay = ["commands:purse"]\n')
    assert tokens(path) == TOKENS[:1]
    for text, reason in (
        ("", "cannot be read: KeyError"),
        ("[[token]]\nname='a'\nsha256='zz'\nmay=[]", "cannot be read: ValueError"),
        ("[[token]]\nname='a'\nsha256='aa'\nmay=[]", "has 1 bytes, and not 32"),
        (f"[[token]]\nname='a'\nsha256='{digest}'\nmay=['fly']", "may 'fly'; rights are commands, facts, read"),
        ("token = []", "holds no token"),
    ):
        path.write_text(text)
        with pytest.raises(TokensUnfit, match=reason):
            tokens(path)
    with pytest.raises(TokensUnfit, match="FileNotFoundError"):
        tokens(tmp_path / "none")


def test_an_outcome_that_is_not_known_may_be_asked_for_again() -> None:
    class Silent:
        async def execute(self, *_: Any, root: str, command_id: str, **__: Any) -> None:
            raise OutcomeUnknown(command_id, root, 1)

    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        answer = await http.post("/commands", json=body(), headers={"Content-Type": events.STRUCTURED})
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert (await answer.json(content_type=None))["command_id"] == events.identity("/shop", "1")

    serve(scenario, client=Silent())


def test_a_gateway_that_has_not_reached_the_brokers_says_so() -> None:
    async def run() -> None:
        gateway = Gateway(BANK, Access(), timeout=1)
        async with TestClient(TestServer(gateway.app())) as http:
            assert (await http.get("/readyz")).status == 503
            assert (await post(http, body()))[0] == 503
            assert (await http.get("/roots/purse/ann")).status == 503

    asyncio.run(run())


NAMES = ["Content-Type", "ce-id", "ce-source", "ce-type", "ce-specversion", "ce-x"]
JSON = st.recursive(st.none() | st.text(max_size=5), st.lists)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(NAMES), st.text(max_size=20)),
    st.binary(max_size=50) | JSON.map(lambda found: json.dumps(found).encode()),
    st.sampled_from([None, events.STRUCTURED, events.BATCH]),
)
def test_any_request_is_read_or_refused(headers: dict[str, str], data: bytes, kind: str | None) -> None:
    if kind:
        headers = {**headers, "Content-Type": kind}
    statuses = set()
    try:
        found, _ = events.read(headers, data)
        statuses = {one.status for one in found if isinstance(one, Problem)}
    except Problem as problem:
        statuses = {problem.status}
    assert statuses <= {400, 415}


@pytest.mark.parametrize(
    ("path", "name"),
    [("/commands?edition=trial", "edition"), ("/commands?now=2031", "now"), ("/facts?sync=simple", "sync")],
)
def test_a_parameter_that_would_have_no_effect_is_refused(path: str, name: str) -> None:
    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        status, found = await post(http, body(), path=path)
        assert (status, found["field"]) == (400, name)
        assert "is no parameter here; there are: domain" in found["detail"]
        answer = await http.get("/roots/purse/ann?edition=trial")
        assert answer.status == 400

    assert serve(scenario).state("ann", "purse") is None


class Away:
    """A client that gets no answers, and has a fault."""

    async def execute(self, command: pb.Deposit, *, command_id: str, **_: Any) -> Any:
        if command.amount == 7:
            raise KeyError("a fault")
        raise OutcomeUnknown(command_id, "ann", 1)

    async def record_fact(self, fact: Any, *, external_id: str, **_: Any) -> Any:
        raise OutcomeUnknown(external_id, "ann", 1)


def test_what_is_not_known_is_named_as_the_engine_knows_it() -> None:
    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        for headers in ({}, {"Idempotency-Key": "mine"}):
            status, found = await post(http, body(), headers=headers)
            assert (status, found["command_id"] in found["detail"]) == (503, True)
        status, found = await post(http, body({"pocket": "x"}, type="bank.v1.Stash"), path="/facts")
        assert (status, found["external_id"] in found["detail"]) == (503, True)

    serve(scenario, client=Away())


def test_a_fault_of_ours_is_no_404_and_the_others_of_a_batch_have_their_own_outcomes() -> None:
    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        status, found = await post(http, [body(id="2"), body({"amount": 7}, id="3"), body(id="4")], events.BATCH)
        assert (status, [one["http_status"] for one in found]) == (200, [503, 500, 503])
        assert "a fault" not in json.dumps(found)

    serve(scenario, client=Away())


def test_a_header_that_is_no_text_is_refused() -> None:
    with pytest.raises(Problem, match="attributes are UTF-8 text"):
        events.read({"ce-id": "\udcff", "Content-Type": "application/json"}, b"{}")


def test_the_caller_of_a_batch_is_found_once() -> None:
    asked: list[str] = []

    class Counted(Access):
        def caller(self, authorization: str) -> Token:
            asked.append(authorization)
            return super().caller(authorization)

    async def scenario(http: TestClient[Any, Any], driver: TopologyDriver) -> None:
        status, found = await post(http, [body(id=id) for id in "123"], events.BATCH)
        assert (status, [one["http_status"] for one in found]) == (200, [200, 200, 200])

    serve(scenario, Counted())
    assert asked == [""]
