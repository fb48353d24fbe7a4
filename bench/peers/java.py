"""Java programs of one file, compiled where there is a Java but no JDK: Eclipse's compiler is a jar like any other."""

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


def compiled(source: Path, libraries: Sequence[Path]) -> str:
    """The class path of a program, which is compiled when it was not yet; RuntimeError says what is wrong with it."""
    kind = f"{source.stem.lower()}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    classes = cache_folder() / kind
    path = os.pathsep.join(str(jar) for jar in libraries)
    if not classes.exists():
        main = ["-cp", os.pathsep.join(map(str, compiler())), "org.eclipse.jdt.internal.compiler.batch.Main"]
        # not to its place at once: another process may look there meanwhile
        part = classes.with_name(f"{kind}.{os.getpid()}")
        command = [str(find_java()), *main, "-17", "-encoding", "UTF-8", "-cp", path, "-d", str(part), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{source.name} cannot be compiled: {done.stdout}{done.stderr}")
        try:
            part.rename(classes)
        except OSError:
            if not classes.exists():  # else the other one was quicker
                raise
            shutil.rmtree(part)
    return os.pathsep.join([str(classes), path])
