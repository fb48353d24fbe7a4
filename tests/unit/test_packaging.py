"""What a wheel or an image holds, for the tests themselves run on the source tree."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


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


def test_every_package_is_in_the_wheel() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        init.parent.relative_to(ROOT).as_posix()
        for folder in tools["package-dir"].values()
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert {f"headrace.{folder.replace('/', '.')}" for folder in folders} == set(tools["packages"])
