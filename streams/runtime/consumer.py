"""A component's consumer: a member of its group, which takes batches of the partitions that are READY."""

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.schemas.record import Record
from headrace.streams.clock import backoff
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.config import ComponentConfig

log = structlog.get_logger()
_LOG_INTERVAL = 30.0  # seconds between two lines about the same trouble
_LAG_INTERVAL = 5.0
_AWAY_INTERVAL = 1.0


class GroupConsumer:
    """Reads a component's input. All methods are for one thread."""

    def __init__(
        self, config: ComponentConfig, assignment: Assignment, metrics: Metrics, stop: threading.Event
    ) -> None:
        self._config, self._assignment, self._metrics, self._stop = config, assignment, metrics, stop
        self.brokers_away = False
        """Whether no broker could be reached when one was last tried."""
        self.failure: KafkaError | None = None
        """The fatal error of the consumer, which is of no more use then."""
        self._failures = 0
        """How many consumers have failed since partitions were assigned."""
        self._last_logged = 0.0
        self._last_checked = 0.0
        self.kafka = self._join()

    def poll(self, timeout: float) -> list[Message]:
        """The next batch; empty when nothing came for `timeout` seconds. Serves assignments meanwhile.

        Records of partitions that are not READY are left out; they are read again, here or elsewhere.
        """
        first = self.kafka.poll(timeout)
        received = [] if first is None else [first, *self.kafka.consume(self._config.settings.batch - 1, 0)]
        self._check_brokers()
        for error in filter(None, map(Message.error, received)):
            self.report(error)
        if self.failure is not None:
            return []
        ready = self._assignment.ready_partitions()
        return [m for m in received if m.error() is None and m.partition() in ready]

    def wait(self, timeout: float) -> None:
        """Stay a member of the group for `timeout` seconds, without taking a batch."""
        message = self.kafka.poll(timeout)
        if message is not None and (error := message.error()) is not None:
            self.report(error)

    def report(self, error: KafkaError) -> None:
        """Note an error, and log it, unless another one was logged half a minute ago."""
        if error.code() == KafkaError._FATAL:
            self.failure = error
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.brokers_away = True
        if time.monotonic() - self._last_logged > _LOG_INTERVAL:
            self._last_logged = time.monotonic()
            log.warning("waiting for the brokers", domain=self._config.name, error=str(error))

    def close(self) -> None:
        """Leave the group."""
        self.kafka.close()

    # ---- the group

    def join_again(self) -> None:
        """Another consumer in place of one that has failed, as when the brokers have forgotten the group."""
        failure = str(self.failure)
        log.error("the consumer has failed; another one joins the group", domain=self._config.name, error=failure)
        self.kafka.close()
        self._assignment.remove_all()
        self._stop.wait(backoff(self._failures))
        self.failure, self._failures = None, self._failures + 1
        self.kafka = self._join()

    def _join(self) -> Consumer:
        consumer = Consumer(_group_config(self._config, self.report))
        consumer.subscribe(self._config.inputs, on_assign=self._assigned, on_revoke=self._assignment.remove)
        return consumer

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._failures = 0
        self._assignment.add(consumer, partitions)

    # ---- brokers and lag

    def _check_brokers(self) -> None:
        """Every few seconds: are brokers that were away back, and how far behind is this worker?"""
        if time.monotonic() - self._last_checked < (_AWAY_INTERVAL if self.brokers_away else _LAG_INTERVAL):
            return
        self._last_checked = time.monotonic()
        if self.brokers_away:
            try:
                self.kafka.list_topics(self._config.inputs[0], timeout=1)
            except KafkaException:
                return
            self.brokers_away = False
        lag = 0
        for position in self.kafka.position(self.kafka.assignment()):
            _, high = self.kafka.get_watermark_offsets(position, cached=True)
            lag += max(0, high - position.offset) if position.offset >= 0 and high >= 0 else 0
        self._metrics.lag.labels(self._config.name).set(lag)


def to_record(message: Message) -> Record:
    """A message as the steps take it."""
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
        dict(message.headers() or ()),  # type: ignore[arg-type]
    )


def _group_config(config: ComponentConfig, on_error: Callable[[KafkaError], None]) -> dict[str, Any]:
    settings = config.settings
    client = settings.client(
        group_id=config.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_min_bytes=1,
        queued_min_messages=20_000,
        max_poll_interval_ms=1_800_000,  # a read of history may have to wait until it is restored
    )
    client["error_cb"] = on_error
    # range keeps partition p of all topics of a component on one worker
    if settings.group_protocol == "consumer":
        return client | {"group.protocol": "consumer", "group.remote.assignor": "range"}
    return client | {"partition.assignment.strategy": "range", "session.timeout.ms": 10_000}
