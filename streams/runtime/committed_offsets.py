"""Reads the offsets that a component's group has committed, where its changelog has no positions."""

import time
from collections.abc import Iterable

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from headrace.streams.runtime.config import ComponentConfig

log = structlog.get_logger()
HANGING_OFFSETS = "offsets of a transaction hang, and are taken as aborted; kafka-transactions.sh finds and ends it"
"""Logged when input may be handled again; commands that sagas send for it have the same ids as before."""


class CommittedOffsets:
    """Asks for a group's offsets, with a consumer of its own that does not join the group.

    The group's consumer is in use by another thread, and an admin client may crash the whole process while the group's
    coordinator restarts (librdkafka's issue 5040).
    """

    def __init__(self, config: ComponentConfig) -> None:
        self._config = config
        self._pending: float | None = None
        """Since when the offsets belong to an open transaction; None if they do not."""

    def read(self, partitions: Iterable[int]) -> dict[int, dict[str, int]]:
        """The next offset of each input topic, by partition. Raises KafkaException if the caller has to try again.

        That is so while a transaction is open, such as one of a former owner. If it stays open for longer than any
        transaction lasts, it hangs: then the last committed offsets are returned.
        """
        wanted = [TopicPartition(topic, number) for number in partitions for topic in self._config.inputs]
        try:
            found = self._ask(wanted, "read_committed")
            self._pending = None
        except KafkaException:
            since, self._pending = self._pending or time.monotonic(), None
            found = self._ask(wanted, "read_uncommitted")  # raises if the brokers are the cause
            self._pending = since
            longest = self._config.settings.longest_transaction
            if time.monotonic() - since < longest:
                raise
            log.error(HANGING_OFFSETS, group=self._config.group, seconds=longest)
        offsets: dict[int, dict[str, int]] = {}
        for partition in found:
            offset = partition.offset if partition.offset >= 0 else OFFSET_BEGINNING
            offsets.setdefault(partition.partition, {})[partition.topic] = offset
        return offsets

    def _ask(self, wanted: list[TopicPartition], isolation: str) -> list[TopicPartition]:
        config = self._config.settings.client(
            group_id=self._config.group, enable_auto_commit=False, isolation_level=isolation
        )
        with Consumer(config) as consumer:
            found: list[TopicPartition] = consumer.committed(wanted, 5)
        for partition in found:
            if partition.error:
                raise KafkaException(partition.error)
        return found
