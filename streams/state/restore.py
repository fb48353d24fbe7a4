"""Brings stores to the end of their topics: changelogs before a partition is processed, history behind it.

What to restore ends at the high watermark, not at the last stable offset: the markers of a transaction reach
its partitions one by one, so that a changelog may still show as open what the input offsets already count as
committed. Reading up to the high watermark waits for such a transaction, or for one whose worker died.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
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
from headrace.streams.settings import Settings
from headrace.streams.state.rocksdb import EditionStore, PartitionStore

log = structlog.get_logger()
_CHUNK = 5000
WAITS = "a restore waits for a transaction that does not end; kafka-transactions.sh finds and ends it"
"""Said when nothing is to be read before the end of what has to be."""


@dataclass(frozen=True, slots=True)
class Task:
    """One topic's partition that one edition of one store is made from."""

    store: PartitionStore
    edition: EditionStore
    topic: str
    partition: int


Take = Callable[[EditionStore, list[Message], dict[str, int]], None]


def take_changelog(store: EditionStore, messages: list[Message], checkpoints: dict[str, int]) -> None:
    """Put records of a snapshots topic."""
    store.restore_changelog(zip(map(Message.key, messages), map(Message.value, messages), strict=True), checkpoints)


def take_history(store: EditionStore, messages: list[Message], checkpoints: dict[str, int]) -> None:
    """Put records of an events topic."""
    store.restore_history([_stored(m) for m in messages], checkpoints)


def discard_foreign(tasks: Iterable[Task], ends: dict[tuple[str, int], tuple[int, int]]) -> None:
    """Empty the stores that are ahead of a topic of theirs: it is another one than they were made from.

    For stores that nobody reads yet, and with ends that were asked for since.
    """
    for task in tasks:
        if task.store.checkpoint(task.topic) > ends[task.topic, task.partition][1]:
            log.warning("store is ahead of its topic; made anew", topic=task.topic, partition=task.partition)
            task.store.wipe()


class Restorer:
    """Restores stores of one component; counts what it read. One restore at a time in each object."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings, self._stop = settings, stop
        self.records = 0
        """Records read so far, over all restores."""
        self.remaining = 0
        """Offsets that the restore in progress has still to read."""

    def end_offsets(self, tasks: Iterable[Task]) -> dict[tuple[str, int], tuple[int, int]]:
        """First offset and high watermark of each task's partition. Raises KafkaException when no answer comes."""
        places = [TopicPartition(task.topic, task.partition) for task in tasks]
        admin = AdminClient(self._settings.client())
        if places:
            # asked of a client that knows no leader yet, offsets are now and then answered after seconds
            admin.list_topics(places[0].topic, timeout=10)
        ends: dict[tuple[str, int], tuple[int, int]] = {}
        earliest = admin.list_offsets({p: OffsetSpec.earliest() for p in places}, request_timeout=10)
        latest = admin.list_offsets(
            {p: OffsetSpec.latest() for p in places},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=10,
        )
        for place in places:
            ends[place.topic, place.partition] = (earliest[place].result().offset, latest[place].result().offset)
        return ends

    def restore(self, tasks: Sequence[Task], ends: dict[tuple[str, int], tuple[int, int]], take: Take) -> int:
        """Read each task's partition from its checkpoint to its end, if that is not behind it; how many records.

        Returns early, with less, when told to stop. Raises KafkaException when the brokers answer with an error
        that does not pass.
        """
        open_tasks: dict[tuple[str, int], Task] = {}
        starts: list[TopicPartition] = []
        for task in tasks:
            first, end = ends[task.topic, task.partition]
            start = max(task.store.checkpoint(task.topic), first)
            if start < end:
                open_tasks[task.topic, task.partition] = task
                # a number even for the beginning: librdkafka takes half a second to look up what that is
                starts.append(TopicPartition(task.topic, task.partition, start))
        self.remaining = sum(ends[p.topic, p.partition][1] - p.offset for p in starts)
        if not starts:
            return 0
        consumer = Consumer(_reader(self._settings))
        count, since = 0, time.monotonic()
        try:
            consumer.assign(starts)
            while open_tasks and not self._stop.is_set():
                if found := self._take_some(consumer, open_tasks, ends, take):
                    count, since = count + found, time.monotonic()
                elif time.monotonic() - since > self._settings.longest_transaction:
                    log.error(WAITS, partitions=[f"{topic}/{number}" for topic, number in open_tasks])
                    since = time.monotonic()
        finally:
            consumer.close()
            self.remaining = 0
        return count

    def _take_some(
        self,
        consumer: Consumer,
        open_tasks: dict[tuple[str, int], Task],
        ends: dict[tuple[str, int], tuple[int, int]],
        take: Take,
    ) -> int:
        first = consumer.poll(0.2)
        if first is None:
            return 0
        by_place: defaultdict[tuple[str, int], list[Message]] = defaultdict(list)
        done: list[tuple[str, int]] = []
        for message in [first, *consumer.consume(_CHUNK, 0)]:
            place = (message.topic() or "", message.partition() or 0)
            error = message.error()
            if error is None:
                by_place[place].append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                if place in ends and (message.offset() or 0) >= ends[place][1]:
                    done.append(place)
            elif not error.retriable() and error.code() not in _PASSING:
                raise KafkaException(error)
        count = 0
        for place, messages in by_place.items():
            task = open_tasks.get(place)
            if task is not None:
                following = (messages[-1].offset() or 0) + 1
                take(task.edition, messages, {task.topic: following})
                count += len(messages)
                if following >= ends[place][1]:
                    done.append(place)
        for place in done:
            open_tasks.pop(place, None)
        self.records += count
        self.remaining = max(0, self.remaining - count)
        return count


_PASSING = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT)


def _reader(settings: Settings) -> dict[str, Any]:
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
    root, _, number = (message.key() or b"").rpartition(b"|")
    value = message.value()
    if value is None:
        return root, int(number), None
    headers: dict[str, Any] = dict(message.headers() or ())
    get = headers.get
    content_type = get(CONTENT_TYPE, b"")
    if content_type == b"application/protobuf":
        content_type = b""
    fields = (headers[TYPE], get(TIME, b""), get(CAUSATION, b""), get(CORRELATION, b""), get(FACT, b""), content_type)
    return root, int(number), b"\0".join((*fields, value))


def backoff(attempt: int) -> float:
    """Seconds before the next attempt: 0.1, 0.2, 0.4, … 5."""
    return float(min(5.0, 0.1 * 2**attempt))


def now_ms() -> int:
    """Wall clock in milliseconds."""
    return time.time_ns() // 1_000_000
