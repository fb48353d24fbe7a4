"""Offsets that a group has committed, asked for by a consumer that does not join it.

An admin client may crash the whole process while the group's coordinator restarts (librdkafka's issue 5040).
"""

from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaException, TopicPartition

from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import PartitionId


def committed(
    settings: Settings, group: str, partitions: Iterable[PartitionId], isolation: str = "read_committed"
) -> dict[PartitionId, int]:
    """The next offset in each partition; negative where none is known.

    Raises KafkaException when the brokers do not answer and, for read_committed, while a transaction holds an offset.
    """
    wanted = [TopicPartition(*partition) for partition in partitions]
    config = settings.client(group_id=group, enable_auto_commit=False, isolation_level=isolation)
    with Consumer(config) as consumer:
        answers: list[TopicPartition] = consumer.committed(wanted, 5)
    for answer in answers:
        if answer.error:
            raise KafkaException(answer.error)
    return {(answer.topic, answer.partition): answer.offset for answer in answers}
