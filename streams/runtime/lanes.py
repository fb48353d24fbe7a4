"""One edition of a component on this worker: a lane beside each of main's partitions, in main's store."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from headrace.streams.editions.record import Edition
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.inputs import EditionInputs, Inputs
from headrace.streams.runtime.partition import Partition
from headrace.streams.runtime.partitions import Partitions
from headrace.streams.runtime.processor import Processor
from headrace.streams.runtime.timers import Timers
from headrace.streams.steps.store import StoreFailed


class Lanes(Partitions):
    """The partitions of an edition. Those of its parent have the state that it continues, and main's have the files."""

    def __init__(
        self,
        config: ComponentConfig,
        edition: Edition,
        parent: Partitions,
        main: Assignment,
        inputs: Inputs,
        metrics: Metrics,
        stop: threading.Event,
        waiting: Callable[[], AbstractContextManager[None]],
    ) -> None:
        super().__init__(config, EditionInputs(inputs, config.inputs), metrics, stop, self._lane)
        self._parent, self._main, self._waiting = parent, main, waiting
        self._cut = edition.cut.of(config.name)

    def _lane(self, number: int) -> Partition:
        return Partition(
            self.config,
            number,
            threading.Event(),
            parent=self._parent.partitions[number],
            cut=self._cut,
            waiting=self._waiting,
        )

    def startable(self) -> set[int]:
        """Numbers of partitions that the parent has READY, and this edition does not have yet."""
        return self._parent.ready_partitions().keys() - self.partitions.keys()

    def repair(self, error: StoreFailed) -> None:
        """Leave it to main, whose files they are; until it has repaired them, this edition waits."""
        self._main.restoration.broken = error
        self.restore(set(self.partitions))

    def drop(self) -> None:
        """End all lanes, and delete what the store has of them."""
        for partition in self.partitions.values():
            if partition.store is not None:
                partition.store.wipe()
        self.close()


@dataclass(slots=True, eq=False)
class RunningEdition:
    """An edition that this worker runs, with what runs it."""

    edition: Edition
    lanes: Lanes
    processor: Processor
    timers: Timers
    stop: threading.Event
    """Set when it ends."""
    stopped: str = ""
    """Why it does not run any more, if that is so; a person has to act."""
