"""How long the sender of a command waits, in headers: of the command, of its events, and of what follows from these."""

from headrace.schemas.headers import ID, ON_ERROR, REPLY_TO, REPORT_TO, SYNC_MODE, Headers
from headrace.schemas.ids import ReplyTarget, ReportTarget
from headrace.schemas.record import Record

SIMPLE, CASCADE, ISOLATED = b"simple", b"cascade", b"isolated"
SYNC_MODES = (b"async", b"decision", SIMPLE, CASCADE, ISOLATED)
DEAD_LETTER, COMPENSATE = b"dead-letter", b"compensate"
ERROR_MODES = (b"fail-fast", b"continue", DEAD_LETTER, COMPENSATE)


def tracked(record: Record) -> Record:
    """A client's command, with the header by which all that it leads to is reported, if its sender waits for that."""
    headers = record.headers
    target = _target(record) if headers.get(SYNC_MODE) == CASCADE else None
    if target is None:
        return record
    report_to = ReportTarget(target.topic, target.partition, headers[ID].decode())
    return record._replace(headers={**headers, REPORT_TO: str(report_to).encode()})


def of_events(record: Record) -> Headers:
    """Headers that the events of a command have, by which they are waited for, or passed over."""
    headers = record.headers
    if REPORT_TO in headers:
        return reported_to(record)
    mode = headers.get(SYNC_MODE)
    if mode == ISOLATED:
        return [(SYNC_MODE, ISOLATED)]
    if mode == SIMPLE and (target := _target(record)) is not None:
        return [(SYNC_MODE, SIMPLE), (REPLY_TO, str(target))]
    return []


def reported_to(record: Record) -> Headers:
    """Headers that each record which follows from this one has as well; empty if nobody waits."""
    found = record.headers
    return [(name, found[name]) for name in (REPORT_TO, ON_ERROR) if name in found] if REPORT_TO in found else []


def _target(record: Record) -> ReplyTarget | None:
    return ReplyTarget.parse((record.headers.get(REPLY_TO) or b"").decode(errors="replace"))
