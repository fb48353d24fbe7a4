"""The partitions of a component in one edition: restores, starts and closes them."""

import threading
from collections.abc import Callable, Iterable

import structlog

from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.inputs import EditionInputs, Inputs
from headrace.streams.runtime.partition import Partition, PartitionState, rebuild
from headrace.streams.runtime.restoration import Restoration
from headrace.streams.steps.store import StoreFailed

log = structlog.get_logger()


class Partitions:
    """The partitions of one component in one edition. All methods are for one thread."""

    def __init__(
        self,
        config: ComponentConfig,
        inputs: Inputs | EditionInputs,
        metrics: Metrics,
        stop: threading.Event,
        make: Callable[[int], Partition],
    ) -> None:
        """`make` makes the partition of a number."""
        self.config, self._inputs, self._make = config, inputs, make
        self.partitions: dict[int, Partition] = {}
        self.restoration = Restoration(config, metrics, stop)
        self._metrics = metrics
        self.before_change: Callable[[set[int]], None] = lambda numbers: None
        """Called before the stores of these partitions are restored, made anew or closed."""

    def ready_partitions(self) -> dict[int, Partition]:
        """Those that are READY, by number."""
        partitions = tuple(self.partitions.items())  # asked by other threads too
        return {number: partition for number, partition in partitions if partition.state is PartitionState.READY}

    def restore(self, numbers: Iterable[int]) -> None:
        """Stop the input of partitions, and restore their state from Kafka again."""
        numbers = set(numbers)
        self.before_change(numbers)
        self._inputs.stop(numbers)
        partitions = [self.partitions.get(n) or self._make(n) for n in sorted(numbers)]
        self.partitions |= {partition.number: partition for partition in partitions}
        self.restoration.begin([partition.restore() for partition in partitions])

    def start_restored(self) -> list[Partition]:
        """Start the input of restored partitions at the positions of their stores; returns those that were started.

        Raises PositionsUnfit or StoreFailed if a person has to act.
        """
        if self.restoration.failure is not None:
            raise self.restoration.failure
        if (broken := self.restoration.broken) is not None:
            self.restoration.broken = None
            if not broken.damaged or any(str(p.folder) == broken.folder for p in self.partitions.values()):
                self.repair(broken)
        started: list[Partition] = []
        for restored in self.restoration.restored():
            if restored.job.current:
                partition = restored.job.partition
                partition.start(restored.offsets, restored.identity)
                self._inputs.start(partition.number, restored.offsets)
                log.info("partition ready", **self.config.log_names, partition=partition.number)
                started.append(partition)
        return started

    def rewind(self, numbers: Iterable[int]) -> None:
        """Read the inputs of these partitions again, from the first record that is not handled."""
        for number in set(numbers) & set(self.ready_partitions()):
            self._inputs.stop([number])
            self._inputs.start(number, self.partitions[number].offsets)

    def repair(self, error: StoreFailed) -> None:
        """Rebuild a damaged store, and restore all partitions from Kafka; raises `error` if that would not help.

        All of them, because a committed batch may be in some stores and not in others.
        """
        self.before_change(set(self.partitions))
        rebuild(error, [p for p in self.partitions.values() if p.store is not None], self._metrics)
        self.restore(set(self.partitions))

    def close(self) -> None:
        """Stop restoring and close the stores; `stop` is set."""
        self.restoration.close()
        self.close_partitions(set(self.partitions))

    def close_partitions(self, numbers: set[int]) -> None:
        """Stop the input of partitions, and close them."""
        self.before_change(numbers)
        self._inputs.stop(numbers)
        for number in numbers:
            if partition := self.partitions.pop(number, None):
                partition.close()
