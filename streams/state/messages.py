"""Messages of Kafka's client as Headrace takes them: any bytes that brokers accept can be read."""

from confluent_kafka import Message

from headrace.schemas.headers import UNREADABLE


def headers_of(message: Message) -> dict[str, bytes]:
    """The last header of each name; without those that are null, which count as absent.

    The client cannot read a name that is not UTF-8. Then there is `UNREADABLE` alone, which says so.
    """
    try:
        found: list[tuple[str, bytes]] = message.headers() or []  # type: ignore[assignment]
    except Exception as error:
        why = f"a header's name is not UTF-8: {error.__cause__ or error}"
        return {UNREADABLE: why.encode(errors="replace")[:500]}
    headers = dict(found)
    return (
        {name: value for name, value in headers.items() if value is not None} if None in headers.values() else headers
    )
