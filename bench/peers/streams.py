"""Kafka Streams as a process of its own: its jars fetched, our program for it compiled, and run."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.bench.processes import program
from headrace.embedded.jars import cache_folder, fetch_jars, find_jars, find_java
from headrace.streams.settings import Settings

_SOURCE = Path(__file__).with_name("Players.java")
_PINS = Path(__file__).with_name("jars.txt")


def prepared() -> list[str]:
    """The class path of the program, which is fetched and compiled when it is not there yet."""
    jars = cache_folder() / "kafka-streams-4.3.1"
    if not jars.exists():
        fetch_jars(jars, _PINS, "Kafka Streams 4.3.1 and a Java compiler", "78 MB")
    classes = cache_folder() / f"players-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]}"
    path = [str(jar) for jar in (*sorted(jars.glob("*.jar")), *find_jars())]
    if not classes.exists():
        compiler = ["-cp", os.pathsep.join(path), "org.eclipse.jdt.internal.compiler.batch.Main"]
        command = [str(find_java()), *compiler, "-17", "-cp", os.pathsep.join(path), "-d", str(classes), str(_SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{_SOURCE.name} cannot be compiled: {done.stdout}{done.stderr}")
    return [str(classes), *path]


@contextmanager
def players(settings: Settings) -> Iterator[int]:
    """The process id of a Kafka Streams application that runs, for the player component of a deployment."""
    state, log = settings.state_dir / "streams", settings.state_dir / "streams.log"
    jvm = [str(find_java()), "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    command = [*jvm, "-cp", os.pathsep.join(prepared()), "Players", settings.bootstrap, settings.prefix, str(state)]
    with program(command, log, "Kafka Streams", lambda: b"running" in log.read_bytes()) as pid:
        yield pid
