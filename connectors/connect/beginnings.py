"""When sinks began at the oldest record, noted in Kafka: as offsets of a consumer group that has no members.

Brokers forget such offsets after `offsets.retention.minutes`, 7 days by default. By then a sink has read all that was
there when it began, or is much too late.
"""

from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from headrace.connectors.connect.deletions import Begin
from headrace.connectors.connect.rendering import Source
from headrace.streams.settings import Settings


def note(settings: Settings, source: Source, begins: Mapping[int, Begin]) -> None:
    """Keep these, by partition, in place of what is noted. Raises KafkaException."""
    places = [
        TopicPartition(source.topic, number, begin.end, begin.metadata()) for number, begin in sorted(begins.items())
    ]
    if places:
        with _group(settings, source) as consumer:
            consumer.commit(offsets=places, asynchronous=False)


def noted(settings: Settings, source: Source, partitions: Iterable[int]) -> dict[int, Begin]:
    """What is noted, by partition. Raises KafkaException."""
    with _group(settings, source) as consumer:
        found: list[TopicPartition] = consumer.committed([TopicPartition(source.topic, n) for n in partitions], 10)
    for place in found:
        if place.error:
            raise KafkaException(place.error)
    begins = {place.partition: Begin.parse(place.offset, place.metadata) for place in found}
    return {number: begin for number, begin in begins.items() if begin is not None}


def _group(settings: Settings, source: Source) -> Consumer:
    name = f"{settings.prefix}headrace.sink.{source.edition}.{source.sink}"
    return Consumer(settings.client(group_id=name, enable_auto_commit=False))
