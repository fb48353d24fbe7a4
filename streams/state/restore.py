"""Brings stores to the end of their topics: the changelog before a partition is ready, the history afterwards."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass

import structlog
from confluent_kafka import Message

from headrace.schemas.event_schema import schema_key
from headrace.schemas.headers import CAUSATION, CONTENT_TYPE, CORRELATION, FACT, TIME
from headrace.schemas.stored_event import StoredEvent, split_event_key, stored_content_type
from headrace.streams.settings import Settings
from headrace.streams.state.edition_part import EditionPart
from headrace.streams.state.messages import headers_of
from headrace.streams.state.rocksdb import EditionStore, PartitionStore
from headrace.streams.state.topic_reader import Batch, Ends, PartitionId, end_offsets, read_to_end

log = structlog.get_logger()
OPEN_TRANSACTION = "a restore waits for a transaction that does not end; kafka-transactions.sh finds and ends it"
"""Logged when nothing comes for longer than any transaction lasts, although the end is not reached."""


class StaleRestore(RuntimeError):
    """This restore is no longer needed; the text says why."""


@dataclass(frozen=True, slots=True)
class Task:
    """One partition of a topic, to be read into one edition of a store."""

    store: Callable[[], AbstractContextManager[PartitionStore | EditionPart]]
    """Opens the store as a context manager, to be held only for one read or write. Raises StaleRestore."""
    edition: str
    topic: str
    partition: int

    @property
    def id(self) -> PartitionId:
        """Topic and partition."""
        return self.topic, self.partition

    def check(self) -> None:
        """Raise StaleRestore if this restore is no longer needed."""
        with self.store():
            pass


Take = Callable[[EditionStore, list[Message], dict[str, int]], None]


def take_changelog(store: EditionStore, messages: list[Message], checkpoints: dict[str, int]) -> None:
    """Put records of a snapshots topic into the store."""
    store.restore_changelog(zip(map(Message.key, messages), map(Message.value, messages), strict=True), checkpoints)


def take_documents(store: EditionStore, messages: list[Message], checkpoints: dict[str, int]) -> None:
    """Put records of a documents topic into the store."""
    store.restore_documents(zip(map(Message.key, messages), map(Message.value, messages), strict=True), checkpoints)


def take_history(store: EditionStore, messages: list[Message], checkpoints: dict[str, int]) -> None:
    """Put records of an events topic into the store.

    Events are recorded at the timestamps of their records. Where these decrease, as on a log that was copied, an event
    counts as recorded when the latest one before it was.
    """
    recorded, records = store.history_recorded, []
    for message in messages:
        recorded = max(recorded, message.timestamp()[1])
        records.append(stored_event(message, recorded))
    store.restore_history(records, recorded, checkpoints)


class Restorer:
    """Restores stores of one component, and counts the records. Each object runs one restore at a time."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings, self._stop = settings, stop
        self._config = {
            "group_id": f"{settings.prefix}headrace.restore",
            "max_partition_fetch_bytes": 8 * 1024 * 1024,
            "queued_min_messages": 200_000,
            "queued_max_messages_kbytes": 256 * 1024,
        }
        self.records = 0
        """Records read so far, over all restores."""
        self.remaining = 0
        """Offsets that the current restore still has to read."""

    def end_offsets(self, tasks: Iterable[Task]) -> Ends:
        """First offset and end of each task's partition. Raises KafkaException if no answer comes."""
        return end_offsets(self._settings, [task.id for task in tasks])

    def restore(self, tasks: Sequence[Task], ends: Ends, take: Take) -> int:
        """Read each task's partition from its checkpoint to its end; returns the number of records.

        Returns early when `stop` is set. Raises StaleRestore, and KafkaException for a permanent error of the brokers.
        """
        by_partition = {task.id: task for task in tasks}
        unread: Ends = {}
        for partition, task in by_partition.items():
            first, end = ends[partition]
            with task.store() as store:
                unread[partition] = max(store.checkpoint(task.topic), first), end
        self.remaining = sum(max(0, end - start) for start, end in unread.values())
        count, since = 0, time.monotonic()
        try:
            with closing(read_to_end(self._settings, unread, self._config)) as batches:
                for batch in batches:
                    if self._stop.is_set():
                        break
                    if batch:
                        count, since = count + self._take_batch(batch, by_partition, take), time.monotonic()
                        continue
                    for partition in unread:
                        by_partition[partition].check()
                    if time.monotonic() - since > self._settings.longest_transaction:
                        log.error(OPEN_TRANSACTION, partitions=[f"{topic}/{number}" for topic, number in unread])
                        since = time.monotonic()
        finally:
            self.remaining = 0
        return count

    def _take_batch(self, batch: Batch, by_partition: dict[PartitionId, Task], take: Take) -> int:
        for partition, messages in batch.items():
            task, next_offset = by_partition[partition], (messages[-1].offset() or 0) + 1
            with task.store() as store:
                take(store.edition(task.edition), messages, {task.topic: next_offset})
        count = sum(map(len, batch.values()))
        self.records += count
        self.remaining = max(0, self.remaining - count)
        return count


def stored_event(message: Message, recorded: int) -> tuple[bytes, int, bytes | None]:
    """A record of an events topic as the history table holds it."""
    root, sequence = split_event_key(message.key() or b"")
    value = message.value()
    if value is None:
        return root, sequence, None
    headers = headers_of(message)
    get = headers.get
    stored = StoredEvent(
        schema_key(headers),
        b"%d" % recorded,
        get(TIME, b""),
        get(CAUSATION, b""),
        get(CORRELATION, b""),
        get(FACT, b""),
        stored_content_type(get(CONTENT_TYPE)),
        value,
    )
    return root, sequence, stored.pack()
