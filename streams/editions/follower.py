"""Follows the registry of editions as it is written."""

import time
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from headrace.streams.editions.record import Edition, parsed
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import PASSING

_LOOK = 1.0
"""Seconds between two looks for a topic that nobody has made yet."""


class Follower:
    """Reads the registry on and on; for one thread. While nothing happens, a fetch waits at the broker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.names.editions
        self._consumer = Consumer(
            settings.client(
                group_id=f"{settings.prefix}headrace.reader",
                enable_auto_commit=False,
                enable_partition_eof=True,
                isolation_level="read_committed",
                auto_offset_reset="earliest",
                fetch_min_bytes=1,
            )
        )
        self._assigned = False
        self._look_at = 0.0
        self.current = False
        """Whether all has been read that was recorded when reading began."""
        self.editions: dict[str, Edition] = {}
        """The latest edition of each name, deleted ones as well."""

    def poll(self, timeout: float) -> bool:
        """Read what is new, and wait `timeout` seconds for it at most; whether there was any.

        Without a registry there are no editions; it is looked for again each second. Raises KafkaException.
        """
        if not self._assigned and not self._assign(timeout):
            return False
        changed = False
        message = self._consumer.poll(timeout)
        while message is not None:
            error = message.error()
            if error is None:
                changed |= self._take(message.key(), message.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                self.current = True
            elif error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION):
                self._consumer.unassign()  # somebody has deleted the registry; it may be made anew
                self._assigned = False
                break
            elif not error.retriable() and error.code() not in PASSING:
                raise KafkaException(error)
            message = self._consumer.poll(0)
        return changed

    def _assign(self, timeout: float) -> bool:
        if (wait := self._look_at - time.monotonic()) > 0:
            self._consumer.poll(min(timeout, wait))
            return False
        self._look_at = time.monotonic() + _LOOK
        found = self._consumer.list_topics(self._topic, timeout=10).topics[self._topic]
        if found.error is not None:
            if found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise KafkaException(found.error)
            self.current = True
            return False
        self._consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
        self._assigned = True
        return True

    def _take(self, key: bytes | None, value: bytes | None) -> bool:
        found = parsed({key or b"": value} if value is not None else {})
        self.editions.update(found)
        return bool(found)

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
