"""Documents of events that no topic holds: those of a history, and those that a what-if has added."""

from typing import TypeVar

from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.event_schema import parse_key
from headrace.schemas.headers import (
    CAUSATION,
    CONTENT_TYPE,
    CORRELATION,
    DATA_SCHEMA,
    FACT,
    ID,
    SEQUENCE,
    SOURCE,
    SPECVERSION,
    SUBJECT,
    TIME,
    TYPE,
    Headers,
)
from headrace.schemas.stored_event import event_key, recorded_of, unpack
from headrace.streams.in_memory.history import History
from headrace.streams.in_memory.reads import Reads
from headrace.streams.in_memory.runtime import MemoryRuntime
from headrace.streams.steps.store import LATEST
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.names import source
from headrace.topology.projector import Projector, version_name
from headrace.topology.topology import Topology

D = TypeVar("D")


def project(
    topology: Topology, projector: type[Projector[D]], history: History, happened: MemoryRuntime
) -> dict[str, D]:
    """The documents that a projector makes of a history and of what has happened since, in the order of recording.

    LookupError if the topology has no such projector.
    """
    spec = topology.component(version_name(projector.name, projector.version))
    assert isinstance(spec, ProjectorSpec)
    names, edition = happened.names, happened.edition
    runtime = MemoryRuntime(
        topology,
        start=happened.clock.now,
        names=names,
        edition=edition,
        components={spec.name, *(part.name for part in spec.parts)},
    )
    found: list[tuple[int, str, str, int, bytes]] = []
    for name in {*spec.sources.values()}:
        roots = {*history.events.get(name, {}), *(root for own in happened.stores_of(name) for root in own.roots)}
        for root in roots:
            events = happened.store(name, root).history(root.encode(), 0, LATEST - 1)
            found += [(recorded_of(value), name, root, sequence, value) for sequence, value in enumerate(events)]
    for recorded, name, root, sequence, value in sorted(found):
        headers, data = _record(value, root, sequence, source(edition, name))
        runtime.write(names.topic(edition, name, "events"), data, event_key(root, sequence), 0, headers, recorded)
        runtime.run()
    return Reads(runtime).documents(projector)


def _record(value: bytes, root: str, sequence: int, written_by: str) -> tuple[Headers, bytes]:
    """Headers and value of an event's record, from what the store keeps."""
    event = unpack(value)
    schema = parse_key(event.schema)
    headers: Headers = [
        (SPECVERSION, "1.0"),
        (ID, f"{root}:{sequence}"),
        (SOURCE, written_by),
        (TYPE, schema.type),
        (SUBJECT, root),
        (TIME, event.time),
        (CONTENT_TYPE, event.content_type or PROTOBUF.encode()),
        (CORRELATION, event.correlation),
        (CAUSATION, event.causation),
        (SEQUENCE, str(sequence)),
    ]
    if schema.version != 1:
        headers.append((DATA_SCHEMA, event.schema))
    if event.fact:
        headers.append((FACT, event.fact))
    return headers, event.data
