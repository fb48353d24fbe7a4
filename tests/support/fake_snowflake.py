"""fakesnow, an emulator of Snowflake's SQL, in an environment of its own, which is made when it is not there yet."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace.bench import environment
from headrace.connectors.snowflake.declaration import PLUGINS
from headrace.embedded.jars import cache_folder, fetch_jars
from headrace.examples.poker.demo.read_side import PROGRAM

_PINS = Path(__file__).with_name("fakesnow.txt")
_SERVER = Path(__file__).with_name("snowflake_server.py")


def interpreter() -> Path:
    """The Python of that environment; skips the test where it cannot be made."""
    try:
        return environment.interpreter("test-fakesnow", _PINS, "fakesnow")
    except RuntimeError as error:
        pytest.skip(str(error))


def rows_of(statements: list[str], table: str, rows: list[tuple[Any, Any]], query: str) -> list[dict[str, Any]]:
    """The rows of a query, after these statements, and with rows in a table as the connector puts them there."""
    given = json.dumps({"statements": statements, "table": table, "rows": rows, "query": query})
    done = subprocess.run(
        [str(interpreter()), "-W", "ignore", str(PROGRAM)], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@contextmanager
def server() -> Iterator[tuple[str, str]]:
    """Address of a fakesnow server, which has the database and schema of the sinks, and a private key for a user."""
    command = [str(interpreter()), "-W", "ignore", str(_SERVER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            lines = (line for line in process.stdout if line.startswith("{"))
            told = json.loads(next(lines, "null"))
            assert told, "fakesnow did not start"
            yield told["url"], told["key"]
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(30)


def plugin() -> Path:
    """A folder for the plug-in path, with Snowflake's connector; skips the test where it cannot be had.

    The jar has no manifest for Connect. One beside it saves scanning its 160 MB.
    """
    folder = cache_folder() / "test-snowflake-sink" / "snowflake-2.5.0"
    if not folder.exists():
        try:
            fetch_jars(folder, Path(__file__).with_name("snowflake.txt"), "Snowflake's connector", "169 MB")
        except (OSError, RuntimeError) as error:
            if not folder.exists():  # else another process has fetched it meanwhile
                pytest.skip(f"Snowflake's connector cannot be fetched: {error}")
    with zipfile.ZipFile(folder / "manifest.jar", "w") as manifest:
        manifest.writestr("META-INF/services/org.apache.kafka.connect.sink.SinkConnector", f"{PLUGINS[2]}\n")
    return folder.parent
