"""Where the jars of Apache Kafka come from: an installed Kafka, the cache, or a Maven repository."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from jgo.config import GlobalSettings
from jgo.maven import MavenContext

from headrace.streams.embedded.errors import JarsUnavailable
from headrace.streams.embedded.pins import PINS
from headrace.streams.embedded.report import reporting, say

KAFKA_VERSION = "4.3.1"
# The oldest that knows the consumer group protocol and has left ZooKeeper behind.
OLDEST_KAFKA = (4, 0)
_CHUNK = 1 << 17
_WORKERS = 6

Progress = Callable[[int, int], None]
"""Called with (bytes fetched so far, bytes in all), from several threads but never at the same time."""


@dataclass(frozen=True)
class Pin:
    """One jar that must be there: its Maven coordinate, its bytes and its checksum."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


@dataclass(frozen=True)
class KafkaJars:
    """A Kafka that can be run: its version and its class path, in a fixed order."""

    version: str
    classpath: tuple[Path, ...]
    home: Path | None = None
    """KAFKA_HOME, if the jars are from there; None if they are from the cache."""


def cache_folder() -> Path:
    """HEADRACE_CACHE, or `headrace` in the user's cache folder. Not created here."""
    own = os.environ.get("HEADRACE_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace"


def pins() -> tuple[Pin, ...]:
    """All jars of the embedded Kafka."""
    found: list[Pin] = []
    group = version = ""
    for line in PINS.strip().splitlines():
        if line.startswith(" "):
            artifact, size, sha256 = line.split()
            found.append(Pin(group, artifact, version, int(size), sha256))
        else:
            group, version = line.split()
    return tuple(found)


def find_jars(progress: Progress | None = None, *, fetch: bool = True) -> KafkaJars:
    """The jars to run: from KAFKA_HOME if that is set, else from the cache, else fetched into it (about 55 MB).

    Safe to call from several processes at once; an interrupted fetch goes on where it stopped.

    Args:
        progress: told of every piece that comes; None shows the progress on stderr.
        fetch: whether to fetch what is missing.

    Raises:
        JarsUnavailable: KAFKA_HOME holds no usable Kafka; or the jars cannot be fetched; or they are not there and
            `fetch` is False.
    """
    home = os.environ.get("KAFKA_HOME")
    if home:
        return _installed(Path(home))
    folder = cache_folder() / f"kafka-{KAFKA_VERSION}"
    wanted = pins()
    if not _complete(folder, wanted):
        if not fetch:
            raise JarsUnavailable(
                f"Apache Kafka {KAFKA_VERSION} is not in {folder}; fetch it with: headrace kafka fetch"
            )
        with _locked(folder):
            if not _complete(folder, wanted):
                if progress is not None:
                    _fetch(folder, wanted, progress)
                else:
                    with reporting(f"fetching Apache Kafka {KAFKA_VERSION}") as shown:
                        _fetch(folder, wanted, shown)
    return KafkaJars(KAFKA_VERSION, tuple(folder / pin.filename for pin in wanted))


def _installed(home: Path) -> KafkaJars:
    jars = tuple(sorted((home / "libs").glob("*.jar")))
    versions = [match[1] for jar in jars if (match := re.fullmatch(r"kafka_2\.\d+-(\d[\w.]*)\.jar", jar.name))]
    if not versions:
        raise JarsUnavailable(
            f"KAFKA_HOME is {home}, but {home / 'libs'} holds no kafka_2.13-*.jar; "
            "let KAFKA_HOME point to an unpacked Apache Kafka, or unset it to have one fetched"
        )
    numbers = tuple(int(number) for number in re.findall(r"\d+", versions[0])[:2])
    if numbers < OLDEST_KAFKA:
        raise JarsUnavailable(
            f"KAFKA_HOME is {home}, an Apache Kafka {versions[0]}; Headrace's own broker needs 4.0 or newer: "
            "let KAFKA_HOME point to one, or unset it to have one fetched"
        )
    return KafkaJars(versions[0], jars, home)


def _marker(folder: Path) -> Path:
    return folder / "complete"


def _digest(wanted: tuple[Pin, ...]) -> str:
    return hashlib.sha256("\n".join(pin.sha256 for pin in wanted).encode()).hexdigest()


def _complete(folder: Path, wanted: tuple[Pin, ...]) -> bool:
    # The marker names the list it was written for: another list of jars in a later Headrace must not trust it. The
    # sizes are looked at besides, because caches get cleaned file by file.
    try:
        return _marker(folder).read_text() == _digest(wanted) and all(
            (folder / pin.filename).stat().st_size == pin.size for pin in wanted
        )
    except OSError:
        return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / "lock").open("w")
    except OSError as error:
        raise JarsUnavailable(
            f"the cache folder {folder} cannot be written ({error.strerror}); set HEADRACE_CACHE to a folder that can"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process fetches Apache Kafka into {folder}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class _Fetch:
    """One run of downloads: a session a thread, so that a connection serves many jars, and one count of bytes."""

    def __init__(self, folder: Path, progress: Progress, total: int) -> None:
        settings = GlobalSettings.load()
        # jgo's own configuration names the mirror of those who must not reach the public repository.
        self.context: Any = MavenContext(repo_cache=folder, remote_repos=settings.repositories or None)
        self.folder = folder
        self.progress = progress
        self.total = total
        self.done = 0
        self.lock = threading.Lock()
        self.local = threading.local()
        self.stopped = threading.Event()

    def advance(self, count: int) -> None:
        with self.lock:
            self.done += count
            self.progress(self.done, self.total)

    def one(self, pin: Pin) -> None:
        """Fetch one jar unless it lies there already, whole; try each repository, and each of them twice."""
        target = self.folder / pin.filename
        if target.is_file() and _sha256(target) == pin.sha256:
            self.advance(pin.size)
            return
        component = self.context.project(pin.group, pin.artifact).at_version(pin.version)
        path = f"{component.path_prefix.as_posix()}/{component.artifact().filename}"
        reasons: list[str] = []
        for name, base in self.context.remote_repos.items():
            for _ in range(0 if self.stopped.is_set() else 2):
                try:
                    self._download(f"{base.rstrip('/')}/{path}", target, pin)
                except (OSError, requests.RequestException, ValueError) as error:
                    reasons.append(f"{name}: {error}")
                else:
                    return
        raise JarsUnavailable(
            f"{pin.group}:{pin.artifact}:{pin.version} could not be fetched ({'; '.join(dict.fromkeys(reasons))}); "
            "check the network and call again (what has come stays), name a mirror in jgo's configuration under "
            "[repositories], or set KAFKA_HOME to an Apache Kafka that is there"
        )

    def _download(self, url: str, target: Path, pin: Pin) -> None:
        session = getattr(self.local, "session", None)
        if session is None:
            session = self.local.session = requests.Session()
        part = target.with_suffix(".part")
        digest, got = hashlib.sha256(), 0
        try:
            with session.get(url, stream=True, timeout=30) as response, part.open("wb") as file:
                response.raise_for_status()
                for chunk in response.iter_content(_CHUNK):
                    if self.stopped.is_set():
                        raise ValueError("stopped, because another jar failed")
                    file.write(chunk)
                    digest.update(chunk)
                    got += len(chunk)
                    self.advance(len(chunk))
            if digest.hexdigest() != pin.sha256:
                raise ValueError(f"its SHA-256 is {digest.hexdigest()}, not the {pin.sha256} that Headrace expects")
            # Renamed only when whole, so that a file of the final name is always a good one.
            part.replace(target)
        except BaseException:
            self.advance(-got)
            raise


def _fetch(folder: Path, wanted: tuple[Pin, ...], progress: Progress) -> None:
    run = _Fetch(folder, progress, sum(pin.size for pin in wanted))
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="headrace-fetch") as pool:
        # The big ones first: else the last jar to start is the one that all wait for.
        futures = [pool.submit(run.one, pin) for pin in sorted(wanted, key=lambda pin: -pin.size)]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            run.stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    _marker(folder).write_text(_digest(wanted))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
