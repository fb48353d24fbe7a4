"""Memory of processes over time, and whether it is flat."""

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import psutil

MB = 1024 * 1024
_EVERY = 1.0  # seconds


@dataclass(slots=True)
class Life:
    """One process, from its start to its end."""

    name: str
    pid: int
    samples: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since its start, and resident memory in MB."""

    @property
    def last(self) -> float:
        """MB, when it was last looked at."""
        return self.samples[-1][1] if self.samples else 0.0

    @property
    def age(self) -> float:
        """Seconds, when it was last looked at."""
        return self.samples[-1][0] if self.samples else 0.0

    def between(self, first: float, end: float) -> float | None:
        """The median of a time of its life; None if it was not looked at then."""
        found = [size for age, size in self.samples if first <= age < end]
        return statistics.median(found) if found else None

    def thirds(self, warm: float) -> tuple[float, float] | None:
        """Medians of the first and the last third of its life, after a time to get warm; None if it was too short."""
        third = (self.age - warm) / 3
        first, last = self.between(warm, warm + third), self.between(self.age - third, self.age + 1)
        return None if first is None or last is None else (first, last)


class Memory:
    """Looks at processes each second; each `name` may have many lives, one after the other."""

    def __init__(self, processes: Callable[[], Iterable[tuple[str, int]]]) -> None:
        self.lives: list[Life] = []
        """In the order in which they began."""
        self._processes, self._over = processes, threading.Event()

    @contextmanager
    def watched(self) -> Iterator[Self]:
        """Look, in a thread, until the end of the block."""
        thread = threading.Thread(target=self._run, name="memory", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def living(self) -> list[Life]:
        """The latest lives of those that run."""
        pids = {pid for _, pid in self._processes()}
        return [life for life in self.lives if life.pid in pids]

    def _run(self) -> None:
        while not self._over.wait(_EVERY):
            for name, pid in self._processes():
                try:
                    process = psutil.Process(pid)
                    age, size = time.time() - process.create_time(), process.memory_info().rss / MB
                except psutil.Error:  # it has just ended
                    continue
                life = next((life for life in reversed(self.lives) if life.pid == pid), None)
                if life is None:
                    life = Life(name, pid)
                    self.lives.append(life)
                life.samples.append((age, size))
