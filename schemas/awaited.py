"""What a document's record says of those who wait for it, so that a sink can tell them once it has the document."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec


class Awaited(NamedTuple):
    """An event of a command whose sender waits for a document."""

    reply_to: str
    """Topic and partition for the answer."""
    command_id: str
    sequence: int
    """Of the event."""


_decode = msgspec.json.Decoder(list[Awaited]).decode


def pack(found: Sequence[Awaited]) -> bytes:
    """As JSON, for a header."""
    return msgspec.json.encode(found)


def unpack(header: bytes | None) -> list[Awaited]:
    """The reverse; empty for no header, and for one that nobody of Headrace wrote."""
    try:
        return _decode(header) if header else []
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
