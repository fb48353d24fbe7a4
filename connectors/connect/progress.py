"""How far the connectors of sinks have come: their groups' offsets against the ends of the logs, and dead letters."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from headrace.connectors.connect.rendering import LARGEST_DEAD_LETTER, Rendered
from headrace.streams.admin import dead_letters, topics
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import end_offsets
from headrace.topology.topology import TopicSpec

_CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": str(30 * 24 * 3600 * 1000),
    "max.message.bytes": str(LARGEST_DEAD_LETTER),
    # Connect gives a record the time of its document, which may be older than what is kept here
    "message.timestamp.type": "LogAppendTime",
}


@dataclass(frozen=True)
class Progress:
    """One sink, as Kafka sees it."""

    lag: int | None
    """Records that are before it; None if the topic of documents is missing."""
    dead_letters: int
    """Open ones."""


def make_topics(settings: Settings, names: Sequence[str]) -> list[str]:
    """Make those of these topics that are missing, of one partition each; returns what was made."""
    there = AdminClient(settings.client()).list_topics(timeout=10).topics
    return topics.create(settings, [TopicSpec(name, 1, dict(_CONFIG)) for name in names if name not in there])


def progress(settings: Settings, one: Rendered, patience: float = 10.0) -> Progress:
    """Progress of a sink. Raises KafkaException when the brokers do not answer."""
    there = AdminClient(settings.client()).list_topics(timeout=10).topics
    source = one.source
    dead = dead_letters.open_ones(settings, str(source.sink)) if _partitions(there, source.dead_letters) else []
    lag = None
    if partitions := _partitions(there, source.topic):
        lag = _lag(settings, f"connect-{one.name}", source.topic, partitions, patience)
    return Progress(lag, len(dead))


def _partitions(there: object, topic: str) -> Iterable[int]:
    metadata = there.get(topic) if isinstance(there, dict) else None
    return [] if metadata is None or metadata.error is not None else list(metadata.partitions)


def _lag(settings: Settings, group: str, topic: str, partitions: Iterable[int], patience: float) -> int:
    """Offsets from where the group is to the log's end; none where no committed record lies between.

    The last offset of a transaction is its marker, which no consumer commits, and which is nothing to wait for.
    """
    config = settings.client(
        group_id=group, isolation_level="read_committed", enable_auto_commit=False, enable_partition_eof=True
    )
    ends = end_offsets(settings, [(topic, number) for number in partitions])
    with Consumer(config) as consumer:
        found = consumer.committed([TopicPartition(topic, number) for number in partitions], timeout=10)
        behind = {}
        for place in found:
            first, end = ends[topic, place.partition]
            start = max(place.offset, first)
            if start < end:
                behind[place.partition] = (start, end)
        consumer.assign([TopicPartition(topic, number, start) for number, (start, _) in behind.items()])
        return sum(_first_records(consumer, behind, patience).values())


def _first_records(consumer: Consumer, behind: dict[int, tuple[int, int]], patience: float) -> dict[int, int]:
    """The lag of each partition: 0 where its end comes before any record."""
    lags = {number: end - start for number, (start, end) in behind.items()}
    unknown, deadline = set(lags), time.monotonic() + patience
    while unknown and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is None:
            continue
        error, number = message.error(), message.partition()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            if number in unknown:
                lags[number] = 0
        elif error is not None:
            raise KafkaException(error)
        unknown.discard(number)
    return lags
