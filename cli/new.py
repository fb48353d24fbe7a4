"""`headrace new`: a project that runs, to begin with."""

import keyword
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from headrace.cli.errors import USAGE, Failure, reported

FILES = {
    "README.md": "README.md",
    "Makefile": "Makefile",
    "pyproject.toml": "pyproject.toml",
    "compose.yaml": "compose.yaml",
    "__init__.py": "$name/__init__.py",
    "messages.py": "$name/messages.py",
    "order.py": "$name/order.py",
    "shelf.py": "$name/shelf.py",
    "tests.py": "tests/test_$name.py",
}
"""Where each template goes."""


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of folder and package: small letters, digits, _.")],
) -> None:
    """Make a project: messages, two aggregates, a saga, tests that pass, a Makefile and a compose file."""
    with reported(False):
        folder = Path(name)
        package = folder.name
        if not package.isidentifier() or keyword.iskeyword(package) or package != package.lower():
            raise Failure(USAGE, f"{package!r} names no Python package; use small letters, digits and _")
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise Failure(USAGE, f"{folder} is there and not empty; nothing was written")
        for template, place in FILES.items():
            path = folder / _filled(place, package)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = files("headrace.cli").joinpath(f"templates/{template}.txt").read_text()
            path.write_text(_filled(text, package))
    typer.echo(
        f"{folder} is made. Next:\n\n  cd {folder}\n  make test\n  make dev\n\nIts README.md says what to try then."
    )


def _filled(text: str, name: str) -> str:
    return Template(text).substitute(name=name)
