"""Which topology, brokers and names a command is about, and what is said when they cannot be had."""

import json
import socket
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.cli import deployment as deployments
from headrace.cli.deployment import Deployment
from headrace.cli.errors import Failure
from headrace.cli.main import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


# ---- headrace topology


def test_no_topology_named_is_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_TOPOLOGY")
    result = run("topology")
    assert result.exit_code == 2
    assert "set HEADRACE_TOPOLOGY or --topology" in result.stderr


def test_topology_prints_that_of_the_environment() -> None:
    result = run("topology")
    assert result.exit_code == 0
    assert "hand (aggregate Hand, state poker.v1.HandState)" in result.stdout
    assert "reads   main.player.commands" in result.stdout


def test_topology_as_mermaid_and_with_a_prefix() -> None:
    result = run("topology", "--mermaid", "--prefix", "shop.")
    assert result.exit_code == 0
    assert result.stdout.startswith("flowchart LR\n")
    assert "shop.main.hand.events" in result.stdout


def test_topology_as_json() -> None:
    found = json.loads(run("topology", "--json").stdout)
    player = next(d for d in found["domains"] if d["domain"] == "player")
    assert player["aggregate"] == "Player"
    assert {"type": "poker.v1.DepositFunds", "events": ["poker.v1.FundsDeposited"], "merge": "commutative"} in player[
        "commands"
    ]
    assert "main.player.dead-letters" in player["topics"]


def test_topology_as_json_shows_sagas_and_process_managers() -> None:
    found = json.loads(run("topology", "--json", "--topology", "headrace.examples.poker:room").stdout)
    workflows = {w["name"]: w for w in found["workflows"]}
    assert workflows["usher"]["events"] == [{"type": "poker.v1.FundsReserved", "commands": ["poker.v1.SeatPlayer"]}]
    assert workflows["usher"]["reads"] == ["main.player.events", "main.usher.inbox"]
    assert (workflows["course"]["kind"], workflows["course"]["class"]) == ("process manager", "Course")


def test_topology_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TOPOLOGY", "tests.support.bank.accounts:topology")
    assert "account (aggregate Accounts" in run("topology").stdout


# ---- topologies that cannot be had


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.path", list(sys.path))


def test_a_module_in_the_working_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, monkeypatch, "shop_here", "from headrace.examples.poker import topology as poker\n")
    assert run("topology", "--topology", "shop_here:poker").exit_code == 0


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("shop", "must be written MODULE:NAME"),
        ("no.such.module:topology", "there is no module no; looked in"),
        ("headrace.nothing:topology", "there is no module headrace.nothing"),
        ("headrace.examples.poker:tables", "has no tables; topologies in it: read_side, room, topology"),
        ("headrace.examples.poker:Hand", "is a type; it must be a headrace Topology"),
    ],
)
def test_a_topology_that_is_not_there(reference: str, said: str) -> None:
    result = run("topology", "--topology", reference)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_module_that_fails_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, monkeypatch, "shop_fails", "x = 1\ny = x / 0\n")
    result = run("topology", "--topology", "shop_fails:topology")
    assert result.exit_code == 2
    assert "shop_fails.py:2: ZeroDivisionError: division by zero" in result.stderr


def test_a_missing_import_inside_the_module_is_not_taken_for_a_missing_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, monkeypatch, "shop_lacks", "import surely_not_there\n")
    result = run("topology", "--topology", "shop_lacks:topology")
    assert result.exit_code == 2
    assert "shop_lacks.py:1: ModuleNotFoundError: No module named 'surely_not_there'" in result.stderr


def test_all_mistakes_of_a_topology_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "from headrace.topology import Aggregate, Topology\nclass Shop(Aggregate): ...\ntopology = Topology(Shop, int)"
    )
    write(tmp_path, monkeypatch, "shop_mistaken", text)
    result = run("topology", "--topology", "shop_mistaken:topology")
    assert result.exit_code == 2
    assert "mistake(s) in the topology:" in result.stderr
    assert "  - Shop: domain is None" in result.stderr
    assert (
        "  - <class 'int'> is no Aggregate, CascadeCompensation, Saga, ProcessManager or Projector class"
        in result.stderr
    )


def test_with_json_an_error_is_an_object_too() -> None:
    result = run("topology", "--topology", "shop", "--json")
    assert json.loads(result.stdout) == {"error": result.stderr.removeprefix("headrace: ").strip(), "exit_code": 2}


# ---- settings


def test_no_brokers_named_is_exit_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    for command in (["topics", "check"], ["worker", "--web-port", "0"], ["state", "anna", "--domain", "player"]):
        result = run(*command)
        assert result.exit_code == 3
        assert "HEADRACE_BOOTSTRAP or --bootstrap, or run `headrace kafka start`" in result.stderr


def test_brokers_option_before_variable_before_own_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployments, "_own_kafka", lambda: "own:1")
    assert Deployment().settings().bootstrap == "own:1"
    assert Deployment().settings(own_kafka=False).bootstrap == ""
    monkeypatch.setenv("HEADRACE_BOOTSTRAP", "variable:1")
    assert Deployment().settings().bootstrap == "variable:1"
    assert Deployment(bootstrap="option:1").settings().bootstrap == "option:1"


def test_a_wrong_option_is_exit_2_and_a_wrong_variable_exit_3(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("topology", "--prefix", "no/slash")
    assert result.exit_code == 2
    assert "--prefix: topic prefix 'no/slash' must be empty, or words that each end in a dot" in result.stderr
    monkeypatch.setenv("HEADRACE_PARTITIONS", "many")
    result = run("topology")
    assert result.exit_code == 3
    assert "HEADRACE_PARTITIONS: Input should be a valid integer" in result.stderr


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA", "{not json, but hunter2 in it")
    result = run("topology")
    assert result.exit_code == 3
    assert "hunter2" not in result.output
    monkeypatch.setenv("HEADRACE_KAFKA", "{}")
    monkeypatch.setenv("HEADRACE_KAFKA__SECURITY_PROTOCOL", "hunter2")  # the client library repeats it in its error
    result = run("topics", "check", "--bootstrap", "127.0.0.1:1")
    assert result.exit_code == 3
    assert "a setting of the Kafka client is wrong" in result.stderr
    assert "hunter2" not in result.output


def test_unknown_and_unnamed_domains_are_exit_2() -> None:
    result = run("topics", "check", "--domain", "casino", "--bootstrap", "127.0.0.1:1")
    assert result.exit_code == 2
    assert "unknown domain 'casino'; this topology has: player, hand" in result.stderr
    result = run("state", "anna", "--bootstrap", "127.0.0.1:1")
    assert result.exit_code == 2
    assert "name the domain with --domain; this topology has: player, hand" in result.stderr


def test_the_only_domain_need_not_be_named() -> None:
    assert Deployment("tests.support.bank.accounts:topology").domain(None) == "account"
    with pytest.raises(LookupError, match="unknown domain 'casino'"):
        Deployment("tests.support.bank.accounts:topology").domain("casino")


def test_a_web_port_in_use_is_exit_3() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = run("worker", "--bootstrap", "127.0.0.1:1", "--web-port", port)
    assert result.exit_code == 3
    assert f"web port {port} on 127.0.0.1 cannot be used" in result.stderr


def test_failures_carry_their_exit_code() -> None:
    with pytest.raises(Failure) as caught:
        deployments.load_topology(":")
    assert caught.value.code == 2
