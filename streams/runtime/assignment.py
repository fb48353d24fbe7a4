"""The partitions that the group has assigned to this worker: restores, starts and closes them."""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import structlog
from confluent_kafka import Consumer, TopicPartition

from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.inputs import Inputs
from headrace.streams.runtime.partition import Partition, PartitionState, rebuild
from headrace.streams.runtime.restoration import Restoration
from headrace.streams.steps.store import StoreFailed

log = structlog.get_logger()


class Assignment:
    """The partitions of one component. All methods are for one thread."""

    def __init__(
        self,
        config: ComponentConfig,
        inputs: Inputs,
        metrics: Metrics,
        stop: threading.Event,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.config, self._inputs, self._waiting = config, inputs, waiting
        self.partitions: dict[int, Partition] = {}
        self.joined = False
        """Whether the group has assigned partitions to this worker; it may have assigned none."""
        self.restoration = Restoration(config, metrics, stop)
        self._stop, self._metrics = stop, metrics
        self.added: set[int] = set()
        """Partitions that somebody has added to a topic; they are not served."""

    @property
    def ready(self) -> bool:
        """Whether partitions were assigned, all of them are READY, and none were added to the topic."""
        return self.joined and not self.added and len(self.ready_partitions()) == len(self.partitions)

    def ready_partitions(self) -> dict[int, Partition]:
        """Those that are READY, by number."""
        partitions = tuple(self.partitions.items())  # asked by other threads too
        return {number: partition for number, partition in partitions if partition.state is PartitionState.READY}

    def add(self, consumer: Consumer, added: Sequence[TopicPartition]) -> None:
        """Take over partitions, and start to restore them.

        The group's consumer holds them, paused, and reads nothing. It is assigned with an offset: without one,
        librdkafka asks the group for it, and if the coordinator is restarting, or a transaction hangs, it waits for the
        answer forever, and can neither use the partition nor revoke it.
        """
        # a number, because librdkafka takes half a second to look up even the beginning
        held = [TopicPartition(p.topic, p.partition, 0) for p in added]
        if self.config.settings.group_protocol == "classic":
            consumer.assign(held)
        else:
            consumer.incremental_assign(held)
        if held:
            consumer.pause(held)
            numbers = {p.partition for p in added if p.partition < self.config.partitions}
            if len(numbers) < len(added):
                self._refuse({p.partition for p in added} - numbers)
            log.info("partitions assigned", domain=self.config.name, partitions=sorted(numbers))
            self.restore(numbers)
        self.joined = True  # last: else `ready`, which other threads ask, would be true while there are none yet

    def remove(self, consumer: Consumer, removed: Sequence[TopicPartition]) -> None:
        """Close partitions that were revoked; the caller has no open batch."""
        numbers = {p.partition for p in removed}
        self.added -= numbers
        self._close(numbers)
        log.info("partitions revoked", domain=self.config.name, partitions=sorted(numbers))

    def remove_all(self) -> None:
        """Close all partitions, because the consumer is no longer a member of the group."""
        self.joined = False
        self._close(set(self.partitions))

    def restore(self, numbers: Iterable[int]) -> None:
        """Stop the input of partitions, and restore their state from Kafka again."""
        self._inputs.stop(numbers)
        made = partial(Partition, self.config, stop=self._stop, waiting=self._waiting)
        partitions = [self.partitions.get(n) or made(number=n) for n in sorted(numbers)]
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
                log.info("partition ready", domain=self.config.name, partition=partition.number)
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
        rebuild(error, [p for p in self.partitions.values() if p.store is not None], self._metrics)
        self.restore(set(self.partitions))

    def close(self) -> None:
        """Stop restoring and close the stores; `stop` is set."""
        self.restoration.close()
        self.remove_all()

    def _refuse(self, numbers: set[int]) -> None:
        """Report partitions that were added. They are not served: roots would move there, and lose their state."""
        self.added |= numbers
        log.error(
            "partitions were added to a topic of the deployment and are not served; roots are laid out for fewer. Send "
            "nothing there; for more partitions, make topics with another prefix",
            domain=self.config.name,
            topic=self.config.subscription,
            partitions=sorted(self.added),
            served=self.config.partitions,
        )

    def _close(self, numbers: set[int]) -> None:
        self._inputs.stop(numbers)
        for number in numbers:
            if partition := self.partitions.pop(number, None):
                partition.close()
