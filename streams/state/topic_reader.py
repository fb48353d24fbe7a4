"""Reads a topic from its beginning to its end, as anyone outside the engine would: a plain read_committed consumer."""

import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from headrace.streams.settings import Settings

_CHUNK = 5000


def read(settings: Settings, topic: str, timeout: float = 60.0) -> Iterator[Message]:
    """The committed records that are in a topic now, those of one partition in order.

    Waits for transactions that are still open. Raises TimeoutError, naming the partitions that did not come to their
    end, when nothing comes for `timeout` seconds; KafkaException when the brokers refuse.
    """
    ends = _ends(settings, topic)
    consumer = Consumer(
        settings.client(
            # required by the client; no group is joined, since partitions are assigned
            group_id=f"{settings.prefix}headrace.reader",
            enable_auto_commit=False,
            enable_partition_eof=True,
            isolation_level="read_committed",
            queued_max_messages_kbytes=64 * 1024,
            fetch_wait_max_ms=20,  # that a partition is at its end is said when the broker has waited for more
        )
    )
    try:
        consumer.list_topics(topic, timeout=10)  # one that knows no leader yet asks for first offsets 500 ms later
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in ends])
        deadline = time.monotonic() + timeout
        while ends:
            first = consumer.poll(0.2)
            messages = [] if first is None else [first, *consumer.consume(_CHUNK, 0)]
            if messages:
                deadline = time.monotonic() + timeout
            elif time.monotonic() > deadline:
                waiting = ", ".join(f"{partition} to {end}" for partition, end in ends.items())
                raise TimeoutError(
                    f"{topic}: nothing more came for {timeout:g} s from partition(s) {waiting}; "
                    "is a transaction still open there?"
                )
            yield from _records(messages, ends)
    finally:
        consumer.close()


def _records(messages: list[Message], ends: dict[int, int]) -> Iterator[Message]:
    """The records among what was consumed; partitions that are read to their end are removed from `ends`."""
    for message in messages:
        error, partition = message.error(), message.partition() or 0
        if error is None:
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:
            # the end that committed readers see: it is short of the real one while a transaction is open
            if (message.offset() or 0) >= ends.get(partition, 0):
                ends.pop(partition, None)
        elif not error.retriable():
            raise KafkaException(error)


def _ends(settings: Settings, topic: str) -> dict[int, int]:
    """The end of each partition that ever held anything, open transactions included."""
    admin = AdminClient(settings.client())
    found: Any = admin.list_topics(topic, timeout=10).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    results = admin.list_offsets(
        {TopicPartition(topic, partition): OffsetSpec.latest() for partition in found.partitions},
        isolation_level=IsolationLevel.READ_UNCOMMITTED,
        request_timeout=10,
    )
    ends = {place.partition: result.result().offset for place, result in results.items()}
    return {partition: end for partition, end in ends.items() if end > 0}
