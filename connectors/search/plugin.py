"""The search sink as a plug-in for Kafka Connect: compiled where there is a Java, and packed into a jar."""

import hashlib
import os
import shutil
import zipfile
from importlib.metadata import version
from pathlib import Path

from headrace.extras import MissingExtra

try:
    from headrace.embedded import JarsUnavailable, find_jars
    from headrace.embedded.compiler import compiled
    from headrace.embedded.jars import cache_folder
except ModuleNotFoundError as error:
    raise MissingExtra("embedded", error) from error

CONNECTOR = "dev.headrace.search.SearchSinkConnector"
_SOURCES = sorted(Path(__file__).parent.glob("*.java"))
_SERVICE = "META-INF/services/org.apache.kafka.connect.sink.SinkConnector"


def plugin() -> Path:
    """The sink's jar, alone in a folder for Connect's plug-in path; it is built when it is first needed.

    Raises:
        EmbeddedKafkaError: Java, the compiler or the jars of Connect are missing, or cannot be fetched.
    """
    identity = version("headrace").encode() + b"".join(source.read_bytes() for source in _SOURCES)
    folder = cache_folder() / f"search-sink-{hashlib.sha256(identity).hexdigest()[:12]}"
    jar = folder / f"headrace-search-{version('headrace')}.jar"
    if not jar.exists():
        try:
            classes = compiled(_SOURCES, find_jars())
            # Not to its place at once: another process may look there meanwhile.
            part = folder.with_name(f"{folder.name}.{os.getpid()}")
            part.mkdir(exist_ok=True)
            _pack(classes, part / jar.name)
            try:
                part.rename(folder)
            except OSError:
                if not jar.exists():
                    raise
                shutil.rmtree(part)
        except (OSError, RuntimeError) as error:
            if isinstance(error, JarsUnavailable):
                raise
            raise JarsUnavailable(
                f"the search sink could not be built in {cache_folder()}: {error}. See that the network is there, as "
                "its compiler is fetched once, and that HEADRACE_CACHE can be written"
            ) from error
    return jar


def _pack(classes: Path, jar: Path) -> None:
    manifest = f"Manifest-Version: 1.0\r\nImplementation-Version: {version('headrace')}\r\n\r\n"
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/MANIFEST.MF", manifest)
        archive.writestr(_SERVICE, f"{CONNECTOR}\n")
        for file in sorted(classes.rglob("*.class")):
            archive.write(file, file.relative_to(classes).as_posix())
