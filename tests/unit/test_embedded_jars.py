"""Fetching the jars, from a repository on this machine that can fail, lie and break off."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from jgo.config import GlobalSettings

from headrace.embedded import JarsUnavailable, find_jars, jars

CONTENT = {f"/g/h/lib{i}/1.{i}/lib{i}-1.{i}.jar": bytes([i]) * (200_000 + i) for i in range(5)}


class Repository(ThreadingHTTPServer):
    """Serves CONTENT; `broken` maps a path to what is sent instead, None for a 404."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.broken: dict[str, bytes | None] = {}
        self.asked: list[str] = []

    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        repository = self.server
        assert isinstance(repository, Repository)
        repository.asked.append(self.path)
        whole = CONTENT.get(self.path)
        body = repository.broken.get(self.path, whole)
        if whole is None or body is None:
            self.send_error(404)
            return
        self.send_response(200)
        # Of the real length also if less comes: a connection that breaks off.
        self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        self.wfile.write(body)
        if len(body) < len(whole):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    listed = []
    for path, content in CONTENT.items():
        artifact, version = path.split("/")[3:5]
        listed.append(f"g.h {version}\n  {artifact} {len(content)} {hashlib.sha256(content).hexdigest()}")
    monkeypatch.setattr(jars, "PINS", "\n".join(listed))
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Repository() as server:
        settings = GlobalSettings(repositories={"here": server.url()})
        monkeypatch.setattr(GlobalSettings, "load", lambda: settings)
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        serving.start()
        yield server
        server.shutdown()


def ignore(done: int, total: int) -> None:
    pass


def test_all_come_once_and_are_told_of(repository: Repository) -> None:
    told: list[tuple[int, int]] = []
    found = find_jars(lambda done, total: told.append((done, total)))
    total = sum(map(len, CONTENT.values()))
    assert told[-1] == (total, total)
    assert [path.read_bytes() for path in found.classpath] == list(CONTENT.values())
    assert sorted(repository.asked) == sorted(CONTENT)
    assert find_jars(ignore) == found
    assert len(repository.asked) == len(CONTENT)


def test_without_a_terminal_the_progress_is_lines(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    find_jars()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "fetching Apache Kafka 4.3.1 …" in shown.err
    assert "all 1 MB in" in shown.err


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"\x01" * 200_001 + b"!", "SHA-256"), (b"\x01" * 1000, "IncompleteRead"), (None, "404")],
    ids=["another content", "broken off", "not there"],
)
def test_a_bad_jar_fails_and_the_next_call_fetches_only_what_lacks(
    repository: Repository, body: bytes | None, reason: str
) -> None:
    bad = "/g/h/lib1/1.1/lib1-1.1.jar"
    # As long as the real one, else the client would not even read to the end of it.
    repository.broken[bad] = body[: len(CONTENT[bad]) - 1] + b"?" if body and len(body) > 1000 else body
    with pytest.raises(JarsUnavailable, match=r"g\.h:lib1:1\.1 could not be fetched") as failed:
        find_jars(ignore)
    assert reason in str(failed.value)
    assert "KAFKA_HOME" in str(failed.value)
    folder = jars.cache_folder() / "kafka-4.3.1"
    assert not (folder / "lib1-1.1.jar").exists()
    with pytest.raises(JarsUnavailable, match="headrace kafka fetch"):
        find_jars(ignore, fetch=False)
    whole = {path.name for path in folder.glob("*.jar")}
    repository.broken.clear()
    repository.asked.clear()
    assert len(find_jars(ignore).classpath) == len(CONTENT)
    assert {path.rsplit("/", 1)[1] for path in repository.asked} == {Path(path).name for path in CONTENT} - whole


def test_a_mirror_that_lacks_a_jar_is_followed_by_the_next(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = GlobalSettings(repositories={"empty": repository.url() + "/empty", "here": repository.url()})
    monkeypatch.setattr(GlobalSettings, "load", lambda: settings)
    assert len(find_jars(ignore).classpath) == len(CONTENT)


def test_two_at_once_fetch_once(repository: Repository) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: find_jars(ignore), range(2))
    assert first == second
    assert sorted(repository.asked) == sorted(CONTENT)


def test_a_jar_that_went_away_is_fetched_again(repository: Repository) -> None:
    gone = find_jars(ignore).classpath[3]
    gone.unlink()
    repository.asked.clear()
    assert find_jars(ignore).classpath[3].exists()
    assert repository.asked == ["/g/h/lib3/1.3/lib3-1.3.jar"]


def test_a_cache_that_cannot_be_written_is_named(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path / "file"))
    with pytest.raises(JarsUnavailable, match="set HEADRACE_CACHE to a folder that can"):
        find_jars(ignore)
