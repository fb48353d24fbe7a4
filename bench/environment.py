"""A Python environment of its own for what needs other packages than Headrace, made when it is not there yet."""

import hashlib
import subprocess
import sys
from pathlib import Path

from headrace.embedded.jars import cache_folder


def interpreter(name: str, pins: Path, what: str) -> Path:
    """The Python of the environment for these pinned packages; RuntimeError, naming `what`, if it cannot be made."""
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache_folder() / f"{name}-{digest}"
    python, made = folder / "bin" / "python", folder / ".made"
    if not made.exists():
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(pins)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{what} cannot be installed: {done.stdout[-1000:]}{done.stderr[-2000:]}")
        made.touch()
    return python
