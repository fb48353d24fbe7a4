"""The two consumers of a writer: one is a member of the group and reads nothing, the other one reads."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.streams.settings import Settings

_COUNT = 2000
Report = Callable[[KafkaError], None]


class Member:
    """The group shares out the partitions; its offsets only tell people how far Redis is. For one thread."""

    def __init__(self, settings: Settings, group: str, topic: str, report: Report) -> None:
        self.partitions: set[int] = set()
        self.joined = False
        """Whether the group has assigned partitions; it may have assigned none."""
        self._settings, self._group, self._topic, self._report = settings, group, topic, report
        self._kafka = self._join()

    def serve(self, timeout: float) -> None:
        """Take part in the group for up to `timeout` seconds. Raises KafkaException if it had to be joined again."""
        message = self._kafka.poll(timeout)
        if message is None or (error := message.error()) is None:
            return
        self._report(error)
        if error.code() == KafkaError._FATAL:
            self._kafka.close()
            self.partitions, self.joined = set(), False
            self._kafka = self._join()
            raise KafkaException(error)

    def commit(self, offsets: dict[int, int], wait: bool = False) -> None:
        """Tell the group how far Redis is; that it could not be told does no harm."""
        if not (places := [TopicPartition(self._topic, number, offset) for number, offset in offsets.items()]):
            return
        try:
            if wait:
                self._kafka.commit(offsets=places, asynchronous=False)
            else:
                self._kafka.commit(offsets=places)
        except KafkaException as error:
            self._report(error.args[0])

    def close(self) -> None:
        """Leave the group."""
        self._kafka.close()

    def _join(self) -> Consumer:
        config = self._settings.client(group_id=self._group, enable_auto_commit=False, max_poll_interval_ms=1_800_000)
        if self._settings.group_protocol == "classic":
            config |= {"partition.assignment.strategy": "range", "session.timeout.ms": 10_000}
        else:
            config |= {"group.protocol": "consumer", "group.remote.assignor": "range"}
        consumer = Consumer({**config, "error_cb": self._report})
        consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked)
        return consumer

    def _assigned(self, consumer: Consumer, added: Sequence[TopicPartition]) -> None:
        # with an offset: without one, librdkafka asks the group for it first, and may wait long for the answer
        held = [TopicPartition(p.topic, p.partition, 0) for p in added]
        if self._settings.group_protocol == "classic":
            consumer.assign(held)
        else:
            consumer.incremental_assign(held)
        if held:
            consumer.pause(held)
        self.partitions |= {p.partition for p in added}
        self.joined = True

    def _revoked(self, consumer: Consumer, removed: Sequence[TopicPartition]) -> None:
        self.partitions -= {p.partition for p in removed}


class Reader:
    """Reads committed records of partitions from given offsets on. For one thread."""

    def __init__(self, settings: Settings, group: str, topic: str, report: Report) -> None:
        self._topic = topic
        config: dict[str, Any] = settings.client(
            group_id=f"{group}.reader",  # librdkafka wants a name, and nobody joins
            enable_auto_commit=False,
            enable_partition_eof=True,
            auto_offset_reset="error",
            isolation_level="read_committed",
            fetch_min_bytes=1,
            queued_min_messages=20_000,
        )
        self._kafka = Consumer({**config, "error_cb": report})

    def begin(self, offsets: dict[int, int]) -> None:
        """Read these partitions too, from these offsets on."""
        self._kafka.incremental_assign([TopicPartition(self._topic, *place) for place in offsets.items()])

    def end(self, partitions: Iterable[int]) -> None:
        """Read these partitions no more."""
        if gone := [TopicPartition(self._topic, number) for number in partitions]:
            self._kafka.incremental_unassign(gone)

    def take(self, timeout: float) -> list[Message]:
        """What has come: records, and errors, among them the ends of partitions; waits for up to `timeout` seconds."""
        first = self._kafka.poll(timeout)  # `consume` would wait for all of them, and whoever waits for documents too
        return [] if first is None else [first, *self._kafka.consume(_COUNT - 1, 0)]

    def log_end(self, partition: int) -> int:
        """The end of a partition's log, as far as it is known here; -1 if it is not."""
        place = TopicPartition(self._topic, partition)
        return int(self._kafka.get_watermark_offsets(place, cached=True)[1])

    def close(self) -> None:
        """Read no more."""
        self._kafka.close()
