"""What a wheel or an image holds, for the tests themselves run on the source tree."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def pins(name: str) -> dict[str, set[str]]:
    """The hashes of each requirement, by its name, version and marker."""
    text = (ROOT / name).read_text()
    blocks = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)
    return {
        block.split(" \\")[0].split(" ;")[0]: set(re.findall(r"sha256:[0-9a-f]{64}", block))
        for block in blocks
        if "==" in block
    }


def test_the_image_gets_a_part_of_what_is_locked() -> None:
    whole, part = pins("requirements.lock"), pins("requirements-runtime.lock")
    assert part.items() <= whole.items(), "run `make lock`"
    assert all(part.values()), "a requirement without a hash"


def test_the_image_gets_what_runs_and_builds_and_no_tools_of_development() -> None:
    names = {pin.partition("==")[0] for pin in pins("requirements-runtime.lock")}
    assert {"confluent-kafka", "faust-streaming", "rocksdict", "setuptools"} <= names
    assert not {"pytest", "mypy", "ruff", "matplotlib", "grpcio-tools"} & names


def folders() -> dict[str, str]:
    """The folder of each package that is named for the wheel."""
    found: dict[str, str] = SETUPTOOLS["package-dir"]
    return found


def test_every_package_is_in_the_wheel() -> None:
    inits = [init.parent for folder in folders().values() for init in (ROOT / folder).rglob("__init__.py")]
    places = {one.relative_to(ROOT).parts for one in inits}
    names = {".".join(parts) if parts == ("headrace",) else ".".join(("headrace", *parts)) for parts in places}
    assert names == set(SETUPTOOLS["packages"])


def test_every_package_gets_into_the_image() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {folder.partition("/")[0] for folder in folders().values()} <= kept


def test_every_package_can_be_imported_by_the_checks() -> None:
    named = re.search(r"^PACKAGES := (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert named
    assert {*named[1].split(), "headrace"} == {folder.partition("/")[0] for folder in folders().values()}
