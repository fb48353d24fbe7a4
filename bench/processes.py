"""`headrace worker` as a process of its own, to be measured from outside."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=os.environ | own, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 120
        while not _ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the worker did not get ready; it said: {log.read_text()[-2000:]}")
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
