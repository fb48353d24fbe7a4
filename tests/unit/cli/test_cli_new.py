"""`headrace new`: a project whose tests pass, and never over another one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.main import app

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["new", *arguments])


def test_a_new_project_is_clean_and_its_tests_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = run("shop")
    assert made.exit_code == 0
    assert "make dev" in made.stdout
    folder, python = tmp_path / "shop", [sys.executable, "-m"]
    assert not [path for path in folder.rglob("*") if path.is_file() and "$name" in path.read_text(errors="replace")]
    environment = os.environ | {"MYPYPATH": str(ROOT / "build/tree")}  # which does not ask Python where headrace is
    for command in (
        [*python, "pytest", "-q", "-p", "no:cacheprovider"],
        [*python, "ruff", "check", "--isolated", "."],
        [*python, "mypy", "--strict", "--allow-any-generics", "--no-incremental", "shop"],
    ):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"


@pytest.mark.parametrize("name", ["my-shop", "1shop", "class", "Shop"])
def test_a_name_that_names_no_package(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(name)
    assert (result.exit_code, f"{name!r} names no Python package" in result.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine").write_text("mine")
    result = run("shop")
    assert (result.exit_code, "shop is there and not empty" in result.stderr) == (2, True)
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["mine"]
    (tmp_path / "shop" / "mine").unlink()
    assert run("shop").exit_code == 0
