"""The partitions that the group has given to this worker: held back, restored, started, closed."""

import threading
from collections.abc import Iterable, Sequence

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.partition import Partition, PartitionState
from headrace.streams.runtime.restoration import Restoration, Restored

log = structlog.get_logger()


class Assignment:
    """The partitions of one component. All methods are for one thread."""

    def __init__(self, config: ComponentConfig, stop: threading.Event) -> None:
        self.config = config
        self.partitions: dict[int, Partition] = {}
        self.joined = False
        """Whether the group has assigned partitions to this worker; it may have assigned none."""
        self.restoration = Restoration(config, stop)
        self._stop = stop
        self._restored: list[Restored] = []
        """Those that the consumer cannot seek in yet."""

    @property
    def ready(self) -> bool:
        """Whether partitions were assigned, and each of them is READY."""
        return self.joined and len(self.ready_partitions()) == len(self.partitions)

    def ready_partitions(self) -> dict[int, Partition]:
        """Those that are READY, by number."""
        partitions = tuple(self.partitions.items())  # asked by other threads too
        return {number: partition for number, partition in partitions if partition.state is PartitionState.READY}

    def add(self, consumer: Consumer, added: Sequence[TopicPartition]) -> None:
        """Take over partitions: hold their input back and start to restore them.

        They are assigned with some offset, and later `start_restored` seeks to the committed one. Without an offset
        librdkafka asks for it; if the group's coordinator is just coming back then, or a transaction hangs, it waits
        for the answer for ever, with the partition and with its revocation.
        """
        # a number, for librdkafka takes its time to look up even the beginning
        begin = [TopicPartition(p.topic, p.partition, 0) for p in added]
        if self.config.settings.group_protocol == "classic":
            consumer.assign(begin)
        else:
            consumer.incremental_assign(begin)
        numbers = {p.partition for p in added}
        if held := [p for p in consumer.assignment() if p.partition in numbers]:
            log.info("partitions assigned", domain=self.config.name, partitions=sorted(numbers))
            consumer.pause(held)
            self._restore(numbers)
        self.joined = True  # last: others ask whether all partitions are READY, and must not find that there are none

    def remove(self, consumer: Consumer, removed: Sequence[TopicPartition]) -> None:
        """Let partitions go; the caller has no batch in hand."""
        numbers = {p.partition for p in removed}
        self._close(numbers)
        log.info("partitions revoked", domain=self.config.name, partitions=sorted(numbers))
        # topics of one component move together, but not always in one step
        gone = {(p.topic, p.partition) for p in removed}
        left = [p for p in consumer.assignment() if p.partition in numbers and (p.topic, p.partition) not in gone]
        if left:
            consumer.pause(left)
            self._restore({p.partition for p in left})

    def remove_all(self) -> None:
        """Let all partitions go, with a consumer that is no member of the group any more."""
        self.joined = False
        self._close(set(self.partitions))

    def restore_all(self, consumer: Consumer) -> None:
        """Hold all partitions back, and take their state from Kafka anew."""
        if held := consumer.assignment():
            consumer.pause(held)
        self._restore(self.partitions)

    def start_restored(self, consumer: Consumer) -> None:
        """Let the input of restored partitions flow, from where their stores stand."""
        self._restored += self.restoration.restored()
        self._restored = [r for r in self._restored if r.job.current and not self._start(consumer, r)]

    def close(self) -> None:
        """Stop restoring and close the stores; `stop` is set."""
        self.restoration.close()
        self.remove_all()

    def _restore(self, numbers: Iterable[int]) -> None:
        partitions = [self.partitions.get(n) or Partition(self.config, n, self._stop) for n in sorted(numbers)]
        self.partitions |= {partition.number: partition for partition in partitions}
        self.restoration.begin([partition.restore() for partition in partitions])

    def _start(self, consumer: Consumer, restored: Restored) -> bool:
        """Whether the partition is started; False while the consumer does not know its brokers yet."""
        partition = restored.job.partition
        topics = [p.topic for p in consumer.assignment() if p.partition == partition.number]
        begin = [TopicPartition(topic, partition.number, restored.offsets[topic]) for topic in topics]
        try:
            for start in begin:
                consumer.seek(start)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:
                raise
            return False
        partition.start(restored.offsets)
        consumer.resume(begin)
        log.info("partition ready", domain=self.config.name, partition=partition.number)
        return True

    def _close(self, numbers: set[int]) -> None:
        for number in numbers:
            if partition := self.partitions.pop(number, None):
                partition.close()
