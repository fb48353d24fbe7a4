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
    """The fields of a projector's documents; none for a document that is no dataclass."""
    return _fields(document_type(projector), ())  # type: ignore[arg-type]


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
