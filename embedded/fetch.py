"""Bringing the jars of Apache Kafka from a Maven repository."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import requests
from jgo.config import GlobalSettings
from jgo.maven import MavenContext

from headrace.embedded.errors import JarsUnavailable
from headrace.embedded.jars import Pin, Progress
from headrace.embedded.report import reporting

_CHUNK = 1 << 17
_WORKERS = 6


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


def fetch_all(folder: Path, wanted: Sequence[Pin], title: str, progress: Progress | None = None) -> None:
    """Fetch the jars that the folder lacks; what is there already is checked.

    Args:
        title: what the progress is called on stderr.
        progress: told of every piece that comes, instead of showing the progress on stderr.

    Raises:
        JarsUnavailable: a jar is not to be had from any repository, or is not the one that is expected.
    """
    if progress is not None:
        _fetch(folder, wanted, progress)
    else:
        with reporting(title) as shown:
            _fetch(folder, wanted, shown)


def _fetch(folder: Path, wanted: Sequence[Pin], progress: Progress) -> None:
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
