"""One component in one partition, in memory: its step, and the store that takes what the step stages."""

from collections.abc import Sequence
from typing import NamedTuple

from headrace.schemas.record import Record
from headrace.streams.in_memory.store import MemoryStore
from headrace.streams.steps.batch import Output, Written
from headrace.streams.steps.errors import SnapshotTooLarge
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Staged


class Handled(NamedTuple):
    """What one batch has led to."""

    outputs: list[Output]
    recorded: int
    """Recorded time of its events, in milliseconds."""
    escalations: list[dict[str, str]]
    counts: Written


class MemoryPartition:
    """Handles batches as a worker does; a commit is a write into `store`, which nothing can go wrong with."""

    def __init__(self, step: Step, store: MemoryStore) -> None:
        self.step, self.store = step, store

    def handle(self, records: Sequence[Record], now: int, *, timed: bool = False) -> Handled:
        """Handle records as one batch at the time `now`, in milliseconds; `timed` ones are time-outs that are due."""
        step = self.step
        try:
            staged = self._stage(records, now, timed)
        except SnapshotTooLarge:
            step.rolled_back()
            step.enforce_state_size = True
            staged = self._stage(records, now, timed)
            step.enforce_state_size = False
        except BaseException:  # such as a Ctrl-C; whoever goes on afterwards finds the step as it was
            step.rolled_back()
            raise
        outputs, recorded = [*step.outputs], step.recorded
        self.store.put(staged)
        return Handled(outputs, recorded, staged.escalations, step.committed())

    def _stage(self, records: Sequence[Record], now: int, timed: bool) -> Staged:
        step = self.step
        step.begin(now)
        if step.looks_ahead:
            step.ahead(records)
        handle = step.fire if timed else step.handle
        for record in records:
            handle(record)
        return step.finish(now)
