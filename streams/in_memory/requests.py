"""A command or a fact as the record that a client would send."""

from google.protobuf.message import Message

from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.headers import (
    CONTENT_TYPE,
    CORRELATION,
    EXPECTED,
    FACT,
    ID,
    NOW,
    ON_ERROR,
    REPLY_TO,
    SOURCE,
    SPECVERSION,
    SUBJECT,
    SYNC_MODE,
    TYPE,
    Headers,
)
from headrace.schemas.record import Record, split_headers
from headrace.topology.inspection import type_name
from headrace.topology.reply import OnError, SendSync, Sync


def request(
    topic: str,
    command: Message,
    root: str,
    *,
    time: int,
    command_id: str,
    expected_sequence: int | None = None,
    correlation_id: str | None = None,
    reply_to: str | None = None,
    external_id: str | None = None,
    sync: Sync | SendSync = "decision",
    on_error: OnError = "fail-fast",
    now: str | None = None,
) -> Record:
    """The record of a command sent at `time`, in milliseconds since 1970; its partition and offset are 0.

    With an `external_id` it is the record of a fact. `now` is the time that its sender has chosen, as in `ce_now`.
    """
    if not isinstance(command, Message):
        raise TypeError(f"a command is a protobuf message, not {command!r}")
    headers: Headers = [
        (SPECVERSION, "1.0"),
        (ID, command_id),
        (SOURCE, "/test"),
        (TYPE, type_name(type(command))),
        (SUBJECT, root),
        (CONTENT_TYPE, PROTOBUF),
    ]
    if correlation_id is not None:
        headers.append((CORRELATION, correlation_id))
    if expected_sequence is not None:
        headers.append((EXPECTED, str(expected_sequence)))
    if reply_to is not None:
        headers.append((REPLY_TO, reply_to))
    if external_id is not None:
        headers.append((FACT, external_id))
    if sync not in ("decision", "async"):
        headers.append((SYNC_MODE, sync))
    if on_error != "fail-fast":
        headers.append((ON_ERROR, on_error))
    if now is not None:
        headers.append((NOW, now))
    return Record(topic, 0, 0, time, root.encode(), command.SerializeToString(deterministic=True), raw(headers))


def raw(headers: Headers) -> dict[str, bytes]:
    """Headers to write, as a reader gets them: text becomes UTF-8; if a name occurs twice, the last one counts."""
    return split_headers(sent(headers))[0]


def sent(headers: Headers) -> list[tuple[str, bytes | None]]:
    """Headers to write as the brokers have them, all of them."""
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in headers]
