"""A record as a CloudEvent 1.0 in Kafka's binary content mode: payload in the value, attributes in headers.

For speed, the engine reads and writes headers by their names, without building objects; everything else uses
`CloudEvent`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from headrace.schemas.headers import (
    CONTENT_TYPE,
    ID,
    REQUIRED,
    SOURCE,
    SPECVERSION,
    SUBJECT,
    TIME,
    TYPE,
    Headers,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = 253_402_300_799_999
"""The last millisecond of the year 9999, since 1970."""


class RecordError(ValueError):
    """A record that is not a valid CloudEvent for the engine; the text says which header or key is wrong, and how."""


Dropped = tuple[tuple[str, bytes | None], ...]
"""Headers that a mapping cannot hold: all but the last one of a name, and those that are null."""


class Record(NamedTuple):
    """One Kafka record as read. `timestamp` is in milliseconds since 1970; `headers` hold raw bytes."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]
    dropped: Dropped = ()
    """What else was among its headers. It counts for nothing, and is kept with the record in the dead letters."""

    @property
    def all_headers(self) -> list[tuple[str, bytes | None]]:
        """All that it was sent with, as `split_headers` takes them."""
        return [*self.dropped, *self.headers.items()]


def split_headers(found: Iterable[tuple[str, bytes | None]]) -> tuple[dict[str, bytes], Dropped]:
    """Headers as a mapping in which the last one of a name counts, and a null one is absent; and all others."""
    last: dict[str, bytes | None] = {}
    dropped: list[tuple[str, bytes | None]] = []
    for name, value in found:
        if name in last:
            dropped.append((name, last[name]))
        last[name] = value
    dropped += [(name, None) for name, value in last.items() if value is None]
    return {name: value for name, value in last.items() if value is not None}, tuple(dropped)


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """The attributes of one record. `extensions` carry no `ce_` prefix; absent attributes are empty."""

    id: str
    source: str
    type: str
    data: bytes = b""
    subject: str = ""
    time: str = ""
    content_type: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict)

    def headers(self) -> Headers:
        """Headers to produce, in the same order as the engine writes them."""
        headers: Headers = [(SPECVERSION, "1.0"), (ID, self.id), (SOURCE, self.source), (TYPE, self.type)]
        optional = ((SUBJECT, self.subject), (TIME, self.time), (CONTENT_TYPE, self.content_type))
        headers.extend((name, value) for name, value in optional if value)
        headers.extend((f"ce_{name}", value) for name, value in self.extensions.items())
        return headers


def read(value: bytes | None, headers: Iterable[tuple[str, bytes]] | Mapping[str, bytes] | None) -> CloudEvent:
    """The CloudEvent in a record's value and headers.

    Raises RecordError when a required attribute is missing, the version is not 1.0, or text is not UTF-8.
    """
    raw = check(dict(headers or ()))
    try:
        text = {name: data.decode() for name, data in raw.items() if data is not None}
    except UnicodeDecodeError as error:
        raise RecordError(f"a header is not UTF-8: {error}") from None
    known = (SPECVERSION, ID, SOURCE, TYPE, SUBJECT, TIME)
    return CloudEvent(
        id=text[ID],
        source=text[SOURCE],
        type=text[TYPE],
        data=value or b"",
        subject=text.get(SUBJECT, ""),
        time=text.get(TIME, ""),
        content_type=text.get(CONTENT_TYPE, ""),
        extensions={k[3:]: v for k, v in text.items() if k.startswith("ce_") and k not in known},
    )


def check(headers: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """The same headers, if they have what every CloudEvent needs; otherwise RecordError names what is missing."""
    get = headers.get
    if get(SPECVERSION) == b"1.0" and get(ID) and get(SOURCE) and get(TYPE):
        return headers
    for name in REQUIRED:
        if not get(name):
            raise RecordError(f"header {name} is missing; a record needs {', '.join(REQUIRED)}{_hint(headers, name)}")
    raise RecordError(f"ce_specversion is {headers[SPECVERSION]!r}; only 1.0 is understood")


def _hint(headers: Mapping[str, bytes], name: str) -> str:
    """What may have been meant: names in capitals, or as HTTP has them."""
    meant = {name, name.replace("_", "-")}
    found = next((one for one in headers if one.lower() in meant), None)
    if found is not None:
        return f". There is {found[:40]!r}: Kafka's names are in lower case, with an underscore"
    if headers.get(CONTENT_TYPE, b"").lower().startswith(b"application/cloudevents"):
        return ". Structured mode is read in commands and facts only"
    return ""


def rfc3339(milliseconds: int) -> str:
    """A Kafka timestamp as RFC 3339 in UTC, with three decimals; clamped to the years 1970 to 9999."""
    milliseconds = min(max(milliseconds, 0), LATEST)
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def since_epoch(moment: datetime) -> int:
    """Milliseconds since 1970, exact; ValueError for a time without a time zone, which depends on the machine."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} names no time zone; add tzinfo=UTC")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def milliseconds(time: str) -> int:
    """The reverse of `rfc3339`, for any RFC 3339 time; raises ValueError for other text."""
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError(f"{time!r} names no time zone")
    return round(moment.timestamp() * 1000)
