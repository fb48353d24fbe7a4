"""Help and usage: complete, quick, and with the exit codes that are documented."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app

COMMANDS = [
    ["demo"],
    ["worker"],
    ["send"],
    ["state"],
    ["events"],
    ["topology"],
    ["monitor"],
    ["bench"],
    ["topics"],
    ["topics", "create"],
    ["topics", "describe"],
    ["topics", "check"],
    ["kafka"],
    ["kafka", "start"],
]
run = CliRunner().invoke


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = run(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage: " in result.output


def test_help_lists_all_commands_and_exit_codes() -> None:
    output = run(app, ["--help"]).output
    for command in COMMANDS:
        assert command[0] in output
    for line in ("0  done", "1  the answer is no", "2  wrong usage", "3  Kafka", "4  no answer in time"):
        assert line in output


def test_the_version_is_said() -> None:
    result = run(app, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("headrace 0.")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["send"], ["worker", "--web-port", "x"], ["bench", "nothing"], ["demo", "--hands", "0"]]
)
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    assert run(app, arguments).exit_code == 2


def test_help_waits_for_nothing_heavy() -> None:
    code = (
        "import sys\nfrom headrace.cli.main import app\n"
        "heavy = {'confluent_kafka', 'faust', 'pokerkit', 'pydantic', 'rocksdict', 'google.protobuf', 'jgo'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
