"""Worker processes out of a fork server, because importing all that a worker needs takes longer than most tests do."""

import ctypes
import multiprocessing
import os
import runpy
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL = 1

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["headrace.streams.runtime.worker", "__main__"])


def start(runner: Path, environment: dict[str, str], log: Path) -> BaseProcess:
    """A new process that runs this program with just this environment, and writes to `log`."""
    process = _server.Process(target=_run, args=(str(runner), environment, str(log)), daemon=True)
    process.start()
    return process


def _run(runner: str, environment: dict[str, str], log: str) -> None:
    # without its parent, which goes with the tests, a worker would wait for its broker for ever
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    runpy.run_path(runner, run_name="__main__")
