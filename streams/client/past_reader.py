"""Reads all events of a deployment, for what-ifs over whole domains."""

from headrace.schemas.stored_event import recorded_of
from headrace.streams.settings import Settings
from headrace.streams.state.restore import stored_event
from headrace.streams.state.topic_reader import read
from headrace.topology.as_of import AsOf, point_of
from headrace.topology.topology import Topology


def read_events(settings: Settings, topology: Topology, as_of: AsOf | None) -> dict[str, dict[str, list[bytes]]]:
    """Stored events by component and root, up to a point; each topic is read once.

    Raises LookupError if events are missing in between, TimeoutError, KafkaException.
    """
    sequence, moment = point_of(as_of)
    found: dict[str, dict[str, list[bytes]]] = {}
    for name, spec in topology.components.items():
        if spec.state is None:
            continue
        roots: dict[bytes, dict[int, bytes]] = {}
        recorded: dict[int, int] = {}
        for message in read(settings, settings.names.topic(settings.edition, name, "events")):
            partition = message.partition() or 0
            at = recorded[partition] = max(recorded.get(partition, 0), message.timestamp()[1])
            root, number, value = stored_event(message, at)
            if value is not None:
                roots.setdefault(root, {})[number] = value
        found[name] = {}
        for root, events in roots.items():
            if [*sorted(events)] != [*range(len(events))]:
                raise LookupError(f"{name} {root.decode()}: the log has {len(events)} events, and not all before them")
            kept = [events[number] for number in range(len(events)) if sequence is None or number <= sequence]
            kept = [value for value in kept if moment is None or recorded_of(value) <= moment]
            if kept:
                found[name][root.decode()] = kept
    return found
