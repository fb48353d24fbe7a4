"""Java programs of a few files, compiled where there is a Java but no JDK: Eclipse's compiler is a jar of its own."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from headrace.embedded.jars import cache_folder, fetch_jars, find_java

_PINS = Path(__file__).with_name("compiler.txt")


def compiler() -> list[Path]:
    """The jars of the compiler, fetched when they are not there; OSError or RuntimeError when they cannot be."""
    jars = cache_folder() / "ecj-3.42.0"
    if not jars.exists():
        try:
            fetch_jars(jars, _PINS, "a Java compiler", "3 MB")
        except (OSError, RuntimeError):
            if not jars.exists():  # else another process has fetched it meanwhile
                raise
    return sorted(jars.glob("*.jar"))


def compiled(sources: Sequence[Path], libraries: Sequence[Path]) -> Path:
    """The folder with a program's classes, which is compiled when it was not yet.

    It is named after the first source. RuntimeError says what is wrong with the program; see also `compiler`.
    """
    content = b"".join(source.read_bytes() for source in sources)
    kind = f"{sources[0].stem.lower()}-{hashlib.sha256(content).hexdigest()[:12]}"
    classes = cache_folder() / kind
    if not classes.exists():
        path = os.pathsep.join(map(str, libraries))
        main = ["-cp", os.pathsep.join(map(str, compiler())), "org.eclipse.jdt.internal.compiler.batch.Main"]
        # not to its place at once: another process may look there meanwhile
        part = classes.with_name(f"{kind}.{os.getpid()}")
        options = ["-17", "-encoding", "UTF-8", "-cp", path, "-d", str(part)]
        command = [str(find_java()), *main, *options, *map(str, sources)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{sources[0].name} cannot be compiled: {done.stdout}{done.stderr}")
        try:
            part.rename(classes)
        except OSError:
            if not classes.exists():  # else the other one was quicker
                raise
            shutil.rmtree(part)
    return classes
