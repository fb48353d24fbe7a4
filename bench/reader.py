"""What is committed, as a program sees it that knows nothing of the engine."""

import time
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import end_offsets

_PATIENCE = 30.0  # seconds without any record, after which a topic is taken to be broken


class Reader:
    """Committed events of one domain, each once, in the order in which they come; belongs to no group."""

    def __init__(self, settings: Settings, domain: str) -> None:
        self._consumer = _consumer(settings)
        self._topic = settings.names.topic(settings.edition, domain, "events")
        self._places = dict.fromkeys(range(settings.partitions), 0)
        self.resume()

    def resume(self) -> None:
        """Begin where it was left."""
        self._consumer.assign([TopicPartition(self._topic, number, at) for number, at in self._places.items()])

    def rest(self) -> None:
        """Fetch nothing for now, so that others have the machine."""
        self._consumer.unassign()

    def take(self, most: int, seconds: float) -> list[Message]:
        """At most so many; fewer when they did not come in time."""
        messages: list[Message] = self._consumer.consume(most, seconds)
        for message in messages:
            if (error := message.error()) is not None:
                raise RuntimeError(f"{self._topic} cannot be read: {error}")
            self._places[message.partition() or 0] = (message.offset() or 0) + 1
        return messages

    def close(self) -> None:
        """Close it."""
        self._consumer.close()


def whole(settings: Settings, topic: str) -> list[Message]:
    """All committed records of a topic that nobody writes to any more."""
    places = [TopicPartition(topic, number, 0) for number in range(settings.partitions)]
    found = end_offsets(settings, [(topic, number) for number in range(settings.partitions)])
    # an end that is read before the marker of the last transaction is there comes again
    ends = {number: end for (_, number), (_, end) in found.items()}
    consumer = _consumer(settings, enable_partition_eof=True)
    consumer.assign(places)
    messages: list[Message] = []
    seen = time.monotonic()
    while ends:
        batch = consumer.consume(5000, 0.1)
        for message in batch:
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() != KafkaError._PARTITION_EOF:
                raise RuntimeError(f"{topic} cannot be read: {error}")
            elif (message.offset() or 0) >= ends.get(message.partition() or 0, 0):
                ends.pop(message.partition() or 0, None)
        seen = time.monotonic() if batch else seen
        if time.monotonic() - seen > _PATIENCE:
            raise TimeoutError(f"{topic} has no end")
    consumer.close()
    return messages


def header(message: Message, name: str) -> bytes:
    """A header of a record; empty when it has none of that name."""
    found = dict(message.headers() or ()).get(name)
    return found if isinstance(found, bytes) else b""


def _consumer(settings: Settings, **specific: Any) -> Consumer:
    return Consumer(
        settings.client(
            group_id=f"{settings.prefix}bench",  # required, not joined
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            **specific,
        )
    )
