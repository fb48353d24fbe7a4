"""Contexts of handlers and reactions, made from the record that is handled."""

from collections.abc import Mapping
from datetime import UTC, datetime

from headrace.schemas.headers import CORRELATION, ID, SEQUENCE, TIME
from headrace.schemas.record import Record
from headrace.streams.steps.sender import event_id
from headrace.topology.context import Context, EventContext, ProcessContext, ProjectionContext, RootState, StateOf


def context(record: Record, root: bytes, sequence: int, edition: str) -> Context:
    """The context of a command or a fact; the same each time that the record is handled."""
    command_id = record.headers[ID]
    return Context(
        root=root.decode(),
        command_id=command_id.decode(),
        correlation_id=(record.headers.get(CORRELATION) or command_id).decode(),
        sequence=sequence,
        now=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        edition=edition,
    )


def event_context(record: Record, root: bytes, edition: str) -> EventContext:
    """The context of a saga's reaction."""
    return EventContext(*_event_fields(record, root, edition))


def process_context(record: Record, root: bytes, edition: str, states: Mapping[StateOf, RootState]) -> ProcessContext:
    """The context of a process manager's reaction."""
    return ProcessContext(*_event_fields(record, root, edition), states)


def projection_context(record: Record, root: bytes, edition: str, document_id: bytes) -> ProjectionContext:
    """The context of a projector's method."""
    return ProjectionContext(*_event_fields(record, root, edition), document_id.decode())


def _event_fields(record: Record, root: bytes, edition: str) -> tuple[str, int, str, str, datetime, str]:
    headers = record.headers
    time = headers.get(TIME)
    now = datetime.fromisoformat(time.decode()) if time else datetime.fromtimestamp(record.timestamp / 1000, UTC)
    correlation = (headers.get(CORRELATION) or b"").decode()
    return root.decode(), int(headers.get(SEQUENCE) or b"-1"), event_id(record), correlation, now, edition
