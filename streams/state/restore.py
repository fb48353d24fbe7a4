"""Brings stores to the end of their topics: changelogs before a partition is processed, history behind it.

What to restore ends at the high watermark, not at the last stable offset: the markers of a transaction reach
its partitions one by one, so that a changelog may still show as open what the input offsets already count as
committed. Reading up to the high watermark waits for such a transaction, or for one whose worker died.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from headrace.schemas.headers import CAUSATION, CONTENT_TYPE, CORRELATION, FACT, TIME, TYPE
from headrace.schemas.stored_event import StoredEvent, split_event_key, stored_content_type
from headrace.streams.settings import Settings
from headrace.streams.state.rocksdb import EditionStore, PartitionStore

log = structlog.get_logger()
_CHUNK = 5000
OPEN_TRANSACTION = "a restore waits for a transaction that does not end; kafka-transactions.sh finds and ends it"
"""Logged when there is nothing to read for long before the end of what has to be read."""
Ends = dict[tuple[str, int], tuple[int, int]]
"""First offset and high watermark, by topic and partition."""


class StaleRestore(RuntimeError):
    """Nobody wants this restore any more; the text says why."""


@dataclass(frozen=True, slots=True)
class Task:
    """A partition of a topic, to be read for one edition of a store."""

    store: Callable[[], AbstractContextManager[PartitionStore]]
    """The store, for as long as it takes to read or write something. Raises StaleRestore."""
    edition: str
    topic: str
    partition: int


Take = Callable[[EditionStore, list[Message], dict[str, int]], None]


def take_changelog(store: EditionStore, messages: list[Message], checkpoints: dict[str, int]) -> None:
    """Put records of a snapshots topic."""
    store.restore_changelog(zip(map(Message.key, messages), map(Message.value, messages), strict=True), checkpoints)


def take_history(store: EditionStore, messages: list[Message], checkpoints: dict[str, int]) -> None:
    """Put records of an events topic."""
    store.restore_history([_stored(m) for m in messages], checkpoints)


class Restorer:
    """Restores stores of one component; counts what it read. One restore at a time in each object."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings, self._stop = settings, stop
        self.records = 0
        """Records read so far, over all restores."""
        self.remaining = 0
        """Offsets that the restore in progress has still to read."""

    def end_offsets(self, tasks: Collection[Task]) -> Ends:
        """Where each task's partition begins and ends now. Raises KafkaException when no answer comes."""
        partitions = [TopicPartition(task.topic, task.partition) for task in tasks]
        admin = AdminClient(self._settings.client())
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

    def restore(self, tasks: Sequence[Task], ends: Ends, take: Take) -> int:
        """Read each task's partition from its checkpoint to its end, if that is not behind it; how many records.

        Returns early, with less, when told to stop. Raises StaleRestore, and KafkaException when the brokers answer
        with an error that does not pass.
        """
        unfinished: dict[tuple[str, int], Task] = {}
        starts: list[TopicPartition] = []
        for task in tasks:
            first, end = ends[task.topic, task.partition]
            with task.store() as store:
                start = max(store.checkpoint(task.topic), first)
            if start < end:
                unfinished[task.topic, task.partition] = task
                # a number even for the beginning: librdkafka takes half a second to look up what that is
                starts.append(TopicPartition(task.topic, task.partition, start))
        if not starts:
            return 0
        self.remaining = sum(ends[p.topic, p.partition][1] - p.offset for p in starts)
        consumer = Consumer(_config(self._settings))
        count, since = 0, time.monotonic()
        try:
            consumer.assign(starts)
            while unfinished and not self._stop.is_set():
                if found := self._take_some(consumer, unfinished, ends, take):
                    count, since = count + found, time.monotonic()
                elif time.monotonic() - since > self._settings.longest_transaction:
                    log.error(OPEN_TRANSACTION, partitions=[f"{topic}/{number}" for topic, number in unfinished])
                    since = time.monotonic()
        finally:
            consumer.close()
            self.remaining = 0
        return count

    def _take_some(self, consumer: Consumer, unfinished: dict[tuple[str, int], Task], ends: Ends, take: Take) -> int:
        first = consumer.poll(0.2)
        if first is None:
            for task in unfinished.values():
                with task.store():
                    pass  # a stale one ends here
            return 0
        received: defaultdict[tuple[str, int], list[Message]] = defaultdict(list)
        finished: list[tuple[str, int]] = []
        for message in [first, *consumer.consume(_CHUNK, 0)]:
            place = (message.topic() or "", message.partition() or 0)
            error = message.error()
            if error is None:
                received[place].append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                if place in ends and (message.offset() or 0) >= ends[place][1]:
                    finished.append(place)
            elif not error.retriable() and error.code() not in _PASSING:
                raise KafkaException(error)
        count = 0
        for place, messages in received.items():
            if (wanted := unfinished.get(place)) is not None:
                next_offset = (messages[-1].offset() or 0) + 1
                with wanted.store() as store:
                    take(store.edition(wanted.edition), messages, {wanted.topic: next_offset})
                count += len(messages)
                if next_offset >= ends[place][1]:
                    finished.append(place)
        for place in finished:
            unfinished.pop(place, None)
        self.records += count
        self.remaining = max(0, self.remaining - count)
        return count


_PASSING = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT)


def _config(settings: Settings) -> dict[str, Any]:
    return settings.client(
        group_id=f"{settings.prefix}headrace.restore",  # required by the client, which joins no group here
        enable_auto_commit=False,
        enable_partition_eof=True,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_min_bytes=1,
        # a topic ends in a transaction's marker, so that its end is known by the first fetch that brings nothing
        fetch_wait_max_ms=10,
        max_partition_fetch_bytes=8 * 1024 * 1024,
        queued_min_messages=200_000,
        queued_max_messages_kbytes=256 * 1024,
    )


def _stored(message: Message) -> tuple[bytes, int, bytes | None]:
    """A record of an events topic as the history table holds it."""
    root, sequence = split_event_key(message.key() or b"")
    value = message.value()
    if value is None:
        return root, sequence, None
    headers: dict[str, Any] = dict(message.headers() or ())
    get = headers.get
    stored = StoredEvent(
        headers[TYPE],
        get(TIME, b""),
        get(CAUSATION, b""),
        get(CORRELATION, b""),
        get(FACT, b""),
        stored_content_type(get(CONTENT_TYPE)),
        value,
    )
    return root, sequence, stored.pack()
