"""Finds where a partition continues to read its inputs: at the positions that its changelog holds."""

from collections.abc import Mapping, Sequence

import structlog
from confluent_kafka import OFFSET_BEGINNING

from headrace.schemas.headrace_v1_pb2 import Positions
from headrace.streams.admin.identity import Identity
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.committed_offsets import CommittedOffsets
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.state.topic_reader import Ends, end_offsets

log = structlog.get_logger()
UNREAD = "records were deleted before they were read; retention is too short, or the worker was away for too long"
"""Logged with the number of records."""


class PositionsUnfit(RuntimeError):
    """A component's positions do not fit its topics; a person has to decide how to continue."""


def pack_positions(
    identity: Identity, partitions: int, offsets: Mapping[str, int], recorded: int, cut: int | None = None
) -> bytes:
    """Positions as the changelog holds them, after a batch whose events are `recorded` at this time.

    `cut` is the moment up to which a cut edition sees its parent.
    """
    found = Positions(cluster=identity.cluster, partitions=partitions, recorded=recorded, cut=cut)
    for topic, offset in offsets.items():
        found.inputs.add(topic=topic, topic_id=identity.topics.get(topic, ""), offset=offset)
    return found.SerializeToString()


class PositionFinder:
    """Finds where the inputs of restored partitions begin.

    Positions in the changelog are those at which the state was stored. Offsets of the group are only for fencing, and
    Kafka may forget them; they are used where the changelog has no positions, such as that of an older release.
    """

    def __init__(self, config: ComponentConfig, metrics: Metrics) -> None:
        self._config, self._metrics = config, metrics
        self._committed = CommittedOffsets(config)

    def find(self, stored: Mapping[int, bytes | None], identity: Identity) -> dict[int, dict[str, int]]:
        """The next offset of each input, by partition, given what each partition's changelog holds.

        Raises PositionsUnfit; KafkaException if the caller has to try again.
        """
        inputs = self._config.inputs
        ends = end_offsets(self._config.settings, [(topic, number) for number in stored for topic in inputs])
        found: dict[int, dict[str, int]] = {}
        unknown: list[int] = []
        for number, value in stored.items():
            found[number] = self._known(number, value, identity)
            if len(found[number]) < len(inputs):
                unknown.append(number)
        # what the group has committed for an edition's name may be of an edition that had the name before
        committed = self._committed.read(unknown) if unknown and not self._config.edition_id else {}
        for number in unknown:
            for topic in inputs:
                if topic not in found[number]:
                    offset = committed[number][topic] if committed else OFFSET_BEGINNING
                    found[number][topic] = self._begin(topic, ends[topic, number]) if offset < 0 else offset
        for number, offsets in found.items():
            for topic in inputs:
                offsets[topic] = self._held_against(topic, number, offsets[topic], ends)
        return found

    def _known(self, number: int, value: bytes | None, identity: Identity) -> dict[str, int]:
        """The positions in the changelog, without those of topics that are no longer inputs."""
        positions = Positions.FromString(value or b"")
        where = f"{self._config.name}, partition {number}"
        if positions.partitions not in (0, self._config.partitions):
            raise PositionsUnfit(
                f"{where}: its inputs have {self._config.partitions} partitions, and had {positions.partitions} when "
                "it last worked; roots would be elsewhere, and begin anew. Partitions of a deployment stay as many as "
                "they are: for more, make topics with another prefix, and send the commands there"
            )
        found: dict[str, int] = {}
        for position in positions.inputs:
            if position.topic not in self._config.inputs:
                continue
            if (positions.cluster, position.topic_id) != (identity.cluster, identity.topics.get(position.topic)):
                what = "on another cluster" if positions.cluster != identity.cluster else "made again"
                raise PositionsUnfit(
                    f"{where}: {position.topic} is another topic than the one that was read up to {position.offset} "
                    f"({what}). {self._advice(position.topic)}"
                )
            found[position.topic] = position.offset
        return found

    def _begin(self, topic: str, bounds: tuple[int, int]) -> int:
        """Where to begin with an input that was never read."""
        first, end = bounds
        begin = self._config.begin_of(topic)
        if begin == "now":
            return end
        if not begin and first < end:
            raise PositionsUnfit(
                f"{self._config.name} has never read {topic}, which holds events already: say in its class where it is "
                f'to begin, begin = "oldest" or begin = "now". {self._advice(topic)}'
            )
        return first

    def _held_against(self, topic: str, number: int, offset: int, ends: Ends) -> int:
        """The same offset if the log has it; the log's beginning if older records were deleted."""
        first, end = ends[topic, number]
        if offset > end:
            raise PositionsUnfit(
                f"{self._config.name} has read {topic}/{number} up to {offset}, and it ends at {end}: it was cut off, "
                f"or is from a backup. {self._advice(topic)}"
            )
        if offset >= first:
            return offset
        lost = first - offset
        self._metrics.unread.labels(self._config.name).inc(lost)
        log.error(
            UNREAD,
            domain=self._config.name,
            topic=topic,
            partition=number,
            records=lost,
        )
        return first

    def _advice(self, topic: str) -> str:
        name = self._config.name
        return f"`headrace positions show {name}` shows positions, `headrace positions set {name} {topic}` changes them"


def missing_snapshots(config: ComponentConfig, partitions: Sequence[int]) -> PositionsUnfit:
    """The error where there are events but no states: sequences would begin at 0, and compaction erase history."""
    topics = {kind: config.topic(config.settings.edition, kind) for kind in ("snapshots", "events")}
    numbers = ", ".join(map(str, partitions))
    return PositionsUnfit(
        f"{config.name}, partition {numbers}: {topics['snapshots']} holds no state, and {topics['events']} holds "
        "events. Sequences would begin at 0 again, and compaction would erase history. Restore the topic of snapshots "
        "from a backup, or begin with another prefix"
    )


def other_documents(name: str, stored: str, wanted: str) -> PositionsUnfit:
    """The error where a projector's documents are not what its class now makes; these are the fingerprints of both."""
    return PositionsUnfit(
        f"{name}: its documents were made by another declaration ({stored}) than that of this release ({wanted}): "
        "the document's fields have changed, or the way in which events come. Give the class the next version: it "
        "is built beside this one, which goes on serving. `headrace projections` tells of both"
    )
