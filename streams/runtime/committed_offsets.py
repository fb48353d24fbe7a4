"""Where the input of a partition begins: at the offset that the component's group has committed."""

import time
from collections.abc import Iterable

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from headrace.streams.runtime.config import ComponentConfig

log = structlog.get_logger()
HANGING_OFFSETS = "offsets of a transaction hang, and are taken as aborted; kafka-transactions.sh finds and ends it"
"""Logged when input may be handled again; what sagas send for it has the ids that it had before."""


class CommittedOffsets:
    """Asks for a group's offsets, by a consumer for this alone, which joins no group.

    The group's own consumer is being polled by another thread; and an admin client ends the whole process when the
    group's coordinator is on its way back (librdkafka's issue 5040).
    """

    def __init__(self, config: ComponentConfig) -> None:
        self._config = config
        self._pending: float | None = None
        """Since when the offsets have been those of a transaction that is not over."""

    def read(self, partitions: Iterable[int]) -> dict[int, dict[str, int]]:
        """The next offset of each input topic, by partition. Raises KafkaException when it has to be asked again.

        That is so while a transaction is being decided, as of a former owner. Offsets that are pending for longer than
        any transaction lasts are nobody's: the last ones that are committed are taken then.
        """
        wanted = [TopicPartition(topic, number) for number in partitions for topic in self._config.inputs]
        try:
            found = self._ask(wanted, "read_committed")
            self._pending = None
        except KafkaException:
            since, self._pending = self._pending or time.monotonic(), None
            found = self._ask(wanted, "read_uncommitted")  # raises when it is the brokers that are away
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
