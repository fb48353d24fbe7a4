"""All that can be done before the first start: the jars, the formatted folder, the class data archive."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from headrace.embedded.archive import archive_file, writing_options
from headrace.embedded.broker import EmbeddedKafka
from headrace.embedded.jars import KafkaJars, Progress, find_jars
from headrace.embedded.java import Java, find_java


@dataclass(frozen=True)
class Prepared:
    """What the embedded Kafka will run with."""

    jars: KafkaJars
    java: Java
    archive: Path | None
    """The class data archive; None if this Java makes none, which only costs time at each start."""


def prepare(progress: Progress | None = None) -> Prepared:
    """Fetch what is missing and run Kafka once to make starts quick. Takes a second if all is there.

    Raises:
        EmbeddedKafkaError: Java or the jars are missing, or Kafka does not start.
    """
    jars, java = find_jars(progress), find_java()
    archive = archive_file(java, jars)
    if not archive.is_file():
        part = archive.with_suffix(f".{os.getpid()}.part")
        # A folder that is not Kafka's to remove, so that the broker is stopped in order: only then its JVM writes.
        with (
            tempfile.TemporaryDirectory(prefix="headrace-prepare-") as folder,
            EmbeddedKafka(data_dir=Path(folder), jvm=writing_options(java, part)),
        ):
            pass
        if part.is_file():
            part.replace(archive)
    return Prepared(jars, java, archive if archive.is_file() else None)
