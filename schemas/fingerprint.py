"""A fingerprint of a message type: it stays the same as long as stored bytes of the type mean the same."""

from functools import cache
from hashlib import sha256
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from google.protobuf.message import Message

_TYPES: dict[int, str] = {number: name for name, number in FieldDescriptorProto.Type.items()}


def fingerprint(message_type: type[Message] | Descriptor, version: int = 1, upcasters: str = "") -> str:
    """16 hex digits that change with the fields of `message_type` and of all types that it uses.

    It depends on each field's number, name, type and oneof, on whether it is repeated, a map, or distinguishes unset
    from default; and on names and numbers of enums. Comments, order, files and unused types do not count.
    With the same fields, it is another one for each `version`, and for each text that describes `upcasters`.
    """
    found = _fingerprint(_descriptor(message_type))
    if version == 1 and not upcasters:
        return found
    upcast = f"\n{upcasters}" if upcasters else ""
    return sha256(f"{found} version {version}{upcast}".encode()).hexdigest()[:16]


def canonical(message_type: type[Message] | Descriptor) -> str:
    """The text of which the fingerprint is a hash: the type itself, then the types that it uses, by name."""
    descriptor = _descriptor(message_type)
    types: dict[str, Descriptor | EnumDescriptor] = {}
    _collect(descriptor, types)
    rest = sorted(types.keys() - {descriptor.full_name})
    return "".join(_describe(types[name]) for name in (descriptor.full_name, *rest))


@cache
def _fingerprint(descriptor: Any) -> str:
    return sha256(canonical(descriptor).encode()).hexdigest()[:16]


def _descriptor(message_type: type[Message] | Descriptor) -> Any:
    return message_type if isinstance(message_type, Descriptor) else message_type.DESCRIPTOR


def _collect(used: Descriptor | EnumDescriptor, types: dict[str, Descriptor | EnumDescriptor]) -> None:
    if used.full_name in types:
        return
    types[used.full_name] = used
    if isinstance(used, Descriptor):
        for field in used.fields:
            if (inner := field.message_type or field.enum_type) is not None:
                _collect(inner, types)


def _describe(used: Descriptor | EnumDescriptor) -> str:
    if isinstance(used, EnumDescriptor):
        values = sorted((value.number, value.name) for value in used.values)
        return f"enum {used.full_name}\n" + "".join(f"  {number} {name}\n" for number, name in values)
    word = "map entry" if used.GetOptions().map_entry else "message"
    fields = sorted(used.fields, key=lambda field: field.number)
    return f"{word} {used.full_name}\n" + "".join(f"  {_field(field)}\n" for field in fields)


def _field(field: FieldDescriptor) -> str:
    words = [str(field.number), field.name, _TYPES[field.type]]
    if (inner := field.message_type or field.enum_type) is not None:
        words.append(inner.full_name)
    if field.is_repeated:
        words.append("repeated")
    if field.has_presence:
        words.append("presence")
    if field.containing_oneof is not None:
        words.append(f"oneof {field.containing_oneof.name}")
    return " ".join(words)
