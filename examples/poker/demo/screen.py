"""What `headrace demo` shows while it works, on stderr: a bar for a terminal, plain lines for a log, or nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

_LINE_EVERY = 5.0  # seconds


class Screen:
    """Says what happens; nothing at all when `silent`."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent

    def say(self, text: str) -> None:
        """One line about what is done now."""
        if not self._silent:
            typer.echo(text, err=True)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A function to call with how much is done by now."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        if self._silent:
            yield lambda done: None
        elif console.is_terminal:
            columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            with Progress(*columns, console=console, transient=True) as bar:
                task = bar.add_task(title, total=total)
                yield lambda done: bar.update(task, completed=done)
        else:
            yield _Lines(title, total)


class _Lines:
    """A line every few seconds."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._last = title, total, time.monotonic()

    def __call__(self, done: int) -> None:
        if time.monotonic() - self._last >= _LINE_EVERY:
            self._last = time.monotonic()
            typer.echo(f"{self._title}: {done:,} of {self._total:,}", err=True)
