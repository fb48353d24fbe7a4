"""Where logs end, as a program sees it that knows nothing of the engine."""

import time
from collections.abc import Sequence

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from tests.support import deadlines

_PATIENCE = 60  # seconds: a broker that has come back elects leaders first


def end_offsets(bootstrap: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """The high watermark of each partition: behind it there was nothing, committed or not."""
    deadline = time.monotonic() + deadlines.seconds(_PATIENCE)
    config = {"bootstrap.servers": bootstrap, "group.id": "log-reader", "isolation.level": "read_uncommitted"}
    with Consumer(config) as reader:
        known = reader.list_topics(timeout=10).topics
        asked = [TopicPartition(topic, number, OFFSET_END) for topic in topics for number in known[topic].partitions]
        while True:
            try:
                found = reader.offsets_for_times(asked, 20)
                trouble = [place.error for place in found if place.error]
            except KafkaException as error:
                trouble = [error.args[0]]
            if not trouble:
                return {(place.topic, place.partition): place.offset for place in found}
            assert time.monotonic() < deadline, f"no ends of {topics} within {_PATIENCE} s: {trouble[0]}"
