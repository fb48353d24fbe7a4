"""In what two editions differ: which roots, by their last events and by the fields of their states."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headrace.streams.editions.history import EditionLogs, Events
from headrace.streams.editions.registry import Registry, find
from headrace.streams.settings import Settings
from headrace.streams.steps.handlers import States
from headrace.topology.names import MAIN
from headrace.topology.topology import Topology


@dataclass(frozen=True, slots=True)
class Difference:
    """A root whose events are not the same in two editions."""

    component: str
    root: str
    sequences: tuple[int, int]
    """Of its last event in each of them; -1 where it has none."""
    fields: tuple[str, ...]
    """Fields of its state that differ; none if other events have led to the same state."""


def diff(settings: Settings, topology: Topology, first: str, second: str) -> Iterator[Difference]:
    """Roots in which two editions differ, in order. Reads the events of both, and of their parents, from Kafka.

    Raises EditionUnknown, KafkaException, TimeoutError, UnknownEvent for an event without an `@applies` method,
    UpcastFailed.
    """
    live = Registry(settings).live()
    for name in {first, second} - {MAIN}:
        find(live, name)
    logs = EditionLogs(settings, live)
    for name, spec in topology.components.items():
        if spec.state is None or "events" not in spec.topics:
            continue
        states = States(spec)
        for root in sorted(logs.roots(first, name) | logs.roots(second, name)):
            one, other = logs.events(first, name, root), logs.events(second, name, root)
            if one != other:
                sequences = max(one, default=-1), max(other, default=-1)
                fields = differing(_folded(states, root, one), _folded(states, root, other))
                yield Difference(name, root.decode(errors="replace"), sequences, fields)


def _folded(states: States, root: bytes, events: Events) -> Any:
    state = states.new()
    states.fold(state, (events[sequence] for sequence in sorted(events)), root)
    return state


def differing(one: Any, other: Any) -> tuple[str, ...]:
    """Names of the fields in which two messages of one type differ."""
    return tuple(
        field.name
        for field in one.DESCRIPTOR.fields
        if getattr(one, field.name) != getattr(other, field.name)
        or (field.has_presence and one.HasField(field.name) != other.HasField(field.name))
    )
