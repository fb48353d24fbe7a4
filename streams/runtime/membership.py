"""A component's membership in its consumer group, which assigns the partitions."""

import threading
from collections.abc import Callable
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, TopicPartition

from headrace.streams.clock import backoff
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.config import ComponentConfig

log = structlog.get_logger()


class Membership:
    """A member of the group, which reads no records. All methods are for one thread.

    All members of a group subscribe to the same single topic, of whatever release they are, so that each partition
    number has one owner. With several topics, the range assignor would ensure that only if all members named the same.
    """

    def __init__(
        self,
        config: ComponentConfig,
        assignment: Assignment,
        stop: threading.Event,
        report: Callable[[KafkaError], None],
    ) -> None:
        self._config, self._assignment, self._stop, self._report = config, assignment, stop, report
        self.failure: KafkaError | None = None
        """The fatal error of the consumer, after which it cannot be used."""
        self._failures = 0
        """How many consumers have failed since partitions were assigned."""
        self.kafka = self._join()

    def serve(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for assignments and revocations by the group, and carry them out."""
        message = self.kafka.poll(timeout)
        if message is not None and (error := message.error()) is not None:
            self._on_error(error)

    def join_again(self) -> None:
        """Replace a consumer that has failed, for example because the brokers no longer know the group."""
        failure = str(self.failure)
        log.error("the consumer has failed; another one joins the group", domain=self._config.name, error=failure)
        self.kafka.close()
        self._assignment.remove_all()
        self._stop.wait(backoff(self._failures))
        self.failure, self._failures = None, self._failures + 1
        self.kafka = self._join()

    def close(self) -> None:
        """Leave the group."""
        self.kafka.close()

    def _join(self) -> Consumer:
        consumer = Consumer(_member_config(self._config, self._on_error))
        consumer.subscribe([self._config.subscription], on_assign=self._assigned, on_revoke=self._assignment.remove)
        return consumer

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._failures = 0
        self._assignment.add(consumer, partitions)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._FATAL:
            self.failure = error
        self._report(error)


def _member_config(config: ComponentConfig, on_error: Callable[[KafkaError], None]) -> dict[str, Any]:
    settings = config.settings
    client = settings.client(
        group_id=config.group,
        enable_auto_commit=False,
        max_poll_interval_ms=1_800_000,  # a read of history may have to wait until it is restored
    )
    client["error_cb"] = on_error
    if settings.static_member:
        client["group.instance.id"] = config.instance
    if settings.group_protocol == "consumer":
        return client | {"group.protocol": "consumer", "group.remote.assignor": "range"}
    return client | {"partition.assignment.strategy": "range", "session.timeout.ms": 10_000}
