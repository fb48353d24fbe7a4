"""The headrace command on a real broker: topics, a worker as a process, commands and answers, the demo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.embedded.broker import free_ports
from headrace.streams.admin.topics import create
from headrace.streams.settings import Settings
from headrace.topology.topology import TopicSpec
from tests.support import deadlines
from tests.support.log_timeline import timeline

pytestmark = pytest.mark.kafka
PROGRAM = [sys.executable, "-m", "headrace.cli.main"]
POKER = "headrace.examples.poker:topology"


@pytest.fixture
def deployment(bootstrap: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The prefix of a deployment of its own, which the environment names; its topics are gone in the end."""
    with deployed(bootstrap, monkeypatch, tmp_path) as prefix:
        yield prefix


@contextmanager
def deployed(bootstrap: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[str]:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    prefix = f"t{uuid.uuid4().hex[:10]}."
    monkeypatch.setenv("HEADRACE_BOOTSTRAP", bootstrap)
    monkeypatch.setenv("HEADRACE_PREFIX", prefix)
    monkeypatch.setenv("HEADRACE_TOPOLOGY", POKER)
    monkeypatch.setenv("HEADRACE_STATE_DIR", str(folder / "state"))
    yield prefix
    admin = AdminClient({"bootstrap.servers": bootstrap})
    mine = [name for name in admin.list_topics(timeout=deadlines.seconds(10)).topics if name.startswith(prefix)]
    for future in admin.delete_topics(mine, request_timeout=deadlines.seconds(20)).values() if mine else ():
        future.exception(20)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def answer(*arguments: str, code: int = 0) -> Any:
    """The object that a command prints with --json."""
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


# ---- topics


def test_topics_are_checked_created_described_and_repaired(bootstrap: str, deployment: str) -> None:
    found = answer("topics", "check", code=1)
    assert f"{deployment}main.player.events is missing" in found["problems"]
    assert len(found["problems"]) == 13

    made = answer("topics", "create", "--partitions", "3")
    assert len(made["created"]) == 13
    assert answer("topics", "check") == {"fit": True, "problems": []}
    assert run("topics", "create").stdout == "nothing to create: 13 topics are there\n"

    result = run("topics", "describe", "--domain", "player", "--json")
    rows = {row["topic"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert rows[f"{deployment}main.player.events"]["partitions"] == 3
    assert rows[f"{deployment}main.player.events"]["config"]["cleanup.policy"] == "compact"
    assert not any("hand" in name for name in rows)

    admin = AdminClient({"bootstrap.servers": bootstrap})
    events = f"{deployment}main.player.events"
    entry = ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, events, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)
    wrong = f"{events} has cleanup.policy=delete, not compact"
    assert answer("topics", "check", code=1)["problems"] == [wrong]
    result = run("topics", "create")  # changes nothing that is there unless told to
    assert result.exit_code == 1
    assert f"still to be done: {wrong}" in result.stderr
    assert answer("topics", "create", "--repair")["changed"] == [f"{events}: set cleanup.policy=compact"]
    assert answer("topics", "check")["fit"]


def test_missing_topics_get_the_partitions_of_their_domain(bootstrap: str, deployment: str) -> None:
    there = TopicSpec(
        f"{deployment}main.hand.commands", 5, {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}
    )
    create(Settings(bootstrap=bootstrap), [there])
    answer("topics", "create", "--domain", "hand")
    assert answer("topics", "check", "--domain", "hand")["fit"]
    assert "main.hand.events has 5 partitions, not 6" in run("topics", "check", "--partitions", "6").stdout


def test_without_topics_nothing_starts_and_nothing_is_sent(deployment: str) -> None:
    for command in (["worker", "--web-port", "0"], ["send", "Award", "h", "{}"], ["state", "h", "--domain", "hand"]):
        result = run(*command)
        assert result.exit_code == 3, result.output
        assert f"{deployment}main.hand.commands" in result.stderr
        assert "`headrace topics create`" in result.stderr


def test_brokers_that_are_away_are_exit_3() -> None:
    result = run("topics", "check", "--topology", POKER, "--bootstrap", f"127.0.0.1:{free_ports(1)[0]}")
    assert result.exit_code == 3
    assert "no answer from Kafka at 127.0.0.1:" in result.stderr


# ---- a worker, and what one asks it


@pytest.fixture(scope="class")
def worker(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A worker that is ready, and its log, for all tests of the class; the environment names its deployment."""
    folder = tmp_path_factory.mktemp("worker")
    with pytest.MonkeyPatch.context() as patch, deployed(bootstrap, patch, folder):
        answer("topics", "create", "--partitions", "2")
        (port,) = free_ports(1)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*PROGRAM, "worker", "--web-port", str(port)], stderr=log)
        try:
            deadline = time.monotonic() + deadlines.seconds(30)
            while not is_ready(port):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
            yield process, folder / "log"
        finally:
            process.kill()
            process.wait()


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=deadlines.seconds(2)) as page:
            return bool(page.status == 200)
    except OSError:
        return False


@pytest.mark.usefixtures("worker")
class TestWithAWorker:
    def test_a_command_is_answered_and_its_events_and_state_are_shown(self) -> None:
        reply = answer("send", "RegisterPlayer", "anna", '{"name": "Anna"}')
        assert (reply["status"], reply["sequence"]) == ("accepted", 0)
        assert reply["events"][0]["data"] == {"name": "Anna"}
        result = run("send", "player/DepositFunds", "anna", '{"amount": 5}', "--expected-sequence", "0")
        assert result.exit_code == 0
        assert result.stdout.startswith("accepted; anna is at sequence 1 (command ")
        assert 'FundsDeposited  {"amount": "5", "newBalance": "5"}' in result.stdout

        state = answer("state", "anna", "--domain", "player")["state"]
        assert state == {"registered": True, "name": "Anna", "bankroll": "5", "reserved": {}, "staked": {}}
        lines = run("events", "anna", "--domain", "player", "--json").stdout.splitlines()
        assert [(e["sequence"], e["origin"]) for e in map(json.loads, lines)] == [(0, "request"), (1, "request")]
        assert "FundsDeposited" in run("events", "anna", "--domain", "player", "--from", "1").stdout
        anna = ["anna", "--domain", "player", "--as-of"]
        assert answer("state", *anna, "0")["state"]["bankroll"] == "0"
        assert "FundsDeposited" not in run("events", *anna, "0").stdout
        assert answer("state", *anna, "2999-01-01T00:00Z")["state"] == state
        result = run("state", *anna, "1999-01-01T00:00Z")
        assert result.exit_code == 1
        assert "anna has no events in domain player as of 1999-01-01T00:00Z" in result.stderr
        for wrong in ("1999-01-01T00:00", "yesterday", "-2"):
            result = run("events", "anna", "--domain", "player", f"--as-of={wrong}")
            assert result.exit_code == 2
            assert f"--as-of {wrong}" in result.stderr

    def test_a_refusal_is_exit_1(self) -> None:
        reply = answer("send", "DepositFunds", "nobody", '{"amount": 5}', code=1)
        assert (reply["status"], reply["reason"]) == ("rejected", "player is not registered")
        result = run("send", "DepositFunds", "nobody", '{"amount": 5}')
        assert result.exit_code == 1
        assert result.stdout.startswith("rejected; nobody has no events")

    def test_the_same_id_gets_the_same_answer(self) -> None:
        first = answer("send", "RegisterPlayer", "bert", '{"name": "Bert"}', "--id", "once")
        again = answer("send", "RegisterPlayer", "bert", '{"name": "Bert"}', "--id", "once")
        assert again == {**first, "already_processed": True}

    def test_a_conflict_is_exit_1_and_may_be_tried_again(self) -> None:
        answer("send", "RegisterPlayer", "carl", '{"name": "Carl"}')
        reply = answer("send", "RegisterPlayer", "carl", '{"name": "Karl"}', "--expected-sequence", "-1", code=1)
        assert reply["status"] == "rejected"

    def test_sent_without_waiting(self) -> None:
        sent = answer("send", "RegisterPlayer", "dora", '{"name": "Dora"}', "--no-wait", "--id", "dora-1")
        assert sent == {"command_id": "dora-1"}
        # a question lies behind the command in the partition, so its answer knows of it
        assert answer("state", "dora", "--domain", "player")["state"]["name"] == "Dora"

    def test_nothing_there_is_exit_1(self) -> None:
        assert answer("state", "nemo", "--domain", "player", code=1)["state"] is None
        result = run("events", "nemo", "--domain", "player")
        assert result.exit_code == 1
        assert "nemo has no events in domain player" in result.stderr

    def test_a_field_that_does_not_fit_is_named(self) -> None:
        result = run("send", "DepositFunds", "anna", '{"amout": 5}')
        assert result.exit_code == 2
        assert 'has no field named "amout"' in result.stderr

    def test_sigterm_ends_a_worker_in_order(self, worker: tuple[subprocess.Popen[bytes], Path]) -> None:
        process, log = worker
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
        assert time.monotonic() - started < deadlines.seconds(5)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert lines[0]["event"] == "worker starts"


def test_no_worker_is_exit_4(deployment: str) -> None:
    answer("topics", "create", "--partitions", "1", "--domain", "player")
    reply = answer("send", "RegisterPlayer", "anna", '{"name": "Anna"}', "--id", "anna-1", "--timeout", "0.5", code=4)
    assert "the outcome of command anna-1 is unknown" in reply["error"]
    assert (
        "is a worker for domain player running"
        in answer("state", "anna", "--domain", "player", "--timeout", "0.5", code=4)["error"]
    )


# ---- the demo


def test_the_demo_plays_hands_and_leaves_nothing(bootstrap: str, deployment: str, tmp_path: Path) -> None:
    environment = {**os.environ, "HEADRACE_HOME": str(tmp_path)}
    demo = [*PROGRAM, "demo", "--hands", "20", "--json"]
    done = subprocess.run(
        demo, env=environment, capture_output=True, text=True, timeout=deadlines.seconds(120), check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert list(result) == [
        *("hands", "commands", "events", "matched", "mismatched", "rejected", "seconds", "commands_per_second"),
        *("chips_in", "chips_out", "sagas", "compensations"),
    ]
    assert (result["hands"], result["matched"], result["mismatched"], result["rejected"]) == (20, 20, [], 0)
    assert result["events"] > result["commands"] > 20 * 20
    assert result["chips_in"] == result["chips_out"] == 20 * 60_000
    assert result["sagas"] > 20 * 20
    assert result["compensations"] == 2
    assert done.stderr == ""
    topics = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=deadlines.seconds(10)).topics
    assert not [name for name in topics if name.startswith(deployment)]
    assert not list(tmp_path.glob("demo-*"))


@pytest.mark.chaos
def test_the_demo_has_the_same_result_in_chaos(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    environment["HEADRACE_HOME"] = str(tmp_path)
    demo = [*PROGRAM, "demo", "--chaos", "--hands", "100", "--json"]
    done = subprocess.run(
        demo, env=environment, capture_output=True, text=True, timeout=deadlines.seconds(280), check=False
    )
    if done.returncode:
        pytest.fail(f"exit code {done.returncode}\n{timeline(tmp_path)}\n{done.stdout[:1500]}\n{done.stderr[-1500:]}")
    result = json.loads(done.stdout)
    assert (result["hands"], result["matched"], result["mismatched"], result["rejected"]) == (100, 100, [], 0)
    assert result["chips_in"] == result["chips_out"] == 100 * 60_000
    assert (result["worker_kills"], result["broker_restarts"]) == (6, 1)
    assert done.stderr == ""
    assert not list(tmp_path.glob("demo-*"))
