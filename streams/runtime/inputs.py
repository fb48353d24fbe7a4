"""A component's inputs: read for the partitions that are READY, by a consumer that joins no group."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.schemas.headers import UNREADABLE
from headrace.schemas.record import Record
from headrace.streams.clock import now_ms
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.config import ComponentConfig

log = structlog.get_logger()
_LOG_INTERVAL = 30.0  # seconds between two lines about the same trouble
_LAG_INTERVAL = 5.0
_AWAY_INTERVAL = 1.0
_UNREADABLE = (KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG)
"""Errors of a fetch that comes back the same each time: a batch that grows beyond all measure, or is no batch."""


class Inputs:
    """Takes batches of all inputs of one component. All methods are for one thread.

    The group shares out the partition numbers of one topic. What else a component reads is read here for the same
    numbers, so that no other member, whatever release it is of, can hold an input of a root that is decided here.
    """

    def __init__(self, config: ComponentConfig, metrics: Metrics) -> None:
        self._config, self._metrics = config, metrics
        self.brokers_away = False
        """Whether no broker could be reached when one was last tried."""
        self._last_logged = 0.0
        self._last_checked = 0.0
        self.out_of_range: set[int] = set()
        """Partitions in which the log does not have the offset that is next."""
        self.unreadable: list[Record] = []
        """Records that the client cannot read, and beyond which it does not come by itself; to be taken out."""
        self._read_up_to: dict[tuple[str, int], int] = {}
        """By topic and partition, the offset before which all was given out, when that was the end of the log.

        It may be behind a transaction's markers, which are no records, and which a group's lag counts all the same.
        """
        self._reading: dict[int, list[TopicPartition]] = {}
        """By partition number."""
        self._kafka = Consumer(_reader_config(config, self.report))

    def start(self, number: int, offsets: Mapping[str, int]) -> None:
        """Read all inputs of a partition, each from its offset on."""
        self._reading[number] = [TopicPartition(topic, number, offset) for topic, offset in offsets.items()]
        self._kafka.incremental_assign(self._reading[number])

    def stop(self, numbers: Iterable[int]) -> None:
        """Read no more of these partitions; what was fetched of them already is dropped."""
        for number in numbers:
            self.out_of_range.discard(number)
            self._read_up_to = {of: offset for of, offset in self._read_up_to.items() if of[1] != number}
            if reading := self._reading.pop(number, None):
                self._kafka.incremental_unassign(reading)

    def poll(self, timeout: float) -> list[Message]:
        """The next batch; empty when nothing came for `timeout` seconds."""
        first = self._kafka.poll(timeout)
        received = [] if first is None else [first, *self._kafka.consume(self._config.settings.batch - 1, 0)]
        self._check_brokers()
        for message in received:
            if (error := message.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    self._read_up_to[message.topic() or "", message.partition() or 0] = message.offset() or 0
                    continue
                if error.code() in _UNREADABLE:
                    self.unreadable.append(_unreadable(message, error))
                if error.code() == KafkaError._AUTO_OFFSET_RESET:
                    self.out_of_range.add(message.partition() or 0)
                self.report(error)
        return [message for message in received if message.error() is None and message.partition() in self._reading]

    def ended(self, handled: Mapping[int, Mapping[str, int]]) -> dict[tuple[str, int], int]:
        """Ends of inputs that are read, and handled, up to there, where that is further than `handled` says.

        By topic and partition; `handled` has the next offset to handle by partition and topic. To be asked when all
        that was given out is handled.
        """
        return {
            (topic, number): offset
            for (topic, number), offset in self._read_up_to.items()
            if number in handled and offset > handled[number].get(topic, offset)
        }

    def report(self, error: KafkaError) -> None:
        """Note an error, and log it, unless another one was logged half a minute ago."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.brokers_away = True
        if time.monotonic() - self._last_logged > _LOG_INTERVAL:
            self._last_logged = time.monotonic()
            log.warning("waiting for the brokers", domain=self._config.name, error=str(error))

    def close(self) -> None:
        """Read no more."""
        self._kafka.close()

    # ---- brokers and lag

    def _check_brokers(self) -> None:
        """Every few seconds: are brokers that were away back, and how far behind is this worker?"""
        if time.monotonic() - self._last_checked < (_AWAY_INTERVAL if self.brokers_away else _LAG_INTERVAL):
            return
        self._last_checked = time.monotonic()
        if self.brokers_away:
            try:
                self._kafka.list_topics(self._config.inputs[0], timeout=1)
            except KafkaException:
                return
            self.brokers_away = False
        lag = 0
        for position in self._kafka.position(self._kafka.assignment()):
            _, high = self._kafka.get_watermark_offsets(position, cached=True)
            reached = max(position.offset, self._read_up_to.get((position.topic, position.partition), 0))
            lag += max(0, high - reached) if position.offset >= 0 and high >= 0 else 0
        self._metrics.lag.labels(self._config.name).set(lag)


def _unreadable(message: Message, error: KafkaError) -> Record:
    """What stands for a record of which nothing is known but where it is."""
    topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
    why = f"it cannot be read: {error.str()}; it is in {topic}/{partition}/{offset}"
    headers = {UNREADABLE: why.encode(errors="replace")[:500]}
    return Record(topic, partition, offset, now_ms(), None, None, headers)


def _reader_config(config: ComponentConfig, on_error: Callable[[KafkaError], None]) -> dict[str, Any]:
    client = config.settings.client(
        group_id=f"{config.group}.inputs",  # librdkafka wants a name, and nobody joins
        enable_auto_commit=False,
        enable_partition_eof=True,
        auto_offset_reset="error",  # what is missing is counted, and never passed over
        isolation_level="read_committed",
        fetch_min_bytes=1,
        queued_min_messages=20_000,
    )
    client["error_cb"] = on_error
    return client
