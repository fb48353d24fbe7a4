"""fakesnow, an emulator of Snowflake's SQL, in an environment of its own, which is made when it is not there yet."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.embedded.jars import cache_folder

_PINS = Path(__file__).with_name("fakesnow.txt")
_PROGRAM = Path(__file__).with_name("snowflake_sql.py")


def interpreter() -> Path:
    """The Python of that environment; skips the test where it cannot be made."""
    digest = hashlib.sha256(_PINS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache_folder() / f"test-fakesnow-{digest}"
    python, made = folder / "bin" / "python", folder / ".made"
    if not made.exists():
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(_PINS)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"fakesnow cannot be installed: {done.stderr[-500:]}")
        made.touch()
    return python


def rows_of(statements: list[str], table: str, rows: list[tuple[Any, Any]], query: str) -> list[dict[str, Any]]:
    """The rows of a query, after these statements, and with rows in a table as the connector puts them there."""
    given = json.dumps({"statements": statements, "table": table, "rows": rows, "query": query})
    done = subprocess.run(
        [str(interpreter()), "-W", "ignore", str(_PROGRAM)], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
