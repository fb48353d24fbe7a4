"""Fetching the jars, from a repository on this machine that can fail, lie and break off."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from jgo.config import GlobalSettings

from headrace.embedded import JarsUnavailable, find_jars, jars

CONTENT = {f"/g/kafka_2.13-{i}/1.{i}/kafka_2.13-{i}-1.{i}.jar": bytes([i]) * (200_000 + i) for i in range(5)}


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
    lines = [
        f"{group}:{artifact}:{version} {hashlib.sha256(content).hexdigest()}"
        for (group, artifact, version), content in (
            (path.split("/")[1:4], content) for path, content in CONTENT.items()
        )
    ]
    (tmp_path / "pins").write_text("\n".join(["# pins", *lines]))
    monkeypatch.setattr(jars, "PINS", tmp_path / "pins")
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


def test_all_come_once_and_the_user_is_told(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    found = find_jars()
    assert [path.read_bytes() for path in found] == list(CONTENT.values())
    assert set(repository.asked) >= set(CONTENT)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"fetching Apache Kafka {jars.KAFKA_VERSION}: 5 jars" in shown.err
    repository.asked.clear()
    assert find_jars() == found
    assert repository.asked == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"\x01" * 200_001 + b"!", "SHA-256"), (b"\x01" * 1000, "IncompleteRead"), (None, "not found")],
    ids=["another content", "broken off", "not there"],
)
def test_a_bad_jar_fails_all_and_leaves_nothing(repository: Repository, body: bytes | None, reason: str) -> None:
    bad = "/g/kafka_2.13-1/1.1/kafka_2.13-1-1.1.jar"
    # As long as the real one, else the client would not even read to the end of it.
    repository.broken[bad] = body[: len(CONTENT[bad]) - 1] + b"?" if body and len(body) > 1000 else body
    with pytest.raises(JarsUnavailable, match="Apache Kafka could not be fetched into") as failed:
        find_jars()
    assert reason in str(failed.value)
    assert "KAFKA_HOME" in str(failed.value)
    assert list(jars.cache_folder().iterdir()) == []
    repository.broken.clear()
    assert len(find_jars()) == len(CONTENT)


def test_two_at_once_get_the_same(repository: Repository) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: find_jars(), range(2))
    assert first == second
    assert len(list(jars.cache_folder().iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_named(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path / "file"))
    with pytest.raises(JarsUnavailable, match="HEADRACE_CACHE can be written"):
        find_jars()


def own_authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The certificate of an authority that nobody knows, and a server's context with one that it has signed."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=proxy")
    openssl("req", *key, "-keyout", "key.pem", "-out", "csr.pem", "-subj", "/CN=127.0.0.1")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    sign = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2")
    openssl("x509", "-req", "-in", "csr.pem", "-out", "cert.pem", *sign)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "ca.pem", context


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make certificates with")
@pytest.mark.parametrize("trusted", [True, False])
def test_whom_the_system_trusts_is_trusted(
    trusted: bool, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a company's proxy that signs anew; the file stands for what such a system has."""
    authority, context = own_authority(tmp_path)
    repository.socket = context.wrap_socket(repository.socket, server_side=True)
    settings = GlobalSettings(repositories={"here": repository.url().replace("http:", "https:")})
    monkeypatch.setattr(GlobalSettings, "load", lambda: settings)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    before = ssl.SSLContext
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert [path.read_bytes() for path in find_jars()] == list(CONTENT.values())
    else:
        with pytest.raises(JarsUnavailable, match="certificate"):
            find_jars()
    assert ssl.SSLContext is before
