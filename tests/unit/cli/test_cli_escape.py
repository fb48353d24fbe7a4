"""What comes from outside does nothing to a terminal: it is shown, and obeyed by nobody."""

import pytest
from typer.testing import CliRunner

from headrace.cli.escape import printable
from headrace.cli.logs import _escape
from headrace.cli.main import app
from headrace.testing import TopologyDriver

EVIL = "\x1b]0;owned\x07\x9b2J\u202etxt.exe\r\nheadrace: all is well"


def test_only_print_is_printed() -> None:
    assert printable("Zoë räumt 42 € ab 🂡") == "Zoë räumt 42 € ab 🂡"
    assert printable(EVIL) == r"\x1b]0;owned\x07\x9b2J\u202etxt.exe\r\nheadrace: all is well"
    assert printable("a\n\tb\r", lines=True) == "a\n\tb\\r"


@pytest.mark.parametrize("command", [["list"], ["show"], ["trace"], ["trace", "--mermaid"], ["discard"]])
def test_what_a_record_says(command: list[str], driver: TopologyDriver) -> None:
    headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", EVIL),
        ("ce_source", "/x"),
        ("ce_type", f"<script>{EVIL}"),
        ("ce_subject", EVIL),
        ("ce_correlationid", "trip"),
    ]
    driver.produce("main.purse.commands", b"p", b"junk", headers)
    (last,) = driver.records("main.purse.dead-letters")[-1:]
    name = last.headers["ce_id"].decode()
    about = {"list": ["dead-letters", "list"], "show": ["dead-letters", "show", name], "trace": ["trace", "trip"]}
    about["discard"] = ["dead-letters", "discard", name]
    result = CliRunner().invoke(app, [*about[command[0]], *command[1:]])
    assert result.exit_code == 0, result.output
    assert all(line.isprintable() for line in result.output.replace("\t", " ").split("\n"))
    assert "headrace: all is well" not in result.output.split("\n")
    if command[0] != "discard":
        assert r"\x1b]0;owned" in result.output
    if "--mermaid" in command:
        assert "<script>" not in result.output


def test_an_error_text(driver: TopologyDriver) -> None:
    result = CliRunner().invoke(app, ["dead-letters", "show", EVIL])
    assert result.exit_code == 1
    assert r"there is no dead letter \x1b]0;owned" in result.stderr


def test_values_in_logs() -> None:
    entry = _escape(None, "warning", {"event": "odd", "error": EVIL, "count": 3})
    assert entry["error"] == "\\x1b]0;owned\\x07\\x9b2J\\u202etxt.exe\\r\nheadrace: all is well"
    assert entry["count"] == 3
