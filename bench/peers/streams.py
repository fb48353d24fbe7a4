"""Kafka Streams as a process of its own: its jars fetched, our program for it compiled, and run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.bench.processes import program
from headrace.embedded.compiler import compiled
from headrace.embedded.jars import cache_folder, fetch_jars, find_jars, find_java
from headrace.streams.settings import Settings

_SOURCE = Path(__file__).with_name("Players.java")
_PINS = Path(__file__).with_name("jars.txt")


def prepared() -> str:
    """The class path of the program, which is fetched and compiled when it is not there yet."""
    jars = cache_folder() / "kafka-streams-4.3.1"
    if not jars.exists():
        fetch_jars(jars, _PINS, "Kafka Streams 4.3.1", "75 MB")
    libraries = [*sorted(jars.glob("*.jar")), *find_jars()]
    return os.pathsep.join(map(str, [compiled([_SOURCE], libraries), *libraries]))


@contextmanager
def players(settings: Settings) -> Iterator[int]:
    """The process id of a Kafka Streams application that runs, for the player component of a deployment."""
    state, log = settings.state_dir / "streams", settings.state_dir / "streams.log"
    jvm = [str(find_java()), "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    command = [*jvm, "-cp", prepared(), "Players", settings.bootstrap, settings.prefix, str(state)]
    with program(command, log, "Kafka Streams", lambda: b"running" in log.read_bytes()) as pid:
        yield pid
