"""OpenSearch and Elasticsearch for tests: fetched once, started in seconds, with data of their own."""

from __future__ import annotations

import base64
import glob
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from headrace.embedded.broker import free_ports
from headrace.embedded.jars import cache_folder, fetch_jars
from headrace.embedded.process import Process
from tests.support.deployment import until
from tests.support.http_json import ask

_NOBODY = 65534
# Without the second compiler, which takes longer than these tests gain from it.
_OPTIONS = "-Xms512m -Xmx512m -XX:TieredStopAtLevel=1"


@dataclass(frozen=True)
class Product:
    """One kind of search server."""

    name: str
    variable: str
    """What the variables for its Java and its options begin with."""
    size: str
    settings: tuple[str, ...] = ()
    user: str = ""
    """The one that may do everything; empty where there are no users."""


OPENSEARCH = Product("opensearch", "OPENSEARCH", "56 MB")
_USERS = (
    "xpack.security.enabled: true",
    "xpack.security.http.ssl.enabled: false",
    "xpack.security.authc.api_key.enabled: true",
)
ELASTICSEARCH = Product("elasticsearch", "ES", "78 MB", _USERS, "tester")
PASSWORD = "correct-horse"  # noqa: S105


class SearchServer:
    """One node on a free port of 127.0.0.1, as a context manager; skips the test where it cannot be had."""

    def __init__(self, product: Product, *settings: str) -> None:
        self.product = product
        self.port, transport = free_ports(2)
        self._java = _java()
        self._settings = [
            "discovery.type: single-node",
            "network.host: 127.0.0.1",
            f"http.port: {self.port}",
            f"transport.port: {transport}",
            # a disk that is nearly full is no matter for tests
            "cluster.routing.allocation.disk.threshold_enabled: false",
            *product.settings,
            *settings,
        ]
        pair = f"{product.user}:{PASSWORD}".encode()
        self.authorization = f"Basic {base64.b64encode(pair).decode()}" if product.user else ""
        self._folder: Path | None = None
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        archive = _archive(self.product)
        self._folder = Path(tempfile.mkdtemp(prefix=f"headrace-{self.product.name}-"))
        try:
            self._unpack(archive)
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_error: object) -> None:
        if self._process:
            self.stop()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _unpack(self, archive: Path) -> None:
        assert self._folder
        with zipfile.ZipFile(archive) as whole:
            for each in whole.infolist():
                Path(whole.extract(each, self._folder)).chmod((each.external_attr >> 16) & 0o777 | 0o644)
        (home,) = self._folder.iterdir()
        (home / "config" / f"{self.product.name}.yml").write_text("\n".join(self._settings))
        if self.product.user:
            digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
            (home / "config" / "users").write_text(f"{self.product.user}:{{SHA}}{digest}\n")
            (home / "config" / "users_roles").write_text(f"superuser:{self.product.user}\n")
        if os.geteuid() == 0:  # as root it refuses to run
            for path in (self._folder, *self._folder.rglob("*")):
                os.chown(path, _NOBODY, _NOBODY)

    def start(self) -> Self:
        """Start it on its data, and wait until it answers."""
        assert self._folder
        (home,) = (path for path in self._folder.iterdir() if path.is_dir())
        user = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
        variable = self.product.variable
        own = {f"{variable}_JAVA_HOME": self._java, f"{variable}_JAVA_OPTS": _OPTIONS}
        command = ["env", *(f"{name}={value}" for name, value in own.items()), *user, f"bin/{self.product.name}"]
        self._process = Process(
            self.product.name,
            command,
            self._folder / "server.log",
            detached=False,
            folder=home,
            leftovers=[self._folder],
        )
        process = self._process

        def ready() -> bool:
            if not process.alive:
                raise process.failure("ended before it was ready")
            return self.answers

        until(ready, f"{self.product.name} answered", 60)
        return self

    def stop(self) -> None:
        """Stop it in order; its data stays."""
        assert self._process
        self._process.signal(signal.SIGTERM)
        if not self._process.wait(30):
            self._process.kill()

    @property
    def answers(self) -> bool:
        """Whether it is there and ready."""
        try:
            return self.request("GET", "/_cluster/health")[0] == 200
        except OSError:
            return False

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer; OSError where there is none."""
        return ask(method, self.url + path, body, self.authorization)

    def create(self, index: str, properties: dict[str, Any], dynamic: str = "strict") -> None:
        """Make an index with these mappings."""
        body = {
            "settings": {"number_of_shards": 1, "number_of_replicas": 0},
            "mappings": {"dynamic": dynamic, "properties": properties},
        }
        status, answer = self.request("PUT", f"/{index}", body)
        assert status == 200, answer

    def documents(self, index: str) -> dict[str, tuple[int, Any]]:
        """All documents of an index by id, each with its version."""
        self.request("POST", f"/{index}/_refresh")
        path = f"/{index}/_search?scroll=1m"
        body: dict[str, Any] = {"size": 10_000, "version": True}
        found: dict[str, tuple[int, Any]] = {}
        while True:
            status, answer = self.request("POST", path, body)
            assert status == 200, answer
            hits = answer["hits"]["hits"]
            if not hits:
                return found
            found |= {hit["_id"]: (hit["_version"], hit["_source"]) for hit in hits}
            path, body = "/_search/scroll", {"scroll": "1m", "scroll_id": answer["_scroll_id"]}


def _archive(product: Product) -> Path:
    folder = cache_folder() / f"test-{product.name}"
    if not folder.exists():
        try:
            fetch_jars(folder, Path(__file__).with_name(f"{product.name}.txt"), product.name, product.size)
        except (OSError, RuntimeError) as error:
            if not folder.exists():  # else another process has fetched it meanwhile
                pytest.skip(f"{product.name} cannot be fetched: {error}")
    (archive,) = folder.iterdir()
    return archive


def _java() -> str:
    """The home of a Java that these servers run on, which are older than that of the tests."""
    given = os.environ.get("JAVA_HOME")
    for home in [*([given] if given else []), *sorted(glob.glob("/usr/lib/jvm/*"))]:
        java = Path(home, "bin", "java")
        if java.is_file():
            said = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False).stderr
            version = re.search(r'version "(\d+)', said)
            if version and 17 <= int(version[1]) <= 21:
                return home
    pytest.skip("no Java 17 to 21 for a search server; Debian's package openjdk-17-jre-headless has one")
