"""What handlers may know besides state and message, read from the record that they are called for."""

from datetime import UTC, datetime

from headrace.schemas.headers import CORRELATION, ID
from headrace.schemas.record import Record
from headrace.topology.aggregate import Context


def context(record: Record, root: bytes, sequence: int, edition: str) -> Context:
    """The context of a command or a fact; the same whenever that record is handled again."""
    command_id = record.headers[ID]
    return Context(
        root=root.decode(),
        command_id=command_id.decode(),
        correlation_id=(record.headers.get(CORRELATION) or command_id).decode(),
        sequence=sequence,
        now=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        edition=edition,
    )
