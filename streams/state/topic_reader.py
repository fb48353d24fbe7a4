"""Reads topics to their end, including transactions that are open at the time, with a consumer without a group.

The end is the high watermark, not the last stable offset: the markers of a transaction reach its partitions one by one,
so that it may still be open in one while it is committed in another. Reading committed records up to the high watermark
waits for such a transaction, and for one whose worker has died.
"""

import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from headrace.streams.settings import Settings

PartitionId = tuple[str, int]
"""Topic and partition."""
Ends = dict[PartitionId, tuple[int, int]]
"""First offset and high watermark."""
Batch = dict[PartitionId, list[Message]]
"""Records of each partition, in order."""
_CHUNK = 5000
PASSING = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT)
"""Errors that a consumer reports and gets over by itself."""


def read(settings: Settings, topic: str, timeout: float = 60.0) -> Iterator[Message]:
    """The committed records that are in a topic now, those of one partition in order.

    Raises TimeoutError, naming the partitions that are not read to their end, when nothing comes for `timeout` seconds;
    KafkaException for an error of the brokers, such as a missing permission.
    """
    unread = end_offsets(settings, partitions_of(settings, topic))
    config = {"group_id": f"{settings.prefix}headrace.reader", "queued_max_messages_kbytes": 64 * 1024}
    deadline = time.monotonic() + timeout
    for batch in read_to_end(settings, unread, config):
        if batch:
            deadline = time.monotonic() + timeout
        elif time.monotonic() > deadline:
            waiting = ", ".join(f"{partition} to {end}" for (_, partition), (_, end) in unread.items())
            raise TimeoutError(
                f"{topic}: nothing more came for {timeout:g} s from partition(s) {waiting}; "
                "is a transaction still open there?"
            )
        for messages in batch.values():
            yield from messages


def partitions_of(settings: Settings, topic: str) -> list[PartitionId]:
    """The partitions of a topic. Raises KafkaException, also when there is no such topic."""
    found = AdminClient(settings.client()).list_topics(topic, timeout=10).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return [(topic, number) for number in found.partitions]


def read_one(settings: Settings, topic: str, partition: int, offset: int, timeout: float = 10.0) -> Message | None:
    """The record at an offset; None if the topic no longer has it. Raises KafkaException, TimeoutError."""
    place = (topic, partition)
    start, end = end_offsets(settings, [place])[place]
    if not start <= offset < end:
        return None
    deadline = time.monotonic() + timeout
    config = {"group_id": f"{settings.prefix}headrace.reader"}
    for batch in read_to_end(settings, {place: (offset, offset + 1)}, config):
        for message in batch.get(place, ()):
            return message if message.offset() == offset else None
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic}/{partition}/{offset} was not read within {timeout:g} s")
    return None


def end_offsets(settings: Settings, ids: Iterable[PartitionId]) -> Ends:
    """First offset and high watermark of each partition. Raises KafkaException if no answer comes.

    A consumer that joins no group asks, because `list_offsets` of the admin client sometimes crashes the process.
    """
    names = list(ids)
    if not names:
        return {}
    config = settings.client(group_id=f"{settings.prefix}headrace.reader", isolation_level="read_uncommitted")
    with Consumer(config) as consumer:
        # a client that does not know the leaders yet sometimes takes seconds to answer for offsets
        consumer.list_topics(names[0][0], timeout=10)
        first = _offsets(consumer, names, OFFSET_BEGINNING)
        end = _offsets(consumer, names, OFFSET_END)
    return {name: (first[name], end[name]) for name in names}


def _offsets(consumer: Consumer, names: Sequence[PartitionId], which: int) -> dict[PartitionId, int]:
    asked = [TopicPartition(*name, which) for name in names]  # instead of a time, these constants ask for begin and end
    found: dict[PartitionId, int] = {}
    for partition in consumer.offsets_for_times(asked, 10):
        if partition.error is not None:
            raise KafkaException(partition.error)
        found[partition.topic, partition.partition] = partition.offset
    return found


def read_to_end(settings: Settings, unread: Ends, config: dict[str, Any]) -> Generator[Batch]:
    """Committed records in batches, by partition; an empty batch whenever nothing came for 0.2 seconds.

    `unread` has the first offset and the end to read of each partition; those that are read to the end are removed.
    `config` is for the consumer, which joins no group. Raises KafkaException for permanent errors.
    """
    for partition, (start, end) in list(unread.items()):
        if start >= end:
            del unread[partition]
    if not unread:
        return
    with Consumer(_config(settings, config)) as consumer:
        # always a number, because librdkafka takes half a second to look up what the beginning is
        consumer.assign([TopicPartition(*partition, start) for partition, (start, _) in unread.items()])
        while unread:
            first = consumer.poll(0.2)
            received: defaultdict[PartitionId, list[Message]] = defaultdict(list)
            read_up_to: dict[PartitionId, int] = {}
            for message in [] if first is None else [first, *consumer.consume(_CHUNK, 0)]:
                partition, error = (message.topic() or "", message.partition() or 0), message.error()
                if error is None:
                    received[partition].append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    # the end of committed records: while a transaction is open, it is before the high watermark
                    read_up_to[partition] = message.offset() or 0
                elif not error.retriable() and error.code() not in PASSING:
                    raise KafkaException(error)
            batch = {partition: messages for partition, messages in received.items() if partition in unread}
            for partition, messages in batch.items():
                read_up_to[partition] = max(read_up_to.get(partition, 0), (messages[-1].offset() or 0) + 1)
            for partition, offset in read_up_to.items():
                if partition in unread and offset >= unread[partition][1]:
                    del unread[partition]
            yield batch


def _config(settings: Settings, specific: dict[str, Any]) -> dict[str, Any]:
    return settings.client(
        enable_auto_commit=False,
        enable_partition_eof=True,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_min_bytes=1,
        # a topic ends with a transaction's marker, so only a fetch that returns no records shows that it is the end
        fetch_wait_max_ms=10,
        **specific,
    )
