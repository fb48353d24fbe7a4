"""Fires time-outs: now and then, those that are due become records in a transaction of their own."""

import time
from collections.abc import Callable, Mapping

from headrace.schemas.record import Record
from headrace.streams.clock import now_ms
from headrace.streams.runtime.partition import Partition, PartitionState

_INTERVAL = 0.05  # seconds between two looks for time-outs that are due


class Timers:
    """The time-outs of one component."""

    def __init__(self, partitions: Mapping[int, Partition], process: Callable[[list[Record]], None]) -> None:
        self._partitions, self._process = partitions, process
        self._next_look = 0.0

    def fire_due(self) -> None:
        """Process the time-outs that are due in partitions that are READY."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _INTERVAL
        now = now_ms()
        ready = [partition for partition in self._partitions.values() if partition.state is PartitionState.READY]
        due = [record for partition in ready for step in partition.stores for record in step.due(now)]
        if due:
            self._process(due)
