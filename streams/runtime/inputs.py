"""A component's inputs: read for the partitions that are READY, by a consumer that joins no group."""

import time
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from prometheus_client import Gauge

from headrace.schemas.headers import UNREADABLE
from headrace.schemas.record import Record
from headrace.streams.clock import now_ms
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.config import ComponentConfig

log = structlog.get_logger()
_LOG_INTERVAL = 30.0  # seconds between two lines about the same trouble
_LAG_INTERVAL = 5.0
_AWAY_INTERVAL = 1.0
_MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)
_UNREADABLE = (KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG)
"""Errors of a fetch that comes back the same each time: a batch that grows beyond all measure, or is no batch."""


class Inputs:
    """Takes batches of all inputs of one component. All methods are for one thread.

    The group shares out the partition numbers of one topic. What else a component reads is read here for the same
    numbers, so that no other member, whatever release it is of, can hold an input of a root that is decided here.
    """

    def __init__(self, config: ComponentConfig, metrics: Metrics, lag: Gauge | None = None) -> None:
        """`lag` is the gauge that counts what is not handled yet, if not main's."""
        self._config = config
        self._lag = (lag or metrics.lag).labels(config.name)
        self.brokers_away = False
        """Whether no broker could be reached when one was last tried."""
        self.missing: set[str] = set()
        """Inputs that the cluster does not have any more."""
        self._last_logged = 0.0
        self._last_checked = 0.0
        self.out_of_range: set[tuple[str, int]] = set()
        """Topics and partitions in which the log does not have the offset that is next."""
        self.unreadable: list[Record] = []
        """Records that the client cannot read, and beyond which it does not come by itself; to be taken out."""
        self._read_up_to: dict[tuple[str, int], int] = {}
        """By topic and partition, the offset before which all was given out, when that was the end of the log.

        It may be behind a transaction's markers, which are no records, and which a group's lag counts all the same.
        """
        self._held_back: dict[tuple[str, int], tuple[float, int]] = {}
        """By topic and partition: since when committed records end before the end of the log, and where."""
        self._reading: dict[int, list[TopicPartition]] = {}
        """By partition number."""
        self._known: set[str] = set()
        """Topics that this consumer has read."""
        self._kafka = Consumer(_reader_config(config, self.report))

    def start(self, number: int, offsets: Mapping[str, int]) -> None:
        """Read all inputs of a partition, each from its offset on."""
        begin = [TopicPartition(topic, number, offset) for topic, offset in offsets.items()]
        others = [place for place in self._reading.get(number, ()) if place.topic not in offsets]
        self._reading[number] = others + begin
        self._known.update(offsets)
        self._kafka.incremental_assign(begin)

    def stop(self, numbers: Iterable[int], topics: Container[str] | None = None) -> None:
        """Read no more of these partitions, or of those of `topics`; what was fetched of them already is dropped."""
        for number in numbers:
            reading = self._reading.pop(number, [])
            if kept := [place for place in reading if topics is not None and place.topic not in topics]:
                self._reading[number] = kept
            if stopped := [place for place in reading if place not in kept]:
                self._kafka.incremental_unassign(stopped)
            for of in {of for of in (*self.out_of_range, *self._read_up_to) if of[1] == number}:
                if topics is None or of[0] in topics:
                    self.out_of_range.discard(of)
                    self._read_up_to.pop(of, None)

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
                if error.code() in _MISSING:
                    self._note_missing(message.topic() or "")
                if error.code() == KafkaError._AUTO_OFFSET_RESET:
                    self.out_of_range.add((message.topic() or "", message.partition() or 0))
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

    def topics(self) -> set[str]:
        """Topics that the cluster has. Raises KafkaException."""
        there = self._kafka.list_topics(timeout=1).topics
        return {name for name, topic in there.items() if topic.error is None}

    def report(self, error: KafkaError) -> None:
        """Note an error, and log it, unless another one was logged half a minute ago."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.brokers_away = True
        if time.monotonic() - self._last_logged > _LOG_INTERVAL:
            self._last_logged = time.monotonic()
            log.warning("waiting for the brokers", domain=self._config.name, error=str(error))

    def knows(self, topics: Iterable[str]) -> bool:
        """Whether one of these topics was read."""
        return not self._known.isdisjoint(topics)

    def renew(self) -> None:
        """Read on by a new consumer, which reads nothing yet.

        One that has read a topic does not read another one that is made later under its name, if brokers were restarted
        in between: leaders are counted from 0 again, and librdkafka 2.16 takes them for older ones than it knows.
        """
        self._kafka.close()
        for state in (self._reading, self._known, self.out_of_range, self._read_up_to, self._held_back):
            state.clear()
        self.unreadable.clear()
        self._kafka = Consumer(_reader_config(self._config, self.report))

    def close(self) -> None:
        """Read no more."""
        self._kafka.close()

    # ---- brokers and lag

    def _note_missing(self, topic: str) -> None:
        if topic not in self.missing:
            self.missing.add(topic)
            log.error("an input is missing; it was deleted, or may not be read", domain=self._config.name, topic=topic)

    def _check_brokers(self) -> None:
        """Every few seconds: are brokers and inputs that were away back, and how far behind is this worker?"""
        if time.monotonic() - self._last_checked < (_AWAY_INTERVAL if self.brokers_away else _LAG_INTERVAL):
            return
        self._last_checked = time.monotonic()
        if self.brokers_away:
            try:
                self._kafka.list_topics(self._config.inputs[0], timeout=1)
            except KafkaException:
                return
            self.brokers_away = False
        if self.missing:
            self.missing -= self.topics()
        lag = 0
        began = [begin for reading in self._reading.values() for begin in reading]
        positions = self._kafka.position([TopicPartition(begin.topic, begin.partition) for begin in began])
        for begin, position in zip(began, positions, strict=True):
            low, high = self._kafka.get_watermark_offsets(position, cached=True)
            end = self._read_up_to.get((position.topic, position.partition), -1)
            # there is no position before the first record was given out
            reached = max(position.offset, end, begin.offset, low)
            if high >= 0:
                lag += max(0, high - reached)
                self._note_held_back(position, end if reached == end < high else -1, high)
        self._lag.set(lag)

    def _note_held_back(self, position: TopicPartition, end: int, high: int) -> None:
        """Name a transaction that somebody has left open on an input: what lies behind it is not given out.

        `end` is where committed records end, before the end of the log; -1 if they do not.
        """
        of, now = (position.topic, position.partition), time.monotonic()
        since, before = self._held_back.get(of, (now, -1))
        if end < 0 or end != before:
            self._held_back[of] = now, end
        elif now - since > self._config.settings.longest_transaction:
            self._held_back[of] = now, end
            log.warning(
                "a transaction is open on an input, and holds back what lies behind it",
                domain=self._config.name,
                topic=position.topic,
                partition=position.partition,
                offset=end,
                records=high - end,
                hint="if its producer is gone, kafka-transactions.sh finds and aborts it",
            )


class EditionInputs:
    """The inputs of one edition, read by a consumer that all editions of a component share."""

    def __init__(self, inputs: Inputs, topics: Iterable[str]) -> None:
        self._inputs, self._topics = inputs, frozenset(topics)

    def start(self, number: int, offsets: Mapping[str, int]) -> None:
        """Read all inputs of a partition, each from its offset on."""
        self._inputs.start(number, offsets)

    def stop(self, numbers: Iterable[int]) -> None:
        """Read no more of these partitions of the edition."""
        self._inputs.stop(numbers, self._topics)


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
