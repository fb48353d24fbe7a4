"""Consumer groups: what people and tools do to them while their members are stopped, and how far they have come."""

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from headrace import Topology
from headrace.streams.settings import Settings
from tests.support.deployment import until
from tests.support.lag import committed
from tests.support.log_ends import end_offsets


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

    def taken() -> bool:
        try:
            consumer.commit(offsets=places, asynchronous=False)
        except KafkaException:  # the member that has left is still there for a moment
            return False
        return True

    until(taken, "the offsets were committed")
    consumer.close()


def behind(settings: Settings, topology: Topology) -> list[str]:
    """Where groups are elsewhere than at the end of an input, or what was written meanwhile; empty: all is done."""
    inputs = {name: topology.inputs(name, settings.names, "main") for name in topology.components}
    topics = sorted({topic for its in inputs.values() for topic in its})
    ends = end_offsets(settings.bootstrap, topics)
    found = [
        f"{component} is at {offset} of {ends[place]} in {place[0]}/{place[1]}"
        for component, its in inputs.items()
        for place, offset in committed(settings, component, its).items()
        if ends[place] != max(0, offset)
    ]
    return found or ["something was written"] * (end_offsets(settings.bootstrap, topics) != ends)
