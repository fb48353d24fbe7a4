"""What a record's key and headers must be, beyond being a CloudEvent."""

from headrace.schemas.headers import EXPECTED
from headrace.schemas.record import RecordError


def checked_root(key: bytes | None) -> bytes:
    """The key, if it can name a root; else RecordError."""
    if not key:
        raise RecordError("the record has no key; the key is the root that the command is for")
    if len(key) > 1024 or min(key) < 0x20:
        raise RecordError("the key must be at most 1024 bytes, without control characters")
    try:
        key.decode()
    except UnicodeDecodeError:
        raise RecordError(f"the key {key!r} is not UTF-8") from None
    return key


def whole_number(header: bytes) -> int:
    """The number in an expected-sequence header; RecordError if it can be no sequence."""
    if header == b"-1":
        return -1
    if not header.isdigit() or len(header) > 19:  # as many digits as a sequence can have
        raise RecordError(f"{EXPECTED} is {header[:40]!r}; it must be a whole number, -1 or more")
    return int(header)


def check_ids(*ids: bytes) -> None:
    """RecordError unless all are text without NUL, which divides fields in the store."""
    joined = b" ".join(ids)
    if b"\0" in joined:
        raise RecordError("ids must not hold a NUL")
    joined.decode()
