"""The Connect worker from pip, for real: it starts, takes connectors, says what is wrong, and leaves nothing behind."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.connectors.search.plugin import CONNECTOR
from headrace.embedded import BrokerFailed, EmbeddedConnect, PortTaken
from tests.support.http_json import ask

pytestmark = pytest.mark.kafka
HIDDEN = "not-to-be-seen"


def mistakes(connect: EmbeddedConnect, **changes: str) -> dict[str, str]:
    """What the worker says is wrong with a configuration of the search sink, by setting."""
    config = {
        "name": "cards",
        "connector.class": CONNECTOR,
        "topics": "cards",
        "index": "cards",
        "connection.url": "http://127.0.0.1:1",
    } | {name.replace("_", "."): value for name, value in changes.items()}
    status, answer = ask("PUT", f"{connect.url}/connector-plugins/SearchSinkConnector/config/validate", config)
    assert status == 200, answer
    found = {one["value"]["name"]: " ".join(one["value"]["errors"]) for one in answer["configs"]}
    return {name: errors for name, errors in found.items() if errors}


def test_the_search_sink_is_there_and_checks_its_settings(connect: EmbeddedConnect) -> None:
    plugins = {one["class"]: one["version"] for one in ask("GET", f"{connect.url}/connector-plugins")[1]}
    assert plugins[CONNECTOR][0].isdigit()
    assert mistakes(connect) == {}
    assert mistakes(connect, connection_url="https://a:9200,http://b") == {}
    assert "one index takes one topic" in mistakes(connect, topics="cards,hands")["index"]
    assert "must match" in mistakes(connect, index="Cards")["index"]
    assert "set both" in mistakes(connect, connection_username="me")["connection.password"]
    both = {"connection_username": "me", "connection_password": HIDDEN, "connection_api_key": HIDDEN}
    assert "not both" in mistakes(connect, **both)["connection.api.key"]
    wrong = mistakes(connect, connection_url=f"http://me:{HIDDEN}@host:9200")["connection.url"]
    assert "put user and password into connection.username" in wrong
    assert "each address must be http" in mistakes(connect, connection_url="host:9200")["connection.url"]


def test_what_is_wrong_is_said(bootstrap: str, connect: EmbeddedConnect) -> None:
    with pytest.raises(PortTaken, match=f"port {connect.ports[0]} of"):
        EmbeddedConnect(bootstrap, port=connect.ports[0]).start()
    with pytest.raises(BrokerFailed, match="the Connect worker ended before it was ready") as failed:
        EmbeddedConnect(bootstrap, properties={"offset.flush.interval.ms": "often"}).start()
    assert "a setting is wrong" in str(failed.value)
    with pytest.raises(BrokerFailed, match="does not run"):
        _ = EmbeddedConnect(bootstrap).url


def test_the_command_starts_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bootstrap: str) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    monkeypatch.setenv("HEADRACE_BOOTSTRAP", bootstrap)

    def run(*words: str) -> tuple[int, Any]:
        result = CliRunner().invoke(app, ["connect", *words, "--json"])
        return result.exit_code, json.loads(result.stdout)

    assert run("stop") == (0, {"running": False, "stopped": False})
    try:
        code, started = run("start", "--port", "0")
        assert (code, started["fresh"]) == (0, True)
        assert CONNECTOR in [one["class"] for one in ask("GET", f"{started['url']}/connector-plugins")[1]]
        code, again = run("start", "--port", "0")
        assert (code, again["fresh"], again["pids"]) == (0, False, started["pids"])
        code, refused = run("start", "--bootstrap", "127.0.0.1:1")
        assert (code, refused["exit_code"]) == (1, 1)
        assert "stop it first: headrace connect stop" in refused["error"]
        assert run("stop") == (0, {"running": False, "stopped": True})
        # of this process it is a child, that nobody waits for
        assert psutil.Process(started["pids"][0]).status() == psutil.STATUS_ZOMBIE
    finally:
        run("stop")
    code, missing = run("start", "--plugins", str(tmp_path / "nowhere"))
    assert code == 2
    assert "there is no folder" in missing["error"]


def test_the_jar_for_other_workers(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["connect", "plugin", str(tmp_path)])
    assert result.exit_code == 0
    with zipfile.ZipFile(result.stdout.strip()) as jar:
        service = jar.read("META-INF/services/org.apache.kafka.connect.sink.SinkConnector").decode()
        assert service.split() == [CONNECTOR]
        assert CONNECTOR.replace(".", "/") + ".class" in jar.namelist()
    refused = CliRunner().invoke(app, ["connect", "plugin", str(tmp_path / "nowhere")])
    assert refused.exit_code == 2
    assert "choose another folder" in refused.stderr
