"""Reads topics to their end, transactions that are open at the time included, by a consumer without a group.

The end is the high watermark, not the last stable offset: the markers of a transaction reach its partitions one by one,
so that one of them may still show as open what another one counts as committed. Reading committed records up to the
high watermark waits for such a transaction, or for one whose worker has died.
"""

import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from headrace.streams.settings import Settings

PartitionId = tuple[str, int]
"""Topic and partition."""
Ends = dict[PartitionId, tuple[int, int]]
"""First offset and high watermark."""
Batch = dict[PartitionId, list[Message]]
"""Records of each partition, in order."""
_CHUNK = 5000
_PASSING = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT)


def read(settings: Settings, topic: str, timeout: float = 60.0) -> Iterator[Message]:
    """The committed records that are in a topic now, those of one partition in order.

    Raises TimeoutError, naming the partitions that did not come to their end, when nothing comes for `timeout` seconds;
    KafkaException when the brokers refuse.
    """
    found = AdminClient(settings.client()).list_topics(topic, timeout=10).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    unread = end_offsets(settings, [(topic, partition) for partition in found.partitions])
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


def end_offsets(settings: Settings, ids: Iterable[PartitionId]) -> Ends:
    """Where each partition begins and ends now. Raises KafkaException when no answer comes."""
    partitions = [TopicPartition(*partition_id) for partition_id in ids]
    admin = AdminClient(settings.client())
    if partitions:
        # asked of a client that knows no leader yet, offsets are now and then answered after seconds
        admin.list_topics(partitions[0].topic, timeout=10)
    earliest = admin.list_offsets({p: OffsetSpec.earliest() for p in partitions}, request_timeout=10)
    latest = admin.list_offsets(
        {p: OffsetSpec.latest() for p in partitions},
        isolation_level=IsolationLevel.READ_UNCOMMITTED,
        request_timeout=10,
    )
    return {(p.topic, p.partition): (earliest[p].result().offset, latest[p].result().offset) for p in partitions}


def read_to_end(settings: Settings, unread: Ends, config: dict[str, Any]) -> Generator[Batch]:
    """Committed records in batches, by partition; an empty batch whenever nothing came for 0.2 seconds.

    `unread` says from where to where each partition is to be read; those that are read to the end are taken out of it.
    `config` is for the consumer, which joins no group. Raises KafkaException for errors that do not pass.
    """
    for partition, (start, end) in list(unread.items()):
        if start >= end:
            del unread[partition]
    if not unread:
        return
    with Consumer(_config(settings, config)) as consumer:
        # a start is a number even at the beginning: librdkafka takes half a second to look up what that is
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
                    # the end that committed readers see: it is short of the real one while a transaction is open
                    read_up_to[partition] = message.offset() or 0
                elif not error.retriable() and error.code() not in _PASSING:
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
        # a topic ends in a transaction's marker, so that its end is known by the first fetch that brings nothing
        fetch_wait_max_ms=10,
        **specific,
    )
