"""How far the connectors of sinks have come: their groups' offsets against the ends of the logs, and dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient

from headrace.connectors.connect import beginnings
from headrace.connectors.connect.deletions import Begin, Unread, missed_because
from headrace.connectors.connect.rendering import LARGEST_DEAD_LETTER, Rendered
from headrace.streams.admin import dead_letters, topics
from headrace.streams.admin.group_offsets import committed
from headrace.streams.admin.progress import next_records
from headrace.streams.clock import now_ms
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import PartitionId, end_offsets
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
    missed: str
    """Why it may have missed deletions, so that it has to be reset; empty if it has not."""


def make_topics(settings: Settings, names: Sequence[str]) -> list[str]:
    """Make those of these topics that are missing, of one partition each; returns what was made."""
    there = AdminClient(settings.client()).list_topics(timeout=10).topics
    return topics.create(settings, [TopicSpec(name, 1, dict(_CONFIG)) for name in names if name not in there])


def progress(settings: Settings, one: Rendered) -> Progress:
    """Progress of a sink. Raises KafkaException when the brokers do not answer.

    That it may have missed deletions is noted, so that it is still known when it has caught up.
    """
    there = AdminClient(settings.client()).list_topics(timeout=10).topics
    source = one.source
    dead = dead_letters.open_ones(settings, str(source.sink)) if _partitions(there, source.dead_letters) else []
    if not (partitions := _partitions(there, source.topic)):
        return Progress(None, len(dead), "")
    found = _unread(settings, one, partitions)
    begins, now = beginnings.noted(settings, source, [number for _, number in partitions]), now_ms()
    missed = {number: why for number, at in found.items() if (why := missed_because(at, begins.get(number), now))}
    beginnings.note(settings, source, {number: Begin(now, found[number].end, why) for number, why in missed.items()})
    # without a record before the end there is only the marker of a transaction, which no consumer commits
    lag = sum(at.end - max(at.next, at.first) for at in found.values() if at.oldest is not None)
    return Progress(lag, len(dead), next(iter(missed.values()), ""))


def _unread(settings: Settings, one: Rendered, partitions: Sequence[PartitionId]) -> dict[int, Unread]:
    """What is before a sink in each partition."""
    topic = one.source.topic
    about = topics.describe(topics.admin(settings), [topic])[topic]
    kept = int(about.config["delete.retention.ms"])
    places = committed(settings, f"connect-{one.name}", partitions, "read_uncommitted")
    ends = end_offsets(settings, partitions)
    starts = {place: max(places[place], first) for place, (first, _) in ends.items()}
    oldest = next_records(settings, {place: (start, ends[place][1]) for place, start in starts.items()})
    return {place[1]: Unread(places[place], *ends[place], oldest.get(place), kept) for place in partitions}


def begin(settings: Settings, one: Rendered) -> None:
    """Note that a sink is about to read from the oldest record on, unless it has a place in the log.

    One that cannot be reset was removed and is made again, and its system knows its place, whatever the group says.
    """
    there = AdminClient(settings.client()).list_topics(timeout=10).topics
    source = one.source
    if not (partitions := _partitions(there, source.topic)):
        return
    places = committed(settings, f"connect-{one.name}", partitions, "read_uncommitted")
    ends = end_offsets(settings, [place for place in partitions if one.no_reset or places[place] < 0])
    now = now_ms()
    beginnings.note(settings, source, {number: Begin(now, end) for (_, number), (_, end) in ends.items()})


def _partitions(there: object, topic: str) -> list[PartitionId]:
    metadata = there.get(topic) if isinstance(there, dict) else None
    found = [] if metadata is None or metadata.error is not None else metadata.partitions
    return [(topic, number) for number in found]
