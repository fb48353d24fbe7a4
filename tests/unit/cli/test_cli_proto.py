"""`headrace proto`: to Python, from Python, and what must not change."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.main import app

MODULE = """
from headrace import Message, field

class Lent(Message, package="{package}"{more}):
    reader: str = field(1)
    days: {days} = field(2)
"""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["proto", *arguments])


def test_messages_become_a_file_and_the_file_becomes_python(tmp_path: Path) -> None:
    (tmp_path / "lending.py").write_text(MODULE.format(package="shelves.v1", more="", days="int"))
    assert run("export", "lending").stdout == (
        'syntax = "proto3";\n\npackage shelves.v1;\n\nmessage Lent {\n  string reader = 1;\n  int64 days = 2;\n}\n'
    )
    assert run("export", "lending", "--out", "lending.proto").exit_code == 0
    assert run("compile").exit_code == 0
    assert "class Lent" in (tmp_path / "lending_pb2.pyi").read_text()
    assert run("export", "lending", "--check", "lending.proto").exit_code == 0


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("string reader = 1; string days = 2;", "Lent: number 2 was string days and is int64 days now"),
        ("string writer = 1; int64 days = 2;", "Lent: number 1 was string writer and is string reader now"),
        ("string reader = 1; int64 days = 2; bool late = 3;", "Lent.late: number 3 is gone; keep it, or reserve it"),
        ("string reader = 1; int64 days = 2; } message Back {", "Back is gone"),
    ],
)
def test_a_number_that_means_another_thing_is_refused(before: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "checked.py").write_text(MODULE.format(package="checked.v1", more="", days="int"))
    (tmp_path / "old.proto").write_text(f'syntax = "proto3"; package checked.v1; message Lent {{ {before} }}')
    result = run("export", "checked", "--check", "old.proto")
    assert result.exit_code == 1
    assert said in result.stderr


def test_a_number_that_is_reserved_may_go(tmp_path: Path) -> None:
    (tmp_path / "kept.py").write_text(MODULE.format(package="kept.v1", more=", reserved=(3,)", days="int"))
    text = 'syntax = "proto3"; package kept.v1; message Lent { string reader = 1; int64 days = 2; bool late = 3; }'
    (tmp_path / "old.proto").write_text(text)
    assert run("export", "kept", "--check", "old.proto").exit_code == 0
    assert "  reserved 3;" in run("export", "kept").stdout


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "bad.proto").write_text("nonsense")
    for arguments, code, said in [
        (["compile", "gone.proto"], 2, "there is no file gone.proto"),
        (["compile", "bad.proto"], 1, "bad.proto cannot be compiled"),
        (["export", "nowhere"], 2, "there is no module nowhere"),
        (["export", "empty"], 2, "empty has no messages"),
    ]:
        result = run(*arguments)
        assert (result.exit_code, said in result.stderr) == (code, True), result.stderr
