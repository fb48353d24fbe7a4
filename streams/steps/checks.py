"""What a record's key and headers must be, in addition to those of a CloudEvent."""

from collections.abc import Mapping
from functools import lru_cache

from headrace.schemas.headers import CORRELATION, EXPECTED, FACT, ID, NOW, TRACEPARENT
from headrace.schemas.record import LATEST, Record, RecordError, milliseconds
from headrace.streams.steps.context import LONGEST_ROOT
from headrace.topology.names import MAIN

LONGEST = 1024
"""The most bytes in a header that is copied into other records: longer ones could make these too large."""


@lru_cache(65_536)  # without a cache it takes three times as long
def checked_root(key: bytes | None) -> bytes:
    """The key, if it is a valid root; otherwise RecordError."""
    if not key:
        raise RecordError("the record has no key; the key is the root that the command is for")
    if len(key) > LONGEST_ROOT or min(key) < 0x20:
        raise RecordError(f"the key must be at most {LONGEST_ROOT} bytes, without control characters")
    try:
        key.decode()
    except UnicodeDecodeError:
        raise RecordError(f"the key {key!r} is not UTF-8") from None
    return key


def whole_number(header: bytes) -> int:
    """The number in an expected-sequence header; RecordError if it cannot be a sequence."""
    if header == b"-1":
        return -1
    if not header.isdigit() or len(header) > 19:  # as many digits as a sequence can have
        raise RecordError(f"{EXPECTED} is {header[:40]!r}; it must be a whole number, -1 or more")
    return int(header)


def decided_at(record: Record, edition: str) -> Record:
    """The record as if it had been written at the time that it names.

    RecordError for a text that is no time of the years 1970 to 9999, and in main, where nobody may choose the time.
    """
    text = record.headers[NOW]
    if edition == MAIN:
        raise RecordError(f"{NOW} is for editions alone; in {MAIN} a command is decided at the time of its record")
    try:
        moment = milliseconds(text.decode())
    except ValueError:
        moment = -1
    if not 0 <= moment <= LATEST:
        raise RecordError(f"{NOW} is {text[:40]!r}; it must be a time such as 2026-11-27T17:30:00Z")
    return record._replace(timestamp=moment)


def check_ids(headers: Mapping[str, bytes], fact: bytes = b"") -> None:
    """RecordError unless ids are text without NUL, which separates fields in the store, and none is too long."""
    joined = b" ".join((headers[ID], headers.get(CORRELATION) or b"", fact))
    if len(joined) + len(headers.get(TRACEPARENT) or b"") > LONGEST:
        for name in (ID, CORRELATION, TRACEPARENT, FACT):
            if len(value := headers.get(name) or b"") > LONGEST:
                raise RecordError(f"header {name} has {len(value)} bytes; at most {LONGEST} are taken")
    if b"\0" in joined:
        raise RecordError("ids must not hold a NUL")
    joined.decode()
