"""Progress of the one long wait, the fetch of the jars, on stderr: a bar for a terminal, plain lines for a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

_LINE_EVERY_SECONDS = 5.0


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextmanager
def reporting(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function to call with (bytes so far, bytes in all), which shows them until the block is left."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn(title), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    lines = _Lines(title)
    _say(f"{title} …")
    yield lines
    lines.end()


class _Lines:
    """A line every few seconds, and one when all is there."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.started = self.last = time.monotonic()
        self.total = 0

    def __call__(self, done: int, total: int) -> None:
        self.total = total
        now = time.monotonic()
        if now - self.last >= _LINE_EVERY_SECONDS:
            self.last = now
            _say(f"{self.title}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    def end(self) -> None:
        seconds = time.monotonic() - self.started
        _say(f"{self.title}: all {self.total / 1e6:.0f} MB in {seconds:.1f} s")
