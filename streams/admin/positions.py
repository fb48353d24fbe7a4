"""Positions of a component in its inputs: reads them from its changelog, and sets them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from headrace.schemas.changelog import POSITIONS
from headrace.schemas.headrace_v1_pb2 import Positions
from headrace.schemas.ids import natural_number
from headrace.streams.admin.groups import await_empty
from headrace.streams.admin.identity import Identity, identify
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import end_offsets, read
from headrace.topology.topology import Topology

OLDEST, END = "oldest", "end"
_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Place:
    """How far a component has read one partition of one input, and where that log begins and ends."""

    topic: str
    partition: int
    position: int | None
    """Offset of the next record to handle; None if it is not known."""
    first: int
    end: int
    fits: bool
    """Whether the position belongs to this topic (not to a deleted one), and is between its beginning and end."""


def show(settings: Settings, topology: Topology, component: str) -> list[Place]:
    """Positions of a component, by topic and partition. Raises KafkaException or TimeoutError."""
    inputs = topology.inputs(component, settings.names, settings.edition)
    stored, identity = _stored(settings, component), identify(settings, inputs)
    partitions = {topic: range(_partitions(settings, topic)) for topic in inputs}
    ends = end_offsets(settings, [(topic, number) for topic in inputs for number in partitions[topic]])
    found = []
    for topic in inputs:
        for number in partitions[topic]:
            positions = stored.get(number, Positions())
            first, end = ends[topic, number]
            known = next((position for position in positions.inputs if position.topic == topic), None)
            same = known is not None and (positions.cluster, known.topic_id) == (
                identity.cluster,
                identity.topics.get(topic, ""),
            )
            offset = None if known is None else known.offset
            found.append(Place(topic, number, offset, first, end, same and first <= (offset or 0) <= end))
    return found


def set_positions(
    settings: Settings, topology: Topology, component: str, topic: str, to: str, partitions: Sequence[int] = ()
) -> Iterator[Place]:
    """Set where a component continues in an input: an offset, `oldest` or `end`; yields positions once all are set.

    Nothing is undone: records before the position are skipped; those after it are handled, even if they were before.
    Raises GroupInUse, LookupError for a topic that is not an input, ValueError if `to` is anything else.
    """
    inputs = topology.inputs(component, settings.names, settings.edition)
    if topic not in inputs:
        raise LookupError(f"{component} does not read {topic!r}; it reads: {', '.join(inputs)}")
    if to not in (OLDEST, END) and natural_number(to) is None:
        raise ValueError(f"{to!r} is no position; it is an offset, {OLDEST} or {END}")
    await_empty(settings, component)
    stored, identity = _stored(settings, component), identify(settings, inputs)
    places = {place.partition: place for place in show(settings, topology, component) if place.topic == topic}
    chosen = list(partitions) or list(places)
    if missing := [number for number in chosen if number not in places]:
        raise LookupError(f"{topic} has no partition {missing[0]}; it has {len(places)}")
    changed = {n: {OLDEST: places[n].first, END: places[n].end}.get(to) for n in chosen}
    offsets = {number: int(to) if offset is None else offset for number, offset in changed.items()}
    changelog = settings.names.topic(settings.edition, component, "snapshots")
    # a transactional id of its own, so that those of workers are not fenced
    producer = Producer(settings.producer(transactional_id=f"{settings.prefix}headrace.{component}.positions"))
    producer.init_transactions(_SECONDS)
    producer.begin_transaction()
    for number, offset in offsets.items():
        value = _changed(stored.get(number, Positions()), identity, topic, offset, len(places))
        producer.produce(changelog, value, POSITIONS, number)
    producer.commit_transaction(_SECONDS)
    for number, offset in offsets.items():
        place = places[number]
        yield Place(topic, number, offset, place.first, place.end, place.first <= offset <= place.end)


def _changed(positions: Positions, identity: Identity, topic: str, offset: int, partitions: int) -> bytes:
    changed = Positions(cluster=identity.cluster, partitions=partitions, recorded=positions.recorded)
    changed.inputs.extend(position for position in positions.inputs if position.topic != topic)
    changed.inputs.add(topic=topic, topic_id=identity.topics.get(topic, ""), offset=offset)
    return changed.SerializeToString()


def _stored(settings: Settings, component: str) -> Mapping[int, Positions]:
    """What the changelog holds, by partition."""
    found: dict[int, Positions] = {}
    for message in read(settings, settings.names.topic(settings.edition, component, "snapshots")):
        if message.key() == POSITIONS:
            found[message.partition() or 0] = Positions.FromString(message.value() or b"")
    return found


def _partitions(settings: Settings, topic: str) -> int:
    return len(AdminClient(settings.client()).list_topics(topic, timeout=10).topics[topic].partitions)
