"""The search sink on a real Connect worker, Kafka and search server: the index is what the log says, whatever happens.

An independent reader folds the log. Versions are compared too, since they keep late duplicates away.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from headrace import Projector, Search, projects
from headrace.bench import sinks
from headrace.connectors.connect.rendering import Source
from headrace.embedded import EmbeddedConnect
from headrace.schemas.documents import DocumentCodec
from headrace.topology.names import Names
from tests.support.bank.messages_pb2 import Deposited
from tests.support.deployment import until
from tests.support.redis_server import RedisServer
from tests.support.search_server import ELASTICSEARCH, OPENSEARCH, Product, SearchServer
from tests.support.search_sink import FIELDS, Documents, Sink
from tests.support.shapes_pb2 import Shapes

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]
LIMIT = 512 * 1024
"""Bytes that the servers take in one request, fewer than a full batch of the sink has."""


once = pytest.mark.parametrize("server", [OPENSEARCH], indirect=True, ids=lambda product: product.name)
"""A test of the worker more than of the server."""


@pytest.fixture(scope="module", params=[OPENSEARCH, ELASTICSEARCH], ids=lambda product: product.name)
def server(request: pytest.FixtureRequest) -> Iterator[SearchServer]:
    """One search server at a time."""
    product: Product = request.param
    with SearchServer(product, f"http.max_content_length: {LIMIT}b") as running:
        yield running


@pytest.fixture
def sink(
    request: pytest.FixtureRequest, connect: EmbeddedConnect, server: SearchServer, bootstrap: str
) -> Iterator[Sink]:
    """A topic, with the settings of the parameter, and a sink for it that does not run yet, with an index."""
    documents = Documents(bootstrap, f"cards-{uuid.uuid4().hex[:8]}", **getattr(request, "param", {}))
    sink = Sink(connect, server, documents)
    server.create(sink.index, FIELDS)
    yield sink
    if sink.connector.states():
        sink.connector.delete()


def card(number: int, chips: int) -> dict[str, Any]:
    return {"name": f"player {number}", "chips": chips}


def check(sink: Sink) -> None:
    """Wait until the sink has caught up; then the index is as the log says, and nothing was set aside."""
    sink.await_caught_up()
    assert sink.server.documents(sink.index) == sink.documents.expected()
    assert sink.dead_letters() == []


LEAF = {"name": "birch", "rank": -1}
TREE = {"leaf": LEAF, "branches": [{"only": {"leaf": LEAF}}], "named": {"c": {}}}
EVERY_FIELD: dict[str, Any] = {
    **dict.fromkeys(("anInt64", "aSint64", "aSfixed64"), -(2**63)),
    **dict.fromkeys(("aUint64", "aFixed64", "maybeUint64", "number"), 2**63 - 1),
    **dict.fromkeys(("anInt32", "aSint32", "aSfixed32"), -(2**31)),
    **dict.fromkeys(("aUint32", "aFixed32"), 2**32 - 1),
    **dict.fromkeys(("aFloat", "aDouble", "maybeDouble"), 0.1),
    **dict.fromkeys(("aString", "maybeString"), "zoë"),
    **dict.fromkeys(("aBytes", "maybeBytes"), "AP8="),
    **dict.fromkeys(("aBool", "maybeBool"), True),
    **dict.fromkeys(("suit", "maybeSuit"), "SPADES"),
    **{"inner": {"suit": "TRUMP", "data": "AA=="}, "leaf": LEAF, "time": "2023-11-14T22:13:20.123Z"},
    **{"int64s": [-1, 2**62], "uint64s": [0], "floats": [1.5, -2.0], "strings": ["a", ""], "suits": ["CLUBS", "NONE"]},
    **{"leaves": [LEAF, {}], "empties": [{}], "counts": {"a": 1}, "leafByName": {"b": LEAF}, "tree": TREE, "empty": {}},
    **{"suitByNumber": {"-1": "CLUBS"}, "uint64ByBool": {"true": 2**63}, "bytesByNumber": {"7": "AA=="}},
}


class Everything(Projector[Shapes]):
    """Documents that are messages."""

    name = "everything"

    @projects
    def deposited(self, document: Shapes, event: Deposited) -> None:
        document.an_int64 = event.balance


def test_a_message_as_a_document_fits_the_fields_that_follow_from_it(sink: Sink) -> None:
    server, codec = sink.server, DocumentCodec(Shapes)
    index = Search(Everything).render(Source(Names(""), "main", Everything, "search"), ()).index
    assert index is not None
    server.request("DELETE", f"/{sink.index}")
    assert server.request("PUT", f"/{sink.index}", index.body)[0] == 200
    full = json_format.ParseDict(EVERY_FIELD, Shapes())
    without = {field.name for field in Shapes.DESCRIPTOR.fields} - {field.name for field, _ in full.ListFields()}
    assert without == {"text", "chosen", "trump"}, "one of a choice is there, and all others"
    sink.documents.write({"full": codec.encode(full), "empty": codec.encode(Shapes())})
    sink.deploy()
    check(sink)
    _, found = server.request("POST", f"/{sink.index}/_search", {"query": {"term": {"leaf.name": "birch"}}})
    assert [hit["_id"] for hit in found["hits"]["hits"]] == ["full"]
    assert codec.decode(json.dumps(found["hits"]["hits"][0]["_source"]).encode()) == full


def test_documents_come_change_and_go_and_come_again(sink: Sink) -> None:
    documents, server = sink.documents, sink.server
    documents.write({f"p{i}": card(i, 0) for i in range(3000)})
    documents.write({f"ghost-{i}": card(i, 1) for i in range(100)} | {"p1": None, "p2": card(2, -1)}, abort=True)
    sink.deploy()
    check(sink)
    assert len(server.documents(sink.index)) == 3000
    documents.write({f"p{i}": card(i, i) for i in range(0, 3000, 2)})
    documents.write({f"p{i}": None for i in range(0, 3000, 3)})
    documents.write({"p3": None, "p5": None}, abort=True)
    documents.write({"p6": card(6, 66), 'zoë|ü"\\\n/': card(7, 7)})
    check(sink)
    assert "p3" not in server.documents(sink.index)
    assert server.documents(sink.index)["p5"][1] == card(5, 0)
    # all of it again, against an index that is newer than most of the records
    sink.connector.replay()
    until(lambda: sum(documents.committed(sink.connector.name).values()) > 0, "it began anew")
    check(sink)


@once
def test_a_killed_worker_loses_nothing(sink: Sink, connect: EmbeddedConnect) -> None:
    documents, server = sink.documents, sink.server
    for chips in range(4):
        documents.write({f"p{i}": card(i, chips) if (i + chips) % 7 else None for i in range(5000)})
    sink.deploy()

    def begun() -> bool:
        server.request("POST", f"/{sink.index}/_refresh")
        return bool(server.request("GET", f"/{sink.index}/_count")[1]["count"] > 500)

    until(begun, "documents came")
    connect.kill()
    on_the_way = sum(documents.committed(sink.connector.name).values())
    assert on_the_way < 20_000, "it was done before it was killed"
    connect.restart()
    sink.connector.await_running()
    check(sink)


def test_a_missing_index_is_waited_for_and_never_made(sink: Sink, connect: EmbeddedConnect) -> None:
    server, name = sink.server, sink.index
    server.request("DELETE", f"/{name}")
    sink.documents.write({f"p{i}": card(i, i) for i in range(100)})
    sink.deploy()
    log = connect.logs[0]
    until(lambda: log.read_text().count(f"there is no index {name}") >= 8, "it looked for the index again and again")
    assert server.request("GET", f"/{name}")[0] == 404
    assert set(sink.connector.states()) == {"RUNNING"}
    server.create(name, FIELDS)
    check(sink)
    assert server.request("GET", f"/{name}/_mapping")[1][name]["mappings"]["properties"] == FIELDS


def test_an_alias_that_goes_away_never_becomes_an_index(sink: Sink, connect: EmbeddedConnect) -> None:
    server, alias, real = sink.server, f"{sink.index}-read", sink.index
    server.request("PUT", f"/{real}/_alias/{alias}")
    sink.documents.write({"p1": card(1, 1)})
    sink.deploy(index=alias)
    check(sink)
    server.request("DELETE", f"/{real}")
    sink.documents.write({f"p{i}": card(i, 2) for i in range(100)})
    until(lambda: f"index {alias} at" in connect.logs[0].read_text(), "a write found no alias")
    until(lambda: f"there is no index {alias}" in connect.logs[0].read_text(), "it looked for the alias")
    assert server.request("GET", f"/{alias}")[0] == 404
    server.create(real, FIELDS)
    server.request("PUT", f"/{real}/_alias/{alias}")
    sink.await_caught_up()
    assert len(server.documents(real)) == 100


SETTINGS = ("PUT", "_settings")
FAULTS: dict[str, list[tuple[str, str, Any]]] = {
    "cluster_block_exception": [(*SETTINGS, {"index.blocks.write": blocked}) for blocked in (True, False)],
    "pipeline with id": [(*SETTINGS, {"index.default_pipeline": name}) for name in ("nowhere", "_none")],
    "index_closed_exception": [("POST", "_close", None), ("POST", "_open", None)],
}
"""What the server says of an index that takes no documents, and the requests that make it so and undo it."""


def test_what_the_index_is_at_fault_for_is_waited_for(sink: Sink, connect: EmbeddedConnect) -> None:
    """Some of these have the status 400, as a bad document has."""
    sink.deploy()
    for number, (reason, requests) in enumerate(FAULTS.items()):
        said = re.compile(rf"RetriableException: index {sink.index} at \S+ HTTP \d+ .*{reason}")
        for method, path, body in requests:
            status, answer = sink.server.request(method, f"/{sink.index}/{path}", body)
            assert status == 200, answer
            if not said.search(connect.logs[0].read_text()):
                sink.documents.write({f"p{i}": card(i, number) for i in range(50)})
                seen(connect, said)
        check(sink)


def seen(connect: EmbeddedConnect, said: re.Pattern[str]) -> None:
    until(lambda: said.search(connect.logs[0].read_text()) is not None, f"the worker's log has {said.pattern}")


# a compacted topic would take no record without a key
@pytest.mark.parametrize("sink", [{"cleanup.policy": "delete"}], indirect=True, ids=[""])
def test_only_what_cannot_be_a_document_is_set_aside(sink: Sink) -> None:
    good = {f"p{i}": card(i, i) for i in range(500)}
    bad: dict[bytes | None, tuple[Any, str]] = {
        b"text": ({"name": "x", "chips": "no write index"}, "failed to parse field [chips] of type [long]"),
        b"more": ({"name": "x", "chips": 1, "other": 1}, "strict_dynamic_mapping_exception"),
        b"not json": (b'{"name": ', "is no JSON"),
        b"no object": (b"[]", "no JSON object"),
        b"goes on": (b'{"name": "x"} {}', "goes on behind"),
        b"other encoding": ('{"name": "ਊ"}'.encode("utf-16"), "no UTF-8"),
        b"empty": (b"", "no JSON object"),
        b"k" * 513: ({"name": "x", "chips": 3}, "1 to 512 bytes"),
        b"": ({"name": "x", "chips": 4}, "1 to 512 bytes"),
        None: ({"name": "x", "chips": 5}, "no key"),
        b"large": ({"name": "x" * LIMIT, "chips": 6}, "too large"),
        b"immense": ({"name": "y" * 40_000, "chips": 7}, "immense term"),
    }
    with sink.documents.transaction():
        sink.documents.put(b"text", card(1000, 1))  # good; what is refused comes behind it in the same batch
        for number, (key, value) in enumerate(good.items()):
            sink.documents.put(key.encode(), value)
            if number % 40 == 0 and number // 40 < len(bad):
                wrong = list(bad)[number // 40]
                sink.documents.put(wrong, bad[wrong][0])
        sink.documents.put(b"k" * 512, card(1001, 2))
        sink.documents.put(b"lines", b'{\r\n  "name": "pretty",\n  "chips": 9\n}\n')
        sink.documents.put(b"never there", None)
    sink.deploy()
    sink.await_caught_up()
    refused = {value if isinstance(value, bytes) else json.dumps(value).encode() for value, _ in bad.values()}
    found = sink.server.documents(sink.index)
    assert found == sink.documents.expected(refused)
    assert {"text", "k" * 512, "lines"} <= set(found)
    dead = sink.dead_letters()
    assert sorted((entry.key, entry.value) for entry in dead if entry.key) == sorted(
        (key, value if isinstance(value, bytes) else json.dumps(value).encode())
        for key, (value, _) in bad.items()
        if key
    )
    assert len(dead) == len(bad)
    for entry in dead:
        reason = entry.headers["__connect.errors.exception.message"].decode()
        assert bad[entry.key][1] in reason
        assert entry.headers["ce_type"] == b"Card"


@once
def test_a_server_that_is_away_is_waited_for(sink: Sink, connect: EmbeddedConnect) -> None:
    sink.documents.write({f"p{i}": card(i, 0) for i in range(1000)})
    sink.deploy()
    check(sink)
    sink.server.stop()
    sink.documents.write({f"p{i}": card(i, 1) if i % 5 else None for i in range(6000)})
    log = connect.logs[0]
    until(
        lambda: log.read_text().count(f"no answer from the search server at {sink.server.url}") >= 4, "it tried again"
    )
    assert set(sink.connector.states()) == {"RUNNING"}
    sink.server.start()
    check(sink)
    assert set(sink.connector.states()) == {"RUNNING"}


def test_who_may_not_write_is_told_so(sink: Sink, connect: EmbeddedConnect) -> None:
    if not sink.server.product.user:
        pytest.skip("this server knows no users")
    wrong = f"wrong-{uuid.uuid4().hex}"
    sink.documents.write({"p1": card(1, 1)})
    sink.connector.deploy(sink.config | {"connection.password": wrong})
    until(lambda: "FAILED" in sink.connector.states(), "the task failed")
    assert "answers HTTP 401" in sink.connector.trace()
    assert "correct connection.username and connection.password" in sink.connector.trace()
    assert wrong not in sink.connector.trace() + connect.logs[0].read_text()
    # The server of these tests cannot make API keys, but it reads them.
    key = base64.b64encode(f"some-id:{wrong}".encode()).decode()
    without = {"connection.username": "", "connection.password": "", "connection.api.key": key}
    sink.connector.deploy(sink.config | without)
    until(lambda: "API key: apikey authentication for id some-id" in sink.connector.trace(), "it used the API key")
    assert key not in sink.connector.trace() + connect.logs[0].read_text()
    sink.deploy()
    check(sink)


@once
@pytest.mark.timeout(300)  # two connectors, twice each, and a Redis
def test_the_benchmark_of_sinks_measures_what_it_says(
    server: SearchServer, bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEARCH_URL", server.url)
    redis = RedisServer(tmp_path).start()
    try:
        monkeypatch.setenv("REDIS_URL", redis.url)
        result = sinks.run(print, bootstrap, documents=6_000, rounds=1, partitions=2)
    finally:
        redis.stop()
    assert result["bench"] == "sinks"
    assert result["left_out"] == {}
    for kind in ("search", "file"):
        assert result[f"{kind}_per_second"] > 0
        assert len(result[f"{kind}_cpu_rounds"]) == 1
        assert result[f"{kind}_cpu_us"] == result[f"{kind}_cpu_rounds"][0] > 0
    assert result["redis_documents_per_second"] > 0
    assert 0 < result["redis_get_p50_ms"] <= result["redis_get_p99_ms"]
    assert sinks.TARGETS.keys() <= result.keys()
    assert server.request("GET", "/_cat/indices/bench-*?format=json")[1] == []
