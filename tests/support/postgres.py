"""A Postgres for tests, of Debian's packages: started in a second, with data of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import pytest

from headrace.embedded.broker import free_ports
from headrace.embedded.jars import cache_folder, fetch_jars
from headrace.embedded.process import Process
from tests.support.deployment import until

_NOBODY = 65534


class Postgres:
    """A server on a free port of 127.0.0.1, as a context manager; skips the test where there is none."""

    user = "cards"
    password = "geheim"  # noqa: S105, of a server that is gone after the test

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self._bin = _programs()
        self._folder: Path | None = None
        self._process: Process | None = None

    @property
    def jdbc_url(self) -> str:
        return f"jdbc:postgresql://127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-postgres-"))
        try:
            password = self._folder / "password"
            password.write_text(self.password)
            data = self._folder / "data"
            data.mkdir()
            if os.geteuid() == 0:  # as root it refuses to run
                for path in (self._folder, password, data):
                    os.chown(path, _NOBODY, _NOBODY)
            options = ["-D", str(data), "-U", self.user, "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8"]
            done = subprocess.run([*_as_user(), str(self._bin / "initdb"), *options], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_error: object) -> None:
        if self._process:
            self.stop()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> Self:
        """Start it on its data, and wait until it answers."""
        assert self._folder
        options = ["-D", str(self._folder / "data"), "-p", str(self.port), "-h", "127.0.0.1", "-k", ""]
        log = self._folder / "postgres.log"
        self._process = process = Process(
            "Postgres", [*_as_user(), str(self._bin / "postgres"), *options, "-F"], log, detached=False
        )

        def ready() -> bool:
            if not process.alive:
                raise process.failure("ended before it was ready")
            return self._psql("SELECT 1").returncode == 0

        until(ready, "Postgres answered", 60)
        return self

    def stop(self) -> None:
        """Stop it at once; its data stays."""
        assert self._process
        self._process.signal(signal.SIGINT)
        if not self._process.wait(30):
            self._process.kill()

    def query(self, sql: str) -> list[Any]:
        """The rows of a query, each as a dict."""
        found = self._psql(f"SELECT coalesce(json_agg(q), '[]') FROM ({sql}) AS q")
        assert found.returncode == 0, found.stderr
        rows: list[Any] = json.loads(found.stdout)
        return rows

    def execute(self, sql: str) -> None:
        """Carry out a statement."""
        done = self._psql(sql)
        assert done.returncode == 0, done.stderr

    def _psql(self, sql: str) -> subprocess.CompletedProcess[str]:
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": self.user, "PGPASSWORD": self.password}
        command = [
            str(self._bin / "psql"),
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            "postgres",
            "-c",
            sql,
        ]
        return subprocess.run(command, env=os.environ | where, capture_output=True, text=True, check=False)


def jdbc_plugin() -> Path:
    """A folder for the plug-in path, with Debezium's JDBC sink; skips the test where it cannot be had."""
    folder = cache_folder() / "test-jdbc-sink" / "debezium-3.5.0"
    if not folder.exists():
        try:
            fetch_jars(folder, Path(__file__).with_name("jdbc.txt"), "Debezium's JDBC sink", "32 MB")
        except (OSError, RuntimeError) as error:
            if not folder.exists():  # else another process has fetched it meanwhile
                pytest.skip(f"Debezium's JDBC sink cannot be fetched: {error}")
    return folder.parent


def _programs() -> Path:
    """Where initdb, postgres and psql are."""
    folders = [Path(found).parent] if (found := shutil.which("initdb")) else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if all((folder / name).is_file() for name in ("initdb", "postgres", "psql")):
            return folder
    pytest.skip("no Postgres; Debian's package postgresql has one")


def _as_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
