"""Events of the past, from which what-ifs start."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary

from google.protobuf.message import Message

from headrace.schemas.event_schema import EventSchema
from headrace.schemas.headrace_v1_pb2 import Event as WireEvent
from headrace.schemas.record import milliseconds, rfc3339, since_epoch
from headrace.schemas.stored_event import StoredEvent, recorded_of
from headrace.streams.in_memory.base_store import BaseStore
from headrace.streams.in_memory.clock import Y2K
from headrace.streams.in_memory.store import MemoryStore
from headrace.topology.as_of import AsOf
from headrace.topology.inspection import type_name
from headrace.topology.topology import Topology

if TYPE_CHECKING:
    from headrace.streams.settings import Settings

Stored = Mapping[str, Mapping[str, Sequence[bytes]]]
"""Stored events of each root from its first one on, by component and root."""


class History:
    """Events of some roots up to a point. It does not change, and any number of what-ifs may start from it.

    `Client.history` reads single roots, `History.read` a whole deployment.
    """

    def __init__(self, events: Stored) -> None:
        self.events = events
        self._stores: WeakKeyDictionary[Topology, dict[str, MemoryStore]] = WeakKeyDictionary()
        lasts = [recorded_of(values[-1]) for roots in events.values() for values in roots.values() if values]
        self.recorded = max(lasts, default=0)
        """When its latest event was recorded, in milliseconds; 0 if it has none."""

    @classmethod
    def of(cls, events: Mapping[str, Mapping[str, Sequence[Message]]], *, time: datetime = Y2K) -> Self:
        """A history for a test: messages by component and root, all recorded at `time`, in version 1 of their types."""
        at = since_epoch(time)
        stamp, recorded = rfc3339(at).encode(), b"%d" % at

        def stored(event: Message) -> bytes:
            key, data = EventSchema(type_name(type(event))).key, event.SerializeToString()
            return StoredEvent(key, recorded, stamp, b"given", b"given", b"", b"", data).pack()

        return cls(
            {name: {root: [*map(stored, found)] for root, found in roots.items()} for name, roots in events.items()}
        )

    @classmethod
    def answered(cls, events: Mapping[str, Mapping[str, Sequence[WireEvent]]]) -> Self:
        """The history that answers to queries tell. They do not say when an event was recorded: taken is the latest
        time at which it or one before it was decided."""
        return cls({name: {root: _stored(found) for root, found in roots.items()} for name, roots in events.items()})

    @classmethod
    def read(cls, settings: "Settings", topology: Topology, *, as_of: AsOf | None = None) -> Self:
        """All events of a deployment, each topic read once to its end; with `as_of` those up to a point.

        The point is a time, by which an event was recorded, or a sequence, which then holds for every root. Raises
        TimeoutError if nothing comes for a minute, KafkaException for an error of the brokers.
        """
        from headrace.streams.client.past_reader import read_events  # noqa: PLC0415 - all the rest needs no Kafka

        return cls(read_events(settings, topology, as_of))

    @property
    def roots(self) -> dict[str, list[str]]:
        """The roots that it has events of, by component."""
        return {name: [root for root, values in roots.items() if values] for name, roots in self.events.items()}

    def up_to(self, sequence: int) -> Self:
        """The same history, of each root no event after this sequence; -1 for none at all."""
        if sequence < -1:
            raise ValueError(f"up_to({sequence}); sequences begin with 0, and -1 stands for no event at all")
        return type(self)(
            {
                name: {root: values[: sequence + 1] for root, values in roots.items()}
                for name, roots in self.events.items()
            }
        )

    def store(self, topology: Topology, name: str) -> MemoryStore:
        """The events of a component, as its step in this topology reads them."""
        stores = self._stores.setdefault(topology, {})
        if (found := stores.get(name)) is None:
            found = stores[name] = BaseStore(topology.folded(name), self.events.get(name, {}))
        return found


def check_history(domain: str, root: str, last: int, as_of: AsOf | None) -> None:
    """LookupError unless a root has events, and those that were asked for; `last` is the sequence of its last one."""
    if last < 0 and as_of != -1:
        when = "" if as_of is None or isinstance(as_of, int) else f" by {as_of}"
        raise LookupError(f"{domain} {root} has no events{when}, so that there is nothing to start a what-if from")
    if isinstance(as_of, int) and as_of > last:
        raise LookupError(f"{domain} {root}: as_of={as_of} is after its last event, which is {last}")


def _stored(events: Sequence[WireEvent]) -> list[bytes]:
    found, recorded = [], 0
    for event in events:
        recorded = max(recorded, milliseconds(event.time))
        stored = StoredEvent(
            EventSchema(event.type, event.version or 1).key,
            b"%d" % recorded,
            event.time.encode(),
            event.causation_id.encode(),
            event.correlation_id.encode(),
            event.fact_id.encode(),
            event.content_type.encode(),
            event.data,
        )
        found.append(stored.pack())
    return found
