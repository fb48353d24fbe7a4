"""Messages of Kafka's client as Headrace takes them: any bytes that brokers accept can be read."""

from confluent_kafka import Message

from headrace.schemas.headers import UNREADABLE
from headrace.schemas.record import Dropped, Record, split_headers


def to_record(message: Message) -> Record:
    """A message as the steps take it."""
    headers, dropped = _headers(message)
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
    """The last header of each name; without those that are null, which count as absent.

    The client cannot read a name that is not UTF-8. Then there is `UNREADABLE` alone, which says so.
    """
    return _headers(message)[0]


def _headers(message: Message) -> tuple[dict[str, bytes], Dropped]:
    try:
        found: list[tuple[str, bytes]] = message.headers() or []  # type: ignore[assignment]
    except Exception as error:
        why = f"a header's name is not UTF-8: {error.__cause__ or error}"
        return {UNREADABLE: why.encode(errors="replace")[:500]}, ()
    headers = dict(found)
    if len(headers) == len(found) and None not in headers.values():
        return headers, ()  # the usual case
    return split_headers(found)
