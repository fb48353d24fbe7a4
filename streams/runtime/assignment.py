"""The partitions that the group has given to this worker: held back, restored, started, closed."""

import threading
from collections.abc import Iterable, Sequence

import structlog
from confluent_kafka import Consumer, TopicPartition

from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.inputs import Inputs
from headrace.streams.runtime.partition import Partition, PartitionState
from headrace.streams.runtime.restoration import Restoration

log = structlog.get_logger()


class Assignment:
    """The partitions of one component. All methods are for one thread."""

    def __init__(self, config: ComponentConfig, inputs: Inputs, stop: threading.Event) -> None:
        self.config, self._inputs = config, inputs
        self.partitions: dict[int, Partition] = {}
        self.joined = False
        """Whether the group has assigned partitions to this worker; it may have assigned none."""
        self.restoration = Restoration(config, stop)
        self._stop = stop

    @property
    def ready(self) -> bool:
        """Whether partitions were assigned, and each of them is READY."""
        return self.joined and len(self.ready_partitions()) == len(self.partitions)

    def ready_partitions(self) -> dict[int, Partition]:
        """Those that are READY, by number."""
        partitions = tuple(self.partitions.items())  # asked by other threads too
        return {number: partition for number, partition in partitions if partition.state is PartitionState.READY}

    def add(self, consumer: Consumer, added: Sequence[TopicPartition]) -> None:
        """Take over partitions, and start to restore them.

        The group's consumer holds them and reads nothing. It gets some offset, for without one librdkafka asks for it;
        if the group's coordinator is just coming back then, or a transaction hangs, it waits for the answer for ever,
        with the partition and with its revocation.
        """
        # a number, for librdkafka takes its time to look up even the beginning
        held = [TopicPartition(p.topic, p.partition, 0) for p in added]
        if self.config.settings.group_protocol == "classic":
            consumer.assign(held)
        else:
            consumer.incremental_assign(held)
        if held:
            consumer.pause(held)
            numbers = {p.partition for p in added}
            log.info("partitions assigned", domain=self.config.name, partitions=sorted(numbers))
            self._restore(numbers)
        self.joined = True  # last: others ask whether all partitions are READY, and must not find that there are none

    def remove(self, consumer: Consumer, removed: Sequence[TopicPartition]) -> None:
        """Let partitions go; the caller has no batch in hand."""
        numbers = {p.partition for p in removed}
        self._close(numbers)
        log.info("partitions revoked", domain=self.config.name, partitions=sorted(numbers))

    def remove_all(self) -> None:
        """Let all partitions go, with a consumer that is no member of the group any more."""
        self.joined = False
        self._close(set(self.partitions))

    def restore_all(self) -> None:
        """Hold all partitions back, and take their state from Kafka anew."""
        self._restore(self.partitions)

    def start_restored(self) -> None:
        """Let the input of restored partitions flow, from where their stores stand."""
        for restored in self.restoration.restored():
            if restored.job.current:
                partition = restored.job.partition
                partition.start(restored.offsets)
                self._inputs.start(partition.number, restored.offsets)
                log.info("partition ready", domain=self.config.name, partition=partition.number)

    def close(self) -> None:
        """Stop restoring and close the stores; `stop` is set."""
        self.restoration.close()
        self.remove_all()

    def _restore(self, numbers: Iterable[int]) -> None:
        self._inputs.stop(numbers)
        partitions = [self.partitions.get(n) or Partition(self.config, n, self._stop) for n in sorted(numbers)]
        self.partitions |= {partition.number: partition for partition in partitions}
        self.restoration.begin([partition.restore() for partition in partitions])

    def _close(self, numbers: set[int]) -> None:
        self._inputs.stop(numbers)
        for number in numbers:
            if partition := self.partitions.pop(number, None):
                partition.close()
