"""Converts messages of Kafka's client into records; any bytes that brokers accept can be read."""

from typing import Any

from confluent_kafka import Message

from headrace.schemas.headers import UNREADABLE
from headrace.schemas.record import Dropped, Record, split_headers


def to_record(message: Message) -> Record:
    """A message as the steps take it."""
    dropped: Dropped = ()
    try:  # as `headers_of`, without the call, for each record
        found: Any = message.headers() or ()
        headers = dict(found)
        if len(headers) != len(found) or None in headers.values():
            headers, dropped = split_headers(found)
    except Exception as error:
        headers = _unreadable(error)
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers,
        dropped,
    )


def headers_of(message: Message) -> dict[str, bytes]:
    """The last header of each name, without those that are null, which count as absent.

    The client cannot read headers if a name is not UTF-8. Then the only one is `UNREADABLE`, with the reason.
    """
    try:
        found: Any = message.headers() or ()
    except Exception as error:
        return _unreadable(error)
    return split_headers(found)[0]


def _unreadable(error: Exception) -> dict[str, bytes]:
    return {UNREADABLE: f"a header's name is not UTF-8: {error.__cause__ or error}".encode(errors="replace")[:500]}
