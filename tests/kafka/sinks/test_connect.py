"""`headrace connect` with a real Connect worker and search server: what is declared comes about, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace import Jdbc, Search
from headrace.embedded import EmbeddedConnect
from headrace.embedded.broker import free_ports
from headrace.schemas.record import milliseconds
from headrace.streams.clock import now_ms
from tests.support.connect_cli import SinksDeployment
from tests.support.connector import Connector
from tests.support.deployment import until
from tests.support.log_ends import end_offsets
from tests.support.search_server import OPENSEARCH, SearchServer
from tests.support.sink_cards import PlayerCards

DAY = 24 * 3600 * 1000
"""Milliseconds."""
SEARCH = "player-cards-v1.search"
LARGE = 1_047_900
"""Characters with which a document just fits into a topic of default settings."""
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def server() -> Iterator[SearchServer]:
    with SearchServer(OPENSEARCH) as running:
        yield running


@pytest.fixture
def sinks(
    bootstrap: str, connect: EmbeddedConnect, server: SearchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SinksDeployment]:
    """A deployment that declares a search sink, and has not deployed it."""
    made = SinksDeployment(monkeypatch, bootstrap, connect, tmp_path)
    made.declare(Search(PlayerCards, url=made.secret("url", server.url), index_settings={"number_of_replicas": 0}))
    yield made
    made.clean()


def card(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "chips": 5, "home": {"table": "t", "number": 1}, "joined": "2026-01-01T00:00:00Z", **fields}


def check(sinks: SinksDeployment, server: SearchServer) -> None:
    """The index is as the log says, once the sink has caught up."""
    sinks.await_caught_up()
    assert server.documents(sinks.documents.topic) == sinks.documents.expected()


def test_what_is_declared_comes_about_and_a_second_deployment_writes_nothing(
    sinks: SinksDeployment, server: SearchServer, connect: EmbeddedConnect
) -> None:
    topic, name = sinks.documents.topic, sinks.connector("search").name
    assert sinks.run("diff", code=2).splitlines() == [f"{name}: connector is missing", f"{name}: index is missing"]
    assert sinks.status()[0]["state"] == "MISSING"
    assert sinks.run("deploy").splitlines() == [
        f"created index {topic}",
        f"created topic {sinks.prefix}main.player-cards-v1-search.sink-dead-letters",
        f"created {name}",
        f"started {name}",
    ]
    sinks.documents.write({f"p{number}": card(f"player {number}") for number in range(50)})
    sinks.documents.write({"p1": card("aborted"), "ghost": card("aborted")}, abort=True)
    sinks.documents.write({"p2": None})
    check(sinks, server)
    (row,) = sinks.status()
    assert (row["state"], row["lag"], row["dead_letters"]) == ("RUNNING", 0, 0)
    assert f"{name}  RUNNING  tasks: RUNNING  lag: 0  dead letters: 0" in sinks.run("status")
    assert sinks.run("diff") == "Connect is as declared\n"
    settings = server.request("GET", f"/{topic}/_settings?flat_settings=true")[1][topic]["settings"]
    assert settings["index.gc_deletes"] == "1h"
    configs = [f"{group_of(connect)}-configs"]
    before = end_offsets(sinks.documents.bootstrap, configs)
    assert sinks.run("deploy") == "nothing to do: 1 sink(s) are as declared\n"
    assert end_offsets(sinks.documents.bootstrap, configs) == before


def group_of(connect: EmbeddedConnect) -> str:
    lines = (connect.data_dir / "connect.properties").read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("group.id="))


def test_what_was_changed_by_hand_is_shown_without_secrets_and_put_right(
    sinks: SinksDeployment, server: SearchServer
) -> None:
    sinks.run("deploy")
    connector = sinks.connector("search")
    config = sinks.client().configs()[connector.name]
    byhand = {"tasks.max": "2", "connection.username": "me", "connection.password": "hunter2"}
    connector.deploy({**config, "connection.url": server.url, **byhand})
    server.request("PUT", f"/{sinks.documents.topic}/_settings", {"index": {"gc_deletes": "60s"}})
    output = sinks.run("diff", code=2)
    name, url = connector.name, config["connection.url"]
    assert output.splitlines() == [
        f"{name}: connection.password: '***', declared not set",
        f"{name}: connection.url: '***', declared '{url}'",
        f"{name}: connection.username: 'me', declared not set",
        f"{name}: tasks.max: '2', declared '1'",
        f"{name}: index gc_deletes: '60s', declared '1h'",
    ]
    assert "hunter2" not in sinks.run("diff", "--json", code=2)
    assert sinks.run("deploy").splitlines() == [
        f"changed index {sinks.documents.topic}: gc_deletes=1h",
        f"changed {name}",
    ]
    assert sinks.run("diff") == "Connect is as declared\n"


def test_sinks_rest_and_work_again(sinks: SinksDeployment, server: SearchServer) -> None:
    sinks.run("deploy")
    sinks.run("pause", "player-cards-v1.search")
    until(lambda: sinks.status()[0]["state"] == "PAUSED", "it rested")
    sinks.run("status", code=1)
    sinks.documents.write({"p": card("late")})
    assert sinks.status()[0]["lag"] > 0
    assert sinks.run("deploy").startswith("nothing to do"), "a person has paused it"
    sinks.run("resume")
    check(sinks, server)
    sinks.run("delete", "player-cards-v1.search")
    until(lambda: sinks.status()[0]["state"] == "MISSING", "it was deleted")
    assert server.documents(sinks.documents.topic) == sinks.documents.expected(), "its index stays"
    sinks.documents.write({"p": card("later")})
    sinks.run("deploy")
    check(sinks, server)


def test_a_lost_or_damaged_index_is_built_anew(sinks: SinksDeployment, server: SearchServer) -> None:
    sinks.run("deploy")
    topic = sinks.documents.topic
    sinks.documents.write({f"p{number}": card(f"player {number}") for number in range(20)})
    check(sinks, server)
    assert server.request("PUT", f"/{topic}/_doc/stranger", card("stranger"))[0] == 201
    assert server.request("DELETE", f"/{topic}/_doc/p3")[0] == 200
    output = sinks.run("reset", "player-cards-v1.search")
    assert output == f"{sinks.connector('search').name} reads all documents again\n"
    check(sinks, server)
    assert server.request("DELETE", f"/{topic}")[0] == 200
    assert "index is missing" in sinks.run("diff", code=2)
    sinks.run("reset", "player-cards-v1.search")
    check(sinks, server)


def dead_letters(sinks: SinksDeployment, *arguments: str) -> dict[str, dict[str, Any]]:
    """What `headrace dead-letters list` shows of sinks, by document."""
    lines = sinks.headrace("dead-letters", "list", *arguments, "--json", "--component", SEARCH).splitlines()
    return {data["root"]: data for data in map(json.loads, lines)}


def test_a_refused_document_is_listed_with_the_servers_reason_and_the_others_arrive(
    sinks: SinksDeployment, server: SearchServer
) -> None:
    sinks.run("deploy")
    good = {f"p{number}": card(f"player {number}") for number in range(5)}
    begun = now_ms()
    old = begun - 40 * DAY  # longer ago than dead letters are kept
    sinks.documents.write({**good, "bad": card("bad", chips="many"), "new": card("new", unknown=1)}, at=old)
    until(lambda: sinks.status()[0]["dead_letters"] == 2, "both were set aside")
    sinks.await_caught_up()
    assert documents(sinks, server) == good
    found = dead_letters(sinks)
    assert found.keys() == {"bad", "new"}
    assert found["bad"]["component"] == f"sink:{SEARCH}"
    assert found["bad"]["type"] == "Card"
    assert "failed to parse field [chips] of type [long]" in found["bad"]["error"]
    assert begun <= milliseconds(found["bad"]["last_failed"]) <= now_ms()
    (entry,) = (entry for entry in sinks.documents.read() if entry.key == b"bad")
    assert found["bad"]["id"] == f"{sinks.documents.topic}/{entry.partition}/{entry.offset}"
    shown = json.loads(sinks.headrace("dead-letters", "show", found["bad"]["id"], "--component", SEARCH, "--json"))
    assert bytes.fromhex(shown["value_hex"]) == entry.value
    assert "DataException" in shown["detail"]


def documents(sinks: SinksDeployment, server: SearchServer) -> dict[str, Any]:
    """What the index holds."""
    return {name: document for name, (_, document) in server.documents(sinks.documents.topic).items()}


def test_dead_letters_of_a_sink_are_replayed_and_discarded(sinks: SinksDeployment, server: SearchServer) -> None:
    sinks.run("deploy")
    topic = sinks.documents.topic
    bad = ("bad", "gone", "worse")
    sinks.documents.write({"new": card("new", unknown=1)} | {name: card(name, chips="many") for name in bad})
    until(lambda: sinks.status()[0]["dead_letters"] == 4, "all were set aside")
    output = sinks.headrace("dead-letters", "replay", "--component", SEARCH, code=4)
    assert "stays open" in output
    assert "failed to parse field [chips] of type [long]" in output
    assert dead_letters(sinks).keys() == {"new", *bad}
    fields = {"properties": {"unknown": {"type": "long"}}}
    assert server.request("PUT", f"/{topic}/_mapping", fields)[0] == 200
    # the full name of the connector does as well
    name = sinks.connector("search").name
    assert "sent again" in sinks.headrace("dead-letters", "replay", "--component", name, "--root", "new")
    check_but(sinks, server, bad)
    # a document is replayed as it is now, and not as it was
    sinks.documents.write({"bad": card("bad", chips=7), "gone": None})
    check_but(sinks, server, ("worse",))
    for name in ("bad", "gone"):
        sinks.headrace("dead-letters", "replay", "--component", SEARCH, "--root", name)
    check_but(sinks, server, ("worse",))
    assert dead_letters(sinks).keys() == {"worse"}
    sinks.headrace("dead-letters", "discard", "--component", SEARCH, "--root", "worse")
    sinks.headrace("dead-letters", "list", "--component", SEARCH, code=1)
    assert sinks.status()[0]["dead_letters"] == 0
    settled = {root: data["settled"] for root, data in dead_letters(sinks, "--all").items()}
    assert settled == {"new": "replayed", "bad": "replayed", "gone": "replayed", "worse": "discarded"}


def test_refused_documents_at_the_size_limit_harm_only_themselves(sinks: SinksDeployment, server: SearchServer) -> None:
    """A dead letter is larger than its record, and so than what topics and producers take by default."""
    sinks.run("deploy")
    unfit = {f"large-{number}": card("x" * LARGE, chips="many") for number in range(3)}
    for name, document in unfit.items():
        sinks.documents.write({name: document, f"beside-{name}": card("good")})
    sinks.documents.write({"large-and-good": card("x" * LARGE)})
    check_but(sinks, server, unfit)
    assert dead_letters(sinks).keys() == unfit.keys()
    (row,) = sinks.status()
    assert (row["runs"], row["dead_letters"]) == (True, len(unfit))


def check_but(sinks: SinksDeployment, server: SearchServer, without: Collection[str]) -> None:
    """As `check`, but for documents that were refused."""
    sinks.await_caught_up()
    expected = {name: one for name, one in sinks.documents.expected().items() if name not in without}
    assert server.documents(sinks.documents.topic) == expected


def test_a_reset_settles_dead_letters_and_those_that_are_refused_again_are_open(
    sinks: SinksDeployment, server: SearchServer
) -> None:
    sinks.run("deploy")
    sinks.documents.write({"bad": card("bad", chips="many")})
    until(lambda: sinks.status()[0]["dead_letters"] == 1, "it was set aside")
    assert "1 dead letter(s) are settled" in sinks.run("reset", SEARCH)
    until(lambda: sinks.status()[0]["dead_letters"] == 1, "it was refused again")
    sinks.documents.write({"bad": card("bad", chips=1)})
    sinks.await_caught_up()
    sinks.run("reset", SEARCH)
    check(sinks, server)
    assert sinks.status()[0]["dead_letters"] == 0


def test_a_sink_that_was_away_for_longer_than_deletions_are_kept_must_be_reset(
    sinks: SinksDeployment, server: SearchServer
) -> None:
    sinks.run("deploy")
    sinks.documents.write({"p": card("p"), "gone": card("gone")}, at=now_ms() - 40 * DAY)
    check(sinks, server)
    sinks.keep_deletions(1)
    (row,) = sinks.status()
    assert row["needs_reset"] == "", "it has read all there is, however old that is"
    sinks.run("pause")
    sinks.documents.write({"p": card("p", chips=7), "gone": None})
    until(lambda: sinks.status()[0]["needs_reset"], "it was away for too long")
    output = sinks.run("status", code=1)
    assert "deletions may be missing: its next record is of " in output
    assert f"`headrace connect reset {sinks.connector('search').name}` fills it again" in output
    assert "deletions may be missing" in sinks.run("resume")
    sinks.await_caught_up()
    assert "deletions may be missing" in sinks.run("status", code=1), "that it has caught up does not bring them back"
    sinks.keep_deletions(DAY)
    sinks.run("reset", SEARCH)
    assert sinks.status()[0]["needs_reset"] == "", "it reads old records, but it has not been away"
    check(sinks, server)
    sinks.run("status")


def test_the_monitor_serves_what_there_is_to_see_until_it_is_told_to_end(sinks: SinksDeployment) -> None:
    sinks.run("deploy")
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "headrace.cli.main", "monitor", "--web-port", str(port), "--every", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as monitor:

        def shown() -> str:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    return str(answer.read().decode())
            except OSError:
                return ""

        begin = f'{{sink="{sinks.prefix}main.player-cards-v1.'
        try:
            until(lambda: f'headrace_sink_runs{begin}search"}} 1.0' in shown(), "the sink was seen")
            # others that the module declares are not deployed
            assert f'headrace_sink_runs{begin}jdbc"}} 0.0' in shown()
            assert f'headrace_sink_needs_reset{begin}search"}} 0.0' in shown()
            # there are no topics of the projector's inputs
            assert 'headrace_monitor_failed_looks_total{what="projections"} 0.0' not in shown()
        finally:
            monitor.terminate()
            said = monitor.communicate(timeout=20)[1]
        assert monitor.returncode == 0, said
        assert '"what": "projections"' in said


def test_connectors_of_others_are_not_touched(sinks: SinksDeployment, connect: EmbeddedConnect) -> None:
    sinks.run("deploy")
    other = Connector(connect.url, f"x{sinks.connector('search').name}")
    other.deploy(sinks.client().configs()[sinks.connector("search").name])
    other.await_running()
    try:
        for command in ("pause", "delete", "reset"):
            output = sinks.run(command, other.name, code=2)
            assert "is no connector of this deployment" in output
            assert "Others are not touched" in output
        sinks.run("deploy")
        assert sinks.run("diff") == "Connect is as declared\n"
        assert other.states()[0] == "RUNNING"
    finally:
        other.delete()


def test_a_connector_that_is_not_declared_any_more_is_shown_and_can_be_deleted(sinks: SinksDeployment) -> None:
    sinks.run("deploy")
    sinks.declare()
    name = sinks.connector("search").name
    assert sinks.run("diff", code=2) == f"{name}: is not declared; `headrace connect delete` removes it\n"
    assert "only declared sinks can be reset" in sinks.run("reset", name, code=3)
    sinks.run("delete", name)
    until(lambda: sinks.run("diff") == "Connect is as declared\n", "it was gone")


def test_a_plugin_that_the_workers_have_not_is_said_before_anything_is_changed(sinks: SinksDeployment) -> None:
    sinks.declare(Jdbc(PlayerCards))
    output = sinks.run("deploy", code=3)
    assert "do not have io.debezium.connector.jdbc.JdbcSinkConnector; put its jars into their plugin.path" in output
    assert "They have: dev.headrace.search.SearchSinkConnector" in output
    assert sinks.connector("jdbc").states() == []


def test_a_refused_configuration_is_said_by_setting_without_what_it_hides(
    sinks: SinksDeployment, server: SearchServer
) -> None:
    sinks.declare(Search(PlayerCards, url=server.url, settings={"connection.url": sinks.secret("wrong", "hidden:9")}))
    output = sinks.run("deploy", code=3)
    assert "Search(PlayerCards): dev.headrace.search.SearchSinkConnector refuses its configuration:" in output
    assert "  - connection.url: " in output
    assert "Nothing was changed" in output
    assert "hidden:9" not in output
    assert server.request("GET", f"/{sinks.documents.topic}")[0] == 404


def test_what_is_away_is_named(sinks: SinksDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    sinks.declare(Search(PlayerCards, url=sinks.secret("away", f"http://127.0.0.1:{port}")))
    output = sinks.run("deploy", code=3)
    assert "no answer from the search server" in output
    assert sinks.connector("search").states() == []
    sinks.declare(Search(PlayerCards, url="${env:HEADRACE_TEST_NOWHERE}"))
    assert "${env:HEADRACE_TEST_NOWHERE} has no value on this machine" in sinks.run("diff", code=3)
    monkeypatch.setenv("HEADRACE_CONNECT_URL", f"http://me:secret@127.0.0.1:{port}")
    for command in ("diff", "deploy", "status"):
        output = sinks.run(command, code=3)
        assert f"no answer from Connect at http://127.0.0.1:{port} " in output
        assert "secret" not in output
    data = json.loads(sinks.run("diff", "--json", code=3).splitlines()[0])
    assert data["exit_code"] == 3


def test_an_interrupted_deployment_is_completed(sinks: SinksDeployment, server: SearchServer) -> None:
    sinks.run("deploy")
    connector = sinks.connector("search")
    sinks.client().stop(connector.name)
    assert sinks.run("deploy") == f"started {connector.name}\n"
    sinks.documents.write({"p": card("p")})
    check(sinks, server)


def test_another_index_setting_is_carried_out_where_it_can_be(sinks: SinksDeployment, server: SearchServer) -> None:
    first = Search(PlayerCards, url=sinks.secret("again", server.url), index_settings={"number_of_shards": 1})
    sinks.declare(first)
    sinks.run("deploy")
    sinks.declare(replace(first, index_settings={"number_of_shards": 2}))
    assert "refuses PUT: HTTP 400" in sinks.run("deploy", code=3)
