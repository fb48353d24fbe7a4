"""Consumer groups: what people and tools do to them while their members are stopped, and how far they have come."""

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from headrace import Topology
from headrace.streams.settings import Settings
from tests.support.deployment import until
from tests.support.independent_reader import end_offsets


def forget_group(admin: AdminClient, settings: Settings, component: str) -> None:
    """Delete a group, as in a UI; Kafka does the same with offsets after seven days."""
    group = f"{settings.prefix}headrace.{component}"

    def deleted() -> bool:
        (future,) = admin.delete_consumer_groups([group], request_timeout=20).values()
        return future.exception(20) is None

    until(deleted, f"{group} was empty and is deleted")


def commit(settings: Settings, component: str, topic: str, offset: int) -> None:
    """What tools that reset groups do."""
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": f"{settings.prefix}headrace.{component}"})
    places = [TopicPartition(topic, number, offset) for number in range(settings.partitions)]

    def committed() -> bool:
        try:
            consumer.commit(offsets=places, asynchronous=False)
        except KafkaException:  # the member that has left is still there for a moment
            return False
        return True

    until(committed, "the offsets were committed")
    consumer.close()


def behind(settings: Settings, topology: Topology) -> list[str]:
    """Where groups are elsewhere than at the end of an input, or what was written meanwhile; empty: all is done."""
    inputs = {name: topology.inputs(name, settings.names, "main") for name in topology.components}
    topics = sorted({topic for its in inputs.values() for topic in its})
    ends = end_offsets(settings.bootstrap, topics)
    found: list[str] = []
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})  # an old one may not get over a broker's restart
    for component, its in inputs.items():
        group = f"{settings.prefix}headrace.{component}"
        answer = admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group)], require_stable=True, request_timeout=20
        )
        known = {(p.topic, p.partition): p.offset for p in answer[group].result().topic_partitions or ()}
        found += [
            f"{component} is at {known.get(place, 0)} of {end} in {place[0]}/{place[1]}"
            for place, end in ends.items()
            if place[0] in its and end != max(0, known.get(place, 0))
        ]
    return found or ["something was written"] * (end_offsets(settings.bootstrap, topics) != ends)
