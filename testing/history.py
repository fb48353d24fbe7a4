"""Events that a test begins with, as the store holds them."""

from collections.abc import Iterable

from google.protobuf.message import Message

from headrace.schemas.fingerprint import fingerprint
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.schemas.record import rfc3339
from headrace.schemas.stored_event import StoredEvent
from headrace.streams.steps.store import Staged
from headrace.topology.inspection import ComponentSpec, type_name


def history(spec: ComponentSpec, root: bytes, events: Iterable[Message], time: int) -> Staged:
    """What the store holds for a root with these events; LookupError for an event that `spec` does not apply."""
    staged, state, sequence = Staged(), spec.state_type(), -1
    for sequence, event in enumerate(events):
        if not isinstance(event, Message):
            raise TypeError(f"given({spec.class_name}, …) takes events, which are protobuf messages; got {event!r}")
        name = type_name(type(event))
        if name not in spec.appliers:
            raise LookupError(f"{spec.class_name} applies no {name}; it applies: {', '.join(spec.appliers)}")
        data = event.SerializeToString()
        spec.appliers[name].call(state, event.FromString(data))
        stored = StoredEvent(name.encode(), b"%d" % time, rfc3339(time).encode(), b"given", b"given", b"", b"", data)
        staged.history.append((root, sequence, stored.pack()))
    if sequence >= 0:
        snapshot = Snapshot(
            sequence=sequence,
            state=state.SerializeToString(),
            fingerprint=fingerprint(spec.state_type),
            recorded=time,
        )
        staged.snapshots[root] = snapshot.SerializeToString()
    return staged
