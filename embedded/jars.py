"""Where the jars of Apache Kafka come from: an installed Kafka, the cache, or a Maven repository."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace.embedded.errors import JarsUnavailable
from headrace.embedded.pins import PINS

KAFKA_VERSION = "4.3.1"
# The oldest that knows the consumer group protocol and has left ZooKeeper behind.
OLDEST_KAFKA = (4, 0)

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
                # Only now, because what it needs takes 0.4 s to import, which each start would else pay.
                from headrace.embedded.fetch import fetch_all  # noqa: PLC0415

                fetch_all(folder, wanted, f"fetching Apache Kafka {KAFKA_VERSION}", progress)
                _marker(folder).write_text(_digest(wanted))
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
            sys.stderr.write(f"another process fetches Apache Kafka into {folder}; waiting for it\n")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
