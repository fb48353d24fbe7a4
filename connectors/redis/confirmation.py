"""Whom a writer tells that Redis has a document. No I/O.

The script that writes documents also keeps these beside the position. So a writer that takes over tells them again what
the one before it may not have told them; they may be told twice.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from headrace.schemas.awaited import unpack


class Confirmation(NamedTuple):
    """One client that waits for one document because of one event."""

    reply_to: str
    """Topic and partition."""
    command_id: str
    sequence: int
    document: str
    at: int
    """Time of the document's record, in milliseconds since 1970."""


_decode = msgspec.json.Decoder(list[Confirmation]).decode


def confirmations(document_id: bytes, awaited: bytes | None, at: int) -> list[Confirmation]:
    """Those whom a document's header `ce_awaited` names."""
    name = document_id.decode(errors="replace")
    return [Confirmation(*one, name, at) for one in unpack(awaited)]


def pack(found: Sequence[Confirmation]) -> bytes:
    """As they are kept in Redis; empty for none."""
    return msgspec.json.encode(found) if found else b""


def unpack_kept(kept: bytes) -> list[Confirmation]:
    """The reverse; empty for what no writer has kept."""
    try:
        return _decode(kept) if kept else []
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
