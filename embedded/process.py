"""One JVM: started, watched, ended. Nothing here ends a process that it cannot show to be its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from pathlib import Path
from queue import SimpleQueue

from headrace.embedded.errors import BrokerFailed
from headrace.embedded.jars import KafkaJars
from headrace.embedded.java import Java

_TAIL_LINES = 25
_POLL_SECONDS = 0.02

STOP_SECONDS = 20.0
"""How long a broker may take to stop in order before it is killed."""
LAST_SECONDS = 1.5

# Asks the kernel (1 is PR_SET_PDEATHSIG) to kill what this process becomes when its parent dies, then becomes it. The
# check closes the gap in which the parent died before it was asked. Not a preexec_fn: that runs Python between fork and
# exec in a process with other threads.
_TIED = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
os.getppid() == int(sys.argv[1]) or os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""

# Whoever reads a log with one of these in it is told what to do about it.
_KNOWN_CAUSES = {
    "Address already in use": "another process took one of its ports: choose another port, or let free ones be chosen",
    "Failed to acquire lock": "another Kafka runs on the same data folder: stop that one, or choose another folder",
    "Could not reserve enough space": "the machine has too little memory left: set HEADRACE_KAFKA_HEAP=256m",
    "OutOfMemoryError": "its heap is too small: set HEADRACE_KAFKA_HEAP=1g",
    "No space left on device": "the disk is full",
    "doesn't match stored clusterId": "the data folder is of another cluster: choose another folder",
    "Invalid maximum heap size": "HEADRACE_KAFKA_HEAP is not a size such as 512m or 1g",
    "ConfigException": "a setting is wrong: see `properties`",
}


def jvm_options() -> list[str]:
    """Heap and collector. HEADRACE_KAFKA_HEAP is the largest heap, such as 512m (the default) or 1g."""
    heap = os.environ.get("HEADRACE_KAFKA_HEAP", "512m")
    return [
        "-Xms128m",
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=" + os.environ.get("HEADRACE_KAFKA_LOG_LEVEL", "warn"),
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    ]


def command(java: Java, jars: KafkaJars, main: str, *arguments: str, options: list[str]) -> list[str]:
    """The command line that runs a class of Kafka's."""
    classpath = os.pathsep.join(str(jar) for jar in jars.classpath)
    return [str(java.path), *options, "-cp", classpath, main, *arguments]


class _Spawner:
    """Starts children from one thread that lives until the program has ended.

    Death of the parent means, to the kernel, death of the thread that started the child: so that may be neither a
    caller's short thread nor one that Python ends while others still run, as a pool's.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
        self._asked = SimpleQueue()
        threading.Thread(target=self._run, name="headrace-spawn", daemon=True).start()

    def start(self, child: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        future: Future[subprocess.Popen[bytes]] = Future()
        self._asked.put((child, future))
        return future.result()

    def _run(self) -> None:
        while True:
            child, future = self._asked.get()
            try:
                future.set_result(child())
            except BaseException as error:
                future.set_exception(error)


@cache
def _spawner(_pid: int) -> _Spawner:
    # One a process id, because a fork inherits the object but not the thread.
    return _Spawner()


class Process:
    """A JVM under this process's eyes.

    Args:
        name: for messages.
        arguments: the command line.
        log: where its output is added.
        detached: whether it outlives this process.
        keep: open files that it inherits.
    """

    def __init__(
        self, name: str, arguments: list[str], log: Path, *, detached: bool, keep: tuple[int, ...] = ()
    ) -> None:
        self.name = name
        self.log = log
        self._log_start = log.stat().st_size if log.exists() else 0
        if not detached and sys.platform == "linux":
            arguments = [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *arguments]
        # A session of its own: Ctrl-C at a terminal is for the program, which then stops its brokers in order.
        with log.open("ab") as out:
            self._popen = _spawner(os.getpid()).start(
                lambda: subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=keep,
                )
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def told_to_stop(self) -> bool:
        """Whether it has ended, and by SIGTERM, which a JVM turns into this exit code."""
        return self._popen.poll() in (128 + signal.SIGTERM, -signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens if the process has ended."""
        self._popen.send_signal(number)

    def pause(self) -> None:
        """SIGSTOP, and wait until the process stands still: its threads stop one by one."""
        self._popen.send_signal(signal.SIGSTOP)
        if self.alive and hasattr(os, "waitid"):
            # WNOWAIT leaves the news of an end to whoever waits for that.
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def wait(self, seconds: float) -> bool:
        """Whether the process has ended within that time."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._popen.kill()
        self._popen.wait()

    def failure(self, what: str) -> BrokerFailed:
        """An error that says what happened and shows the end of the log."""
        code = self._popen.poll()
        how = "" if code is None else f" (exit code {code})" if code >= 0 else f" (signal {signal.Signals(-code).name})"
        return BrokerFailed(f"{self.name} {what}{how}{explain(self.log, self._log_start)}")


def explain(log: Path, start: int = 0) -> str:
    """What a broker's log says: the known cause if there is one, the last lines, and where the whole of it is.

    Args:
        start: bytes at the beginning that are of earlier runs.
    """
    try:
        text = log.read_bytes()[start:].decode(errors="replace")
    except OSError:
        text = ""
    cause = next((f": {advice}" for sign, advice in _KNOWN_CAUSES.items() if sign in text), "")
    lines = [line[:400] for line in text.splitlines()[-_TAIL_LINES:]] or ["(nothing)"]
    return "\n  ".join([f"{cause}; the end of its log {log}:", *lines])


def wait_until(ready: Callable[[], bool], deadline: float, pause: float = _POLL_SECONDS) -> bool:
    """Look again and again until it is so (True) or `time.monotonic()` has reached the deadline (False)."""
    while not ready():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True


def wait_for_end(alive: Callable[[], int]) -> bool:
    """Wait until no process is left of some that were told to stop; False if they take too long.

    Args:
        alive: how many there still are.
    """
    several = alive() > 1
    deadline = time.monotonic() + STOP_SECONDS
    # The last of a larger cluster has stored all that it has, but waits five seconds for others to vote without it.
    if not wait_until(lambda: alive() <= several, deadline):
        return False
    return wait_until(lambda: not alive(), min(deadline, time.monotonic() + LAST_SECONDS) if several else deadline)


def is_running(pid: int, marker: str) -> bool:
    """Whether that process runs and has the marker in its command line, so that a reused id is not taken for ours."""
    proc = Path(f"/proc/{pid}")
    try:
        if proc.parent.is_dir() and Path("/proc/self/cmdline").exists():
            return marker.encode() in (proc / "cmdline").read_bytes()
        shown = subprocess.run(
            ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return marker in shown.stdout


def end(processes: Sequence[tuple[int, str]]) -> None:
    """End processes, each a pid and its marker, that another run of ours started: in order, or else by SIGKILL."""

    def signal_all(number: int) -> None:
        for pid, marker in processes:
            if is_running(pid, marker):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def alive() -> int:
        return sum(is_running(pid, marker) for pid, marker in processes)

    signal_all(signal.SIGTERM)
    # To one that is paused, the other signal would come only when it goes on.
    signal_all(signal.SIGCONT)
    if not wait_for_end(alive):
        signal_all(signal.SIGKILL)
        wait_until(lambda: not alive(), time.monotonic() + 5)
