"""The fields of a document, as other systems need to know them: read from the dataclass, and told by how JSON has them.

Documents are written as JSON by msgspec, so that a moment is a text, and so is a decimal.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, IntEnum
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Descriptor
from google.protobuf.message import Message

from headrace.topology.inspection.signatures import base_arguments
from headrace.topology.projector import Projector


class Kind(Enum):
    """What a field holds in JSON."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    MOMENT = "moment"
    """Date and time, as RFC 3339 writes it."""
    OBJECT = "object"
    ANY = "any"
    """Something of which no more is known, such as a dict."""


@dataclass(frozen=True)
class Field:
    """One field of a document."""

    name: str
    kind: Kind
    many: bool = False
    """Whether it is a list of such values."""
    fields: tuple["Field", ...] = ()
    """Of an object."""


_KINDS: tuple[tuple[type, Kind], ...] = (  # a bool is an int, and a datetime a date: those come first
    (bool, Kind.BOOLEAN),
    (int, Kind.INTEGER),
    (float, Kind.NUMBER),
    (datetime, Kind.MOMENT),
    (date, Kind.DATE),
)
_OPEN = (Mapping, object, type(None))


@functools.cache
def document_type(projector: type[Projector[Any]]) -> type:
    """The dataclass or message in `Projector[…]`, the base of a class; TypeError if there is no such base."""
    for argument in base_arguments(projector, Projector):
        if isinstance(argument, type):
            return argument
    name = projector.__name__
    raise TypeError(f"{name} names no document; write class {name}(Projector[YourDocument])")


def document_fields(projector: type[Projector[Any]]) -> tuple[Field, ...]:
    """The fields of a projector's documents."""
    document = document_type(projector)  # type: ignore[arg-type]
    return _message_fields(document.DESCRIPTOR, ()) if issubclass(document, Message) else _fields(document, ())


def _fields(document: type, outer: tuple[type, ...]) -> tuple[Field, ...]:
    if not dataclasses.is_dataclass(document) or document in outer:  # one that holds itself would never end
        return ()
    hints = typing.get_type_hints(document)
    return tuple(_field(one.name, hints[one.name], (*outer, document)) for one in dataclasses.fields(document))


def _field(name: str, annotation: Any, outer: tuple[type, ...]) -> Field:
    annotation = _without_none(annotation)
    origin = typing.get_origin(annotation)
    if origin in (list, tuple, set, frozenset, Sequence, Set, Iterable):
        members = {_field(name, one, outer) for one in typing.get_args(annotation) if one is not ...}
        if len(members) == 1 and not (only := members.pop()).many:
            return dataclasses.replace(only, many=True)
        return Field(name, Kind.ANY)
    if origin is typing.Literal:
        return Field(name, _common({_plain(type(one)) for one in typing.get_args(annotation)}))
    if not isinstance(annotation, type):
        return Field(name, Kind.ANY)
    if inner := _fields(annotation, outer):
        return Field(name, Kind.OBJECT, fields=inner)
    return Field(name, _plain(annotation))


_MESSAGE_KINDS = {
    Descriptor.CPPTYPE_BOOL: Kind.BOOLEAN,
    Descriptor.CPPTYPE_DOUBLE: Kind.NUMBER,
    Descriptor.CPPTYPE_FLOAT: Kind.NUMBER,
    Descriptor.CPPTYPE_ENUM: Kind.TEXT,
    Descriptor.CPPTYPE_STRING: Kind.TEXT,
}
"""Of fields of messages. All others are whole numbers; those of 64 bits are text in JSON, and databases take it."""


def _message_fields(message: Any, outer: tuple[str, ...]) -> tuple[Field, ...]:
    if message.full_name in outer:
        return ()
    return tuple(_message_field(one, (*outer, message.full_name)) for one in message.fields)


def _message_field(field: Any, outer: tuple[str, ...]) -> Field:
    name, inner = field.json_name, field.message_type
    if inner is None:
        return Field(name, _MESSAGE_KINDS.get(field.cpp_type, Kind.INTEGER), many=field.is_repeated)
    if inner.full_name == "google.protobuf.Timestamp":
        return Field(name, Kind.MOMENT, many=field.is_repeated)
    own = inner.full_name.startswith("google.protobuf.") or inner.GetOptions().map_entry
    if own or not (fields := _message_fields(inner, outer)):
        return Field(name, Kind.ANY)
    return Field(name, Kind.OBJECT, many=field.is_repeated, fields=fields)


def _plain(annotation: type) -> Kind:
    if issubclass(annotation, Enum) and not issubclass(annotation, (IntEnum, str)):
        return _common({_plain(type(member.value)) for member in annotation})
    for known, kind in _KINDS:
        if issubclass(annotation, known):
            return kind
    open_ended = annotation in _OPEN or issubclass(annotation, Mapping) or dataclasses.is_dataclass(annotation)
    return Kind.ANY if open_ended else Kind.TEXT  # such as Decimal and UUID, which JSON has as text


def _common(kinds: set[Kind]) -> Kind:
    return kinds.pop() if len(kinds) == 1 else Kind.ANY


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        others = [one for one in typing.get_args(annotation) if one is not type(None)]
        return others[0] if len(others) == 1 else object
    return annotation
