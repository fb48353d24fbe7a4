"""Reads the offsets that a component's group has committed, where its changelog has no positions."""

import time
from collections.abc import Iterable

import structlog
from confluent_kafka import OFFSET_BEGINNING, KafkaException

from headrace.streams.admin.group_offsets import committed
from headrace.streams.runtime.config import ComponentConfig

log = structlog.get_logger()
HANGING_OFFSETS = "offsets of a transaction hang, and are taken as aborted; kafka-transactions.sh finds and ends it"
"""Logged when input may be handled again; commands that sagas send for it have the same ids as before."""


class CommittedOffsets:
    """Asks for a group's offsets, beside the group's own consumer, which is in use by another thread."""

    def __init__(self, config: ComponentConfig) -> None:
        self._config = config
        self._pending: float | None = None
        """Since when the offsets belong to an open transaction; None if they do not."""

    def read(self, partitions: Iterable[int]) -> dict[int, dict[str, int]]:
        """The next offset of each input topic, by partition. Raises KafkaException if the caller has to try again.

        That is so while a transaction is open, such as one of a former owner. If it stays open for longer than any
        transaction lasts, it hangs: then the last committed offsets are returned.
        """
        settings, group = self._config.settings, self._config.group
        wanted = [(topic, number) for number in partitions for topic in self._config.inputs]
        try:
            found = committed(settings, group, wanted)
            self._pending = None
        except KafkaException:
            since, self._pending = self._pending or time.monotonic(), None
            found = committed(settings, group, wanted, "read_uncommitted")  # raises if the brokers are the cause
            self._pending = since
            longest = settings.longest_transaction
            if time.monotonic() - since < longest:
                raise
            log.error(HANGING_OFFSETS, group=group, seconds=longest)
        offsets: dict[int, dict[str, int]] = {}
        for (topic, number), offset in found.items():
            offsets.setdefault(number, {})[topic] = offset if offset >= 0 else OFFSET_BEGINNING
        return offsets
