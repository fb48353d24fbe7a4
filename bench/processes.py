"""What is measured from outside: `headrace worker`, or another program, as a process of its own."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from headrace.embedded.broker import free_ports
from headrace.streams.settings import Settings


@contextmanager
def worker(settings: Settings, topology: str, components: Sequence[str]) -> Iterator[int]:
    """The process id of a worker that is ready, with `components` of `topology` (module:name).

    It is ended as an operator would end it.
    """
    (port,) = free_ports(1)
    own = {
        "HEADRACE_BOOTSTRAP": settings.bootstrap,
        "HEADRACE_PREFIX": settings.prefix,
        "HEADRACE_STATE_DIR": str(settings.state_dir / f"worker-{components[0]}"),
        "HEADRACE_LOG": "warning",
    }
    command = [sys.executable, "-m", "headrace.cli.main", "worker", "--topology", topology, "--web-port", str(port)]
    command += [word for component in components for word in ("--domain", component)]
    log = settings.state_dir / f"worker-{components[0]}.log"
    with program(command, log, "the worker", lambda: _ready(port), os.environ | own) as pid:
        yield pid


@contextmanager
def program(
    command: Sequence[str],
    log: Path,
    name: str,
    ready: Callable[[], bool],
    variables: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """The process id of a command that is ready; RuntimeError, with what it wrote, when it is not in time, or ends."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=variables, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 120
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not get ready; it said: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
            return True
    except OSError:
        return False
