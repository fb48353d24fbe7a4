"""Which tests are running, and which files took longest: so that a run that is stopped says where it stood."""

import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from tests.support import deadlines

_SHOWN = 15


class Progress:
    """Watches from the controller, to which xdist's workers report when a test begins and ends."""

    def __init__(self) -> None:
        self._running: dict[str, float] = {}
        self._files: dict[str, float] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        began = self._running.pop(nodeid, None)
        if began is not None:
            file = nodeid.split("::")[0]
            self._files[file] = self._files.get(file, 0.0) + time.monotonic() - began

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Name what fails at once, for whoever watches a run that takes long, or sees a part of it."""
        if report.failed:
            sys.stdout.write(f"\n{report.nodeid} failed in its {report.when}: {report.longreprtext[-300:]}\n")
            sys.stdout.flush()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        slower = f"{deadlines.slowness():.1f} x slower than a fast one"
        terminalreporter.section(f"where the time went, on a machine {slower}")
        for file, took in sorted(self._files.items(), key=lambda file: -file[1])[:_SHOWN]:
            terminalreporter.write_line(f"{took:6.0f} s in {file}")

    def _still(self) -> Iterator[str]:
        now = time.monotonic()
        for nodeid, began in self._running.items():
            yield f"still running after {now - began:.0f} s: {nodeid}"

    def stop(self, number: int, frame: FrameType | None) -> None:
        """End as Ctrl-C does: fixtures are torn down, and the summary is written."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a whole group of processes may get it, and pass it on
        sys.stdout.writelines(f"{line}\n" for line in self._still())
        sys.stdout.flush()
        raise KeyboardInterrupt


def register(config: pytest.Config) -> None:
    """Watch this run, if it is the one that the terminal belongs to."""
    if not hasattr(config, "workerinput"):
        progress = Progress()
        config.pluginmanager.register(progress, "progress")
        signal.signal(signal.SIGTERM, progress.stop)
