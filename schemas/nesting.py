"""Which messages may be nested without end: protobuf writes any number of levels, and reads a hundred."""

from typing import Any

from google.protobuf.message import Message


def nests(message_type: type[Message]) -> bool:
    """Whether messages of a type hold themselves, or others that do, so that there may be any number of levels."""
    descriptor = message_type.DESCRIPTOR
    held = _held(descriptor)
    return any(one in _held(one) for one in [descriptor, *held])


def _held(descriptor: Any) -> set[Any]:
    found: set[Any] = set()
    left = [descriptor]
    while left:
        inner = {field.message_type for field in left.pop().fields if field.message_type is not None} - found
        found |= inner
        left += inner
    return found
