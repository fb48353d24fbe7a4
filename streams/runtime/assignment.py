"""The partitions that the group assigns to this worker, and takes from it."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import structlog
from confluent_kafka import Consumer, TopicPartition

from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.inputs import Inputs
from headrace.streams.runtime.partition import Partition
from headrace.streams.runtime.partitions import Partitions

log = structlog.get_logger()


class Assignment(Partitions):
    """The partitions of one component that the group has assigned. All methods are for one thread."""

    def __init__(
        self,
        config: ComponentConfig,
        inputs: Inputs,
        metrics: Metrics,
        stop: threading.Event,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        make = partial(Partition, config, stop=stop, waiting=waiting)
        super().__init__(config, inputs, metrics, stop, make)
        self.joined = False
        """Whether the group has assigned partitions to this worker; it may have assigned none."""
        self.added: set[int] = set()
        """Partitions that somebody has added to a topic; they are not served."""

    @property
    def ready(self) -> bool:
        """Whether partitions were assigned, all of them are READY, and none were added to the topic."""
        return self.joined and not self.added and len(self.ready_partitions()) == len(self.partitions)

    def add(self, consumer: Consumer, added: Sequence[TopicPartition]) -> None:
        """Take over partitions, and start to restore them.

        The group's consumer holds them, paused, and reads nothing. It is assigned with an offset: without one,
        librdkafka asks the group for it, and if the coordinator is restarting, or a transaction hangs, it waits for the
        answer forever, and can neither use the partition nor revoke it.
        """
        # a number, because librdkafka takes half a second to look up even the beginning
        held = [TopicPartition(p.topic, p.partition, 0) for p in added]
        if self.config.settings.group_protocol == "classic":
            consumer.assign(held)
        else:
            consumer.incremental_assign(held)
        if held:
            consumer.pause(held)
            numbers = {p.partition for p in added if p.partition < self.config.partitions}
            if len(numbers) < len(added):
                self._refuse({p.partition for p in added} - numbers)
            log.info("partitions assigned", domain=self.config.name, partitions=sorted(numbers))
            self.restore(numbers)
        self.joined = True  # last: else `ready`, which other threads ask, would be true while there are none yet

    def remove(self, consumer: Consumer, removed: Sequence[TopicPartition]) -> None:
        """Close partitions that were revoked; the caller has no open batch."""
        numbers = {p.partition for p in removed}
        self.added -= numbers
        self.close_partitions(numbers)
        log.info("partitions revoked", domain=self.config.name, partitions=sorted(numbers))

    def remove_all(self) -> None:
        """Close all partitions, because the consumer is no longer a member of the group."""
        self.joined = False
        self.close_partitions(set(self.partitions))

    def close(self) -> None:
        """Stop restoring and close the stores; `stop` is set."""
        self.joined = False
        super().close()

    def _refuse(self, numbers: set[int]) -> None:
        """Report partitions that were added. They are not served: roots would move there, and lose their state."""
        self.added |= numbers
        log.error(
            "partitions were added to a topic of the deployment and are not served; roots are laid out for fewer. Send "
            "nothing there; for more partitions, make topics with another prefix",
            domain=self.config.name,
            topic=self.config.subscription,
            partitions=sorted(self.added),
            served=self.config.partitions,
        )
