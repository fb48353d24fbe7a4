"""A group's lag as Kafka's own tools count it."""

from confluent_kafka import Consumer, TopicPartition

from headrace.streams.settings import Settings
from headrace.topology.topology import Topology
from tests.support.independent_reader import end_offsets


def lag(settings: Settings, topology: Topology, component: str) -> int:
    """As kafka-consumer-groups.sh counts it: ends of the logs, less what is committed."""
    inputs = topology.inputs(component, settings.names, settings.edition)
    group = f"{settings.prefix}headrace.{component}"
    reader = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": group})
    try:
        places = [TopicPartition(topic, number) for topic in inputs for number in range(settings.partitions)]
        committed = {(p.topic, p.partition): max(0, p.offset) for p in reader.committed(places, 20)}
    finally:
        reader.close()
    ends = end_offsets(settings.bootstrap, inputs)
    return sum(end - committed[place] for place, end in ends.items())
