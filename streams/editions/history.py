"""What an edition sees of the log: its own events, and before them those of its parents, up to each one's cut."""

from collections.abc import Collection, Mapping

from confluent_kafka import KafkaError, KafkaException

from headrace.schemas.stored_event import recorded_of
from headrace.streams.editions.record import Edition
from headrace.streams.settings import Settings
from headrace.streams.state.restore import stored_event
from headrace.streams.state.topic_reader import PartitionId, end_offsets, partitions_of, read_to_end
from headrace.topology.names import MAIN
from headrace.topology.partitioner import partition_of

Events = dict[int, bytes]
"""Events of one root by sequence, as a store's history has them."""


class EditionLogs:
    """Reads events topics of editions, each once; where `roots` are named, their partitions and their events alone.

    Kafka is asked, not a worker. All methods raise KafkaException, TimeoutError.
    """

    def __init__(
        self, settings: Settings, editions: Mapping[str, Edition], roots: Collection[bytes] | None = None
    ) -> None:
        self._settings, self._editions = settings, editions
        self._roots = None if roots is None else frozenset(roots)
        self._own: dict[tuple[str, str], dict[bytes, Events]] = {}

    def roots(self, edition: str, component: str) -> set[bytes]:
        """The roots of which an edition may see events."""
        found = set(self.own(edition, component))
        return found if edition == MAIN else found | self.roots(self._editions[edition].parent, component)

    def events(self, edition: str, component: str, root: bytes) -> Events:
        """All events of a root that an edition sees."""
        own = self.own(edition, component).get(root, {})
        if edition == MAIN:
            return own
        branch = self._editions[edition]
        parent = self.events(branch.parent, component, root)
        if own:
            first = min(own)
            return {sequence: event for sequence, event in parent.items() if sequence < first} | own
        cut = branch.cut.of(component)
        last = cut.sequence_of(root.decode())
        if last is not None:
            return {sequence: event for sequence, event in parent.items() if sequence <= last}
        if cut.moment is None:
            return parent
        return {sequence: event for sequence, event in parent.items() if recorded_of(event) <= cut.moment}

    def own(self, edition: str, component: str) -> dict[bytes, Events]:
        """Events that were written in an edition, by root."""
        key = (edition, component)
        if key not in self._own:
            self._own[key] = self._read(self._settings.names.topic(edition, component, "events"))
        return self._own[key]

    def _read(self, topic: str) -> dict[bytes, Events]:
        found: dict[bytes, Events] = {}
        try:
            partitions = partitions_of(self._settings, topic)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:  # made when it is first needed
                return found
            raise
        latest: dict[PartitionId, int] = {}
        if self._roots is not None:
            partitions = [*{(topic, partition_of(root, len(partitions))) for root in self._roots}]
        unread = end_offsets(self._settings, partitions)
        for batch in read_to_end(self._settings, unread, {"group_id": f"{self._settings.prefix}headrace.reader"}):
            for partition, messages in batch.items():
                for message in messages:
                    recorded = latest[partition] = max(latest.get(partition, 0), message.timestamp()[1])
                    root, sequence, event = stored_event(message, recorded)
                    if event is not None and (self._roots is None or root in self._roots):
                        found.setdefault(root, {})[sequence] = event
        return found
