"""A documents topic as the writer sees it: its ids, where its partitions begin and end, how long it keeps deletions."""

from collections.abc import Iterable

from headrace.connectors.redis.position import Log
from headrace.streams.admin import topics
from headrace.streams.admin.identity import identify
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import end_offsets


class TopicMissing(RuntimeError):
    """The cluster has no such topic; the text says which, and what to do."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"there is no topic {topic}; `headrace topics create` makes it")


def topic_id(settings: Settings, topic: str) -> str:
    """Ids of the cluster and the topic. Raises TopicMissing, or KafkaException when the brokers do not answer."""
    identity = identify(settings, [topic])
    if topic not in identity.topics:
        raise TopicMissing(topic)
    return f"{identity.cluster}/{identity.topics[topic]}"


def describe(settings: Settings, topic: str, partitions: Iterable[int]) -> dict[int, Log]:
    """What the brokers say of these partitions. Raises TopicMissing, or KafkaException."""
    identity = topic_id(settings, topic)
    about = topics.describe(topics.admin(settings), [topic]).get(topic)
    if about is None:
        raise TopicMissing(topic)
    ends = end_offsets(settings, [(topic, number) for number in partitions])
    kept = int(about.config["delete.retention.ms"])
    return {number: Log(identity, first, end, about.partitions, kept) for (_, number), (first, end) in ends.items()}
