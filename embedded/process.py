"""A child process with a log, which ends with this program unless it is detached."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from headrace.embedded.errors import BrokerFailed

# Text in a broker's log, and the advice that is added to the error message.
_KNOWN_CAUSES = {
    "Address already in use": "another process took one of its ports: choose another port, or let free ones be chosen",
    "UnsupportedClassVersionError": "the Java of JAVA_HOME is too old: set it to 17 or newer, or unset it",
    "OutOfMemoryError": "its heap is too small: set HEADRACE_KAFKA_HEAP=1g",
    "Invalid maximum heap size": "HEADRACE_KAFKA_HEAP is not a size such as 512m or 1g",
    "ConfigException": "a setting is wrong: see `properties`",
}

# Runs beside a process; its stdin is a pipe from this program, which closes when this program ends, even by SIGKILL.
# psutil does not kill another process that has got the same id in the meantime.
_GUARD = """
import contextlib, shutil, sys, psutil
with contextlib.suppress(psutil.Error):
    process = psutil.Process(int(sys.argv[1]))
    sys.stdin.read()
    process.kill()
    process.wait(10)
sys.stdin.read()
for folder in sys.argv[2:]:
    shutil.rmtree(folder, ignore_errors=True)
"""


class Process:
    """A child process.

    Args:
        name: for messages.
        arguments: the command line.
        log: file to which its output is appended.
        detached: whether it outlives this program.
        folder: its working folder.
        keep: file descriptors that it inherits.
        leftovers: folders to remove if this program ends without having ended the process.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        log: Path,
        *,
        detached: bool,
        folder: Path | None = None,
        keep: Sequence[int] = (),
        leftovers: Sequence[Path] = (),
    ) -> None:
        self.name = name
        self.log = log
        self._log_start = log.stat().st_size if log.exists() else 0
        nothing, out = subprocess.DEVNULL, log.open("ab")
        # In its own session, so that Ctrl-C at a terminal goes only to this program, which stops the brokers cleanly.
        with out:
            self._popen = subprocess.Popen(
                arguments,
                cwd=folder,
                stdin=nothing,
                stdout=out,
                stderr=out,
                start_new_session=True,
                pass_fds=keep,
            )
        self._guard: subprocess.Popen[bytes] | None = None
        if not detached:
            guard = [sys.executable, "-P", "-c", _GUARD, str(self.pid), *map(str, leftovers)]
            self._guard = subprocess.Popen(
                guard, stdin=subprocess.PIPE, stdout=nothing, stderr=nothing, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._popen.poll()

    @property
    def alive(self) -> bool:
        return self.exit_code is None

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens if the process has ended."""
        self._popen.send_signal(number)

    def pause(self) -> None:
        """Send SIGSTOP, and wait until the process has stopped, as its threads stop one by one."""
        self.signal(signal.SIGSTOP)
        if self.alive:
            os.waitpid(self.pid, os.WUNTRACED)

    def wait(self, seconds: float | None) -> bool:
        """Whether the process has ended within that time."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        if self._guard:
            with self._guard:
                self._guard.kill()
        return True

    def kill(self) -> None:
        """Send SIGKILL, and wait until the process has ended."""
        self._popen.kill()
        self.wait(None)

    def failure(self, what: str) -> BrokerFailed:
        """An error that says what happened and shows the end of the log, and a known cause if there is one."""
        code = self.exit_code
        how = "" if code is None else f" (exit code {code})" if code >= 0 else f" (signal {signal.Signals(-code).name})"
        text = self.log.read_bytes()[self._log_start :].decode(errors="replace")
        cause = next((f": {advice}" for sign, advice in _KNOWN_CAUSES.items() if sign in text), "")
        lines = [line[:400] for line in text.splitlines()[-25:]] or ["(nothing)"]
        return BrokerFailed("\n  ".join([f"{self.name} {what}{how}{cause}; the end of its log {self.log}:", *lines]))
