"""Commands from JSON: types by several names, text from several places, errors that name the field."""

import io
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.cli import show
from headrace.cli.errors import Failure
from headrace.cli.main import app
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker import topology
from headrace.schemas.event_schema import EventSchema
from headrace.streams.client import Event


def send(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["send", *arguments, "--bootstrap", "127.0.0.1:1"])


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("DepositFunds", '{"amount": 5}'),
        ("poker.v1.DepositFunds", '{"amount": "5"}'),
        ("player/DepositFunds", '{"amount": 5}'),
        ("player/poker.v1.DepositFunds", '{"amount": 5}'),
        ("player", '{"@type": "DepositFunds", "amount": 5}'),
        ("player", '{"@type": "type.googleapis.com/poker.v1.DepositFunds", "amount": 5}'),
    ],
)
def test_a_command_is_named_by_type_or_domain(what: str, text: str) -> None:
    spec, command = show.read_command(topology, what, text)
    assert spec.name == "player"
    assert command == pb.DepositFunds(amount=5)


@pytest.mark.parametrize(
    ("what", "text", "said"),
    [
        ("DepositFunds", '{"amout": 5}', 'has no field named "amout"'),
        ("DepositFunds", '{"amount": "five"}', "Failed to parse amount field"),
        ("DepositFunds", '{"amount": 1.5}', "Failed to parse amount field"),
        ("DepositFunds", '{"amount": 99999999999999999999}', "Failed to parse amount field"),
        ("StartHand", '{"players": "anna"}', "Failed to parse players field"),
        ("StartHand", '{"minBet": [1]}', "Failed to parse minBet field"),
        ("DepositFunds", '{"amount": 5', "Failed to load JSON"),
        ("DepositFunds", "[]", "poker.v1.DepositFunds as application/json: is no JSON object"),
        ("DepositFunds", "", "poker.v1.DepositFunds as application/json: is empty"),
        ("Act", '{"action": "JUMP"}', "action"),
        ("DepositFund", "{}", "Did you mean DepositFunds?"),
        ("Depozit", "{}", "Commands by domain: player: RegisterPlayer, DepositFunds"),
        ("hand/DepositFunds", "{}", "neither a command nor a domain of domain hand"),
        ("casino/DepositFunds", "{}", "unknown domain 'casino'"),
        ("player", '{"amount": 5}', '{"@type": "…", …}'),
        ("player", "{", "the command is not JSON"),
        ("player", '{"@type": "Deal"}', "'Deal' is neither a command"),
    ],
)
def test_what_is_wrong_with_a_command_is_named(what: str, text: str, said: str) -> None:
    result = send(what, "anna", text)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_fields_are_listed_when_one_is_wrong() -> None:
    assert "its fields are: key, amount" in send("ReserveFunds", "anna", '{"keys": 1}').stderr


@pytest.mark.parametrize("root", ["", "a\nb", "x" * 1025])
def test_a_root_that_cannot_be(root: str) -> None:
    result = send("DepositFunds", root, "{}")
    assert result.exit_code == 2
    assert "must have 1 to 1024 bytes, and no control characters" in result.stderr


def test_json_from_a_file_and_from_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "deposit.json"
    file.write_text('\ufeff{"amount": 5}', encoding="utf-8")
    assert show.read_text(f"@{file}") == '{"amount": 5}'
    monkeypatch.setattr("sys.stdin", io.StringIO('{"amount": 6}'))
    assert show.read_text("-") == '{"amount": 6}'
    with pytest.raises(Failure, match=r"cannot be read from .*nothing"):
        show.read_text(f"@{tmp_path}/nothing")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Failure, match="cannot be read from"):
        show.read_text(f"@{tmp_path}/binary")


def test_events_are_shown_on_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    deposited, strange = EventSchema("poker.v1.FundsDeposited"), EventSchema("poker.v2.Strange")
    data = pb.FundsDeposited(amount=5, new_balance=5)
    known = Event(3, deposited.type, data, b"", "now", "c", "c", "", deposited)
    show.event(known, False)
    show.event(known, True)
    show.event(Event(4, strange.type, None, b"\0", "now", "c", "c", "", strange), True)
    text, line, raw = capsys.readouterr().out.splitlines()
    assert text == '   3  now  FundsDeposited  {"amount": "5", "newBalance": "5"}  (request)'
    assert '"data": {"amount": "5", "newBalance": "5"}' in line
    assert '"raw": "AA=="' in raw


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--now", "2031-01-01T00:00Z"], "in main a command is decided at the time of its record; give --edition"),
        (["--now", "2031-01-01T00:00Z", "--edition", "main"], "give --edition"),
        (["--now", "soon", "--edition", "trial"], "--now soon: Invalid isoformat string"),
        (["--now", "2031-01-01T00:00", "--edition", "trial"], "names no time zone"),
    ],
)
def test_a_time_that_cannot_be_chosen_is_said_before_anything_is_sent(options: list[str], said: str) -> None:
    result = send("DepositFunds", "ann", '{"amount": 5}', "--topology", "headrace.examples.poker:topology", *options)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr
