"""Events that a test begins with, as the store holds them."""

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.message import Message

from headrace.schemas.event_schema import EventSchema
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.schemas.record import rfc3339
from headrace.schemas.stored_event import StoredEvent
from headrace.streams.steps.handlers import States
from headrace.streams.steps.store import Staged
from headrace.topology.inspection import ComponentSpec, type_name
from headrace.topology.upcaster_chain import NO_UPCASTERS, UpcasterChain


@dataclass(frozen=True, slots=True)
class OfVersion:
    """An event that an older release has written, when its type had another meaning: `OfVersion(1, Paid(amount=5))`."""

    version: int
    message: Message


PastEvent = Message | OfVersion
"""An event that a test begins with; a message alone is as today's release writes it, or of an old type."""


def schema_of(event: PastEvent, chain: UpcasterChain) -> tuple[EventSchema, Message]:
    """Schema and message of an event that a test begins with."""
    if isinstance(event, OfVersion):
        return EventSchema(type_name(type(event.message)), event.version), event.message
    return chain.newest(type_name(type(event))), event


def written(event: PastEvent, spec: ComponentSpec, domain: str) -> tuple[EventSchema, Message, str]:
    """Schema and message of an event that a component reads, and which of its sources has written it: `domain`, unless
    its upcasters say so."""
    for source, chain in spec.source_upcasters.items():
        schema, message = schema_of(event, chain)
        if schema.key in chain.old or schema.type in chain.versions:
            return schema, message, source
    return *schema_of(event, NO_UPCASTERS), domain


def lifted(schema: EventSchema, spec: ComponentSpec) -> bool:
    """Whether an upcaster of a component's sources takes events of a schema."""
    return any(schema.key in chain.old for chain in spec.source_upcasters.values())


def history(spec: ComponentSpec, root: bytes, events: Iterable[PastEvent], time: int) -> Staged:
    """What the store holds for a root with these events; LookupError for an event that `spec` does not apply."""
    staged, sequence = Staged(), -1
    for sequence, event in enumerate(events):
        if not isinstance(event, PastEvent):
            raise TypeError(f"given({spec.class_name}, …) takes events, which are protobuf messages; got {event!r}")
        schema, message = schema_of(event, spec.upcasters)
        current = schema == spec.upcasters.newest(schema.type) and schema.type in spec.appliers
        if not current and schema.key not in spec.upcasters.old:
            raise LookupError(f"{spec.class_name} applies no {schema}; it applies: {', '.join(spec.appliers)}")
        data, recorded = message.SerializeToString(), b"%d" % time
        stored = StoredEvent(schema.key, recorded, rfc3339(time).encode(), b"given", b"given", b"", b"", data)
        staged.history.append((root, sequence, stored.pack()))
    if sequence >= 0:
        states = States(spec)
        state = states.new()
        states.fold(state, [value for _, _, value in staged.history], root)
        snapshot = Snapshot(
            sequence=sequence, state=states.serialise(state), fingerprint=states.fingerprint, recorded=time
        )
        staged.snapshots[root] = snapshot.SerializeToString()
    return staged
