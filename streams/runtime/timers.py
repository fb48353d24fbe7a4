"""Fires time-outs: those that are due are processed as records, in a transaction of their own."""

import time
from collections.abc import Callable

from headrace.schemas.record import Record
from headrace.streams.clock import now_ms
from headrace.streams.runtime.partitions import Partitions

_INTERVAL = 0.05  # seconds between two checks


class Timers:
    """The time-outs of one component."""

    def __init__(self, assignment: Partitions, process: Callable[[list[Record]], object]) -> None:
        self._assignment, self._process = assignment, process
        self._next_check = 0.0

    def fire_due(self) -> None:
        """Process the time-outs that are due in partitions that are READY."""
        if time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + _INTERVAL
        now = now_ms()
        ready = self._assignment.ready_partitions().values()
        due = [record for partition in ready for step in partition.stores for record in step.due(now)]
        if due:
            self._process(due)
