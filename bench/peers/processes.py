"""A peer as a process: started, watched until it runs, and ended."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_WITHIN = 120.0


@contextmanager
def program(command: Sequence[str], log: Path, name: str, said: str = "") -> Iterator[int]:
    """Its process id, once it has `said` something; RuntimeError, with what it wrote, when it ends instead."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + _WITHIN
        while said and said.encode() not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not run; it said: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
