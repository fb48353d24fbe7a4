"""What a component's group has committed, and its lag as Kafka's own tools count it."""

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headrace.streams.settings import Settings
from headrace.topology.topology import Topology
from tests.support import deadlines
from tests.support.log_ends import end_offsets

_ON_ITS_WAY = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
)


def committed(settings: Settings, component: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """The committed offset in each partition; -1001 where there is none."""
    asked = [TopicPartition(topic, number) for topic in topics for number in range(settings.partitions)]
    reader = Consumer(
        {
            "bootstrap.servers": settings.bootstrap,
            "group.id": f"{settings.prefix}headrace.{component}",
            "isolation.level": "read_uncommitted",  # what is stable, without waiting for what is not
        }
    )
    deadline = time.monotonic() + deadlines.seconds(30)
    try:
        while True:
            try:
                return {(found.topic, found.partition): found.offset for found in reader.committed(asked, 20)}
            except KafkaException as error:  # a broker that has come back does not know its groups at once
                if error.args[0].code() not in _ON_ITS_WAY or time.monotonic() > deadline:
                    raise
            time.sleep(0.02)
    finally:
        reader.close()


def lag(settings: Settings, topology: Topology, component: str) -> int:
    """As kafka-consumer-groups.sh counts it: ends of the logs, less what is committed."""
    inputs = topology.inputs(component, settings.names, settings.edition)
    handled = committed(settings, component, inputs)
    ends = end_offsets(settings.bootstrap, inputs)
    return sum(end - max(0, handled[place]) for place, end in ends.items())
