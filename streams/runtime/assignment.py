"""The partitions that the group has given to this worker: held back, restored, started, closed."""

import threading
from collections.abc import Iterable, Sequence

import structlog
from confluent_kafka import Consumer, TopicPartition

from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.inputs import Inputs
from headrace.streams.runtime.partition import Partition, PartitionState
from headrace.streams.runtime.restoration import Restoration
from headrace.streams.steps.store import StoreFailed

log = structlog.get_logger()
_REBUILDS = 3  # of one partition, after which it is no accident


class Assignment:
    """The partitions of one component. All methods are for one thread."""

    def __init__(self, config: ComponentConfig, inputs: Inputs, metrics: Metrics, stop: threading.Event) -> None:
        self.config, self._inputs = config, inputs
        self.partitions: dict[int, Partition] = {}
        self.joined = False
        """Whether the group has assigned partitions to this worker; it may have assigned none."""
        self.restoration = Restoration(config, metrics, stop)
        self._stop, self._metrics = stop, metrics
        self.added: set[int] = set()
        """Partitions that the deployment does not have, and somebody has added."""

    @property
    def ready(self) -> bool:
        """Whether partitions were assigned, each of them is READY, and there are none that nobody serves."""
        return self.joined and not self.added and len(self.ready_partitions()) == len(self.partitions)

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
            numbers = {p.partition for p in added if p.partition < self.config.partitions}
            if len(numbers) < len(added):
                self._refuse({p.partition for p in added} - numbers)
            log.info("partitions assigned", domain=self.config.name, partitions=sorted(numbers))
            self.restore(numbers)
        self.joined = True  # last: others ask whether all partitions are READY, and must not find that there are none

    def remove(self, consumer: Consumer, removed: Sequence[TopicPartition]) -> None:
        """Let partitions go; the caller has no batch in hand."""
        numbers = {p.partition for p in removed}
        self.added -= numbers
        self._close(numbers)
        log.info("partitions revoked", domain=self.config.name, partitions=sorted(numbers))

    def remove_all(self) -> None:
        """Let all partitions go, with a consumer that is no member of the group any more."""
        self.joined = False
        self._close(set(self.partitions))

    def restore(self, numbers: Iterable[int]) -> None:
        """Hold partitions back, and take their state from Kafka anew."""
        self._inputs.stop(numbers)
        partitions = [self.partitions.get(n) or Partition(self.config, n, self._stop) for n in sorted(numbers)]
        self.partitions |= {partition.number: partition for partition in partitions}
        self.restoration.begin([partition.restore() for partition in partitions])

    def start_restored(self) -> list[Partition]:
        """Let the input of restored partitions flow, from where their stores stand; those that begin so.

        Raises PositionsUnfit or StoreFailed when a person has to look.
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
        """Read the inputs of these partitions from where they are handled up to."""
        for number in set(numbers) & set(self.ready_partitions()):
            self._inputs.stop([number])
            self._inputs.start(number, self.partitions[number].offsets)

    def repair(self, error: StoreFailed) -> None:
        """Make a damaged store anew, and take the state of all partitions from Kafka; raises `error` if that is no use.

        A batch that was committed may be in some stores and not in others.
        """
        found = [p for p in self.partitions.values() if p.store is not None and str(p.store.folder) == error.folder]
        if not error.damaged or not found or found[0].rebuilt >= _REBUILDS:
            raise error
        log.error("a store is damaged, and made anew from the log", domain=self.config.name, error=str(error))
        self._metrics.remade.labels(self.config.name).inc()
        found[0].make_anew(error)
        self.restore(set(self.partitions))

    def close(self) -> None:
        """Stop restoring and close the stores; `stop` is set."""
        self.restoration.close()
        self.remove_all()

    def _refuse(self, numbers: set[int]) -> None:
        """Partitions that were added while roots are laid out for fewer: handled here, roots would begin anew."""
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
