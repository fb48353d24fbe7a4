"""Makes descriptors from the bodies of classes that declare messages."""

import enum
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, ForwardRef, NamedTuple, Union, get_args, get_origin

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.message import Message as ProtobufMessage

_Proto = FieldDescriptorProto
_SCALARS: dict[type[Any], str] = {str: "string", bytes: "bytes", bool: "bool", int: "int64", float: "double"}
_KINDS: dict[type[Any], tuple[str, ...]] = {
    int: ("int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64"),
    float: ("double", "float"),
}
_KEYS = {"string", "bool", *_KINDS[int]}
_LAST = 2**29 - 1
_RESERVED = range(19_000, 20_000)
BODY = "__headrace_body__"


class MessageError(TypeError):
    """A declaration that is wrong; the text says which class and field, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Field:
    """What `field` puts into the class body."""

    number: int
    kind: str
    oneof: str


class Body(NamedTuple):
    """A class body that declares a message."""

    name: str
    package: str
    """Empty for a message that is nested in another one."""
    content: Mapping[str, Any]
    reserved: Sequence[int]

    @property
    def module(self) -> str:
        """Name of its module."""
        return str(self.content["__module__"])

    @property
    def nested(self) -> dict[str, type]:
        """Placeholders of the messages that are nested in it."""
        return {key: one for key, one in self.content.items() if isinstance(one, type) and BODY in vars(one)}


class Undeclared(Exception):
    """A field refers to something that is not declared, or not yet."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name
        """The message that has the field."""


class Waiting(type):
    """Type of the placeholder of a message that refers to one not declared yet; its `__doc__` says which."""

    def __call__(cls, *_: object, **__: object) -> Any:
        raise MessageError(vars(cls)["__doc__"])

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):  # Python itself looks up some of these
            raise AttributeError(name)
        raise MessageError(vars(cls)["__doc__"])


class Enum(enum.IntEnum):
    """An enum; its first value is 0, the default of a field.

        class Suit(Enum, package="cards.v1"):
            CLUBS = 0

    In protobuf, the value names of all enums of a package share one scope. Reading a field gives a plain int.
    """

    def __init_subclass__(cls, *, package: str = "") -> None:
        cls.__headrace_package__ = package  # type: ignore[attr-defined]


class Builder:
    """Builds one file: messages, everything nested in them, and the files that they depend on."""

    def __init__(self, file: FileDescriptorProto, others: Mapping[type, Body]) -> None:
        """`others` are the messages of this file, by their placeholders, with which they refer to each other."""
        self._file = file
        self._names: dict[type, str] = {}
        """Full names of messages of this file, by their placeholders in annotations."""
        self._scope: dict[str, Any] = {body.name: stand_in for stand_in, body in others.items()}
        """Placeholders of the messages that contain the one that is being built."""
        self._top = ""
        """Name of the outermost message."""
        for stand_in, body in others.items():
            full_name = f"{body.package}.{body.name}"
            self._names |= {stand_in: full_name} | {one: f"{full_name}.{key}" for key, one in body.nested.items()}

    def message(self, body: Body, full_name: str) -> DescriptorProto:
        """The descriptor of a class body. Raises Undeclared."""
        name, content, nested = body.name, body.content, body.nested
        self._top = name if body.package else self._top
        made = DescriptorProto(name=name)
        self._names |= {value: f"{full_name}.{key}" for key, value in nested.items()}
        own = type(name, (), dict(nested))  # the placeholder of the message in its own annotations
        self._names[own] = full_name
        scope = {**vars(sys.modules[body.module]), **self._scope, **content, name: own}
        outer, self._scope = self._scope, {**self._scope, **nested, name: own}
        annotations = _annotations(content)
        numbers = dict.fromkeys(body.reserved, "a field that was dropped, and reserved")
        for number in body.reserved:
            made.reserved_range.add(start=number, end=number + 1)
        for key, value in content.items():
            if isinstance(value, Field):
                if key not in annotations:
                    raise MessageError(f"{name}.{key}: has no type; write {key}: str = field({value.number})")
                _check_number(name, key, value.number, numbers)
        for key, annotation in annotations.items():
            found = content.get(key)
            if not isinstance(found, Field):
                raise MessageError(f"{name}.{key}: has no number; write {key}: … = field(1)")
            self._field(made, full_name, key, found, self._resolved(f"{name}.{key}", annotation, scope), scope)
        _optionals_last(made)
        for key, one in nested.items():
            made.nested_type.append(self.message(vars(one)[BODY], f"{full_name}.{key}"))
        self._scope = outer
        return made

    def _field(
        self, made: DescriptorProto, owner: str, key: str, found: Field, annotation: Any, scope: Mapping[str, Any]
    ) -> None:
        where = f"{made.name}.{key}"
        one = made.field.add(name=key, number=found.number, label=_Proto.LABEL_OPTIONAL)
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is list:
            one.label = _Proto.LABEL_REPEATED
            self._type(one, where, arguments[0], found.kind, scope)
        elif origin is dict:
            one.label = _Proto.LABEL_REPEATED
            self._map(made, owner, one, where, arguments, found.kind, scope)
        elif origin in (Union, UnionType):
            inner = [argument for argument in arguments if argument is not NoneType]
            if len(inner) != 1 or len(arguments) != 2:
                raise MessageError(f"{where}: a union is `X | None`; for one of several fields use oneof=")
            one.proto3_optional = True
            self._type(one, where, inner[0], found.kind, scope)
        else:
            self._type(one, where, annotation, found.kind, scope)
        if found.oneof and (one.label == _Proto.LABEL_REPEATED or one.proto3_optional):
            raise MessageError(f"{where}: a field in a oneof is neither a list, a dict nor optional")
        if found.oneof:
            names = [oneof.name for oneof in made.oneof_decl]
            if found.oneof not in names:
                made.oneof_decl.add(name=found.oneof)
                names.append(found.oneof)
            one.oneof_index = names.index(found.oneof)

    def _map(
        self,
        made: DescriptorProto,
        owner: str,
        one: FieldDescriptorProto,
        where: str,
        arguments: tuple[Any, ...],
        kind: str,
        scope: Mapping[str, Any],
    ) -> None:
        entry = made.nested_type.add(name="".join(part.capitalize() for part in one.name.split("_")) + "Entry")
        entry.options.map_entry = True
        key = entry.field.add(name="key", number=1, label=_Proto.LABEL_OPTIONAL)
        value = entry.field.add(name="value", number=2, label=_Proto.LABEL_OPTIONAL)
        if _SCALARS.get(arguments[0]) not in _KEYS:
            raise MessageError(f"{where}: a map's keys are str, int or bool, not {_text(arguments[0])}")
        self._type(key, where, arguments[0], "", scope)
        self._type(value, where, arguments[1], kind, scope)
        one.type, one.type_name = _Proto.TYPE_MESSAGE, f".{owner}.{entry.name}"

    def _type(
        self, one: FieldDescriptorProto, where: str, annotation: Any, kind: str, scope: Mapping[str, Any]
    ) -> None:
        annotation = self._resolved(where, annotation, scope)
        if (scalar := _SCALARS.get(annotation)) is not None:
            if kind and kind not in _KINDS.get(annotation, ()):
                kinds = ", ".join(_KINDS.get(annotation, ())) or "no other kinds"
                raise MessageError(f"{where}: {annotation.__name__} has no kind {kind!r}; there are {kinds}")
            one.type = _Proto.Type.Value(f"TYPE_{(kind or scalar).upper()}")
            return
        if kind:
            raise MessageError(f"{where}: kind={kind!r} is for int and float")
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            one.type, one.type_name = _Proto.TYPE_ENUM, self._enum(where, annotation)
        elif (full_name := self._message(annotation)) is not None:
            one.type, one.type_name = _Proto.TYPE_MESSAGE, f".{full_name}"
        elif isinstance(annotation, Waiting):
            raise Undeclared(self._top, f"{where}: {annotation.__name__} is not complete: {annotation.__doc__}")
        else:
            raise MessageError(
                f"{where}: {_text(annotation)} is no type of a field; there are str, bytes, bool, int, float, Enum, "
                "messages, list[…], dict[…, …] and … | None"
            )

    def _resolved(self, where: str, annotation: Any, scope: Mapping[str, Any]) -> Any:
        """An annotation; if it is a text or refers to a later class, what that means in its module."""
        text = annotation.__forward_arg__ if isinstance(annotation, ForwardRef) else annotation
        if not isinstance(text, str):
            return annotation
        try:
            return eval(text, dict(scope))  # as Python itself does with annotations
        except (NameError, AttributeError) as error:
            raise Undeclared(self._top, f"{where}: {error}; declare it at the level of the module") from None

    def _message(self, annotation: Any) -> str | None:
        """Full name of a message type; None for anything else."""
        if annotation in self._names:
            return self._names[annotation]
        if isinstance(annotation, type) and issubclass(annotation, ProtobufMessage):
            self._depend(annotation.DESCRIPTOR.file.name)
            return annotation.DESCRIPTOR.full_name
        return None

    def _enum(self, where: str, values: type[Enum]) -> str:
        """Full name of an enum, which becomes a file of its own when a field first uses it."""
        package: str = values.__headrace_package__ or self._file.package  # type: ignore[attr-defined]
        made = EnumDescriptorProto(name=values.__name__)
        for value in values:
            made.value.add(name=value.name, number=value.value)
        if not made.value or made.value[0].number != 0:
            raise MessageError(
                f"{where}: the first value of {values.__name__} must be 0, which is what unset fields are"
            )
        full_name, pool = f"{package}.{values.__name__}", descriptor_pool.Default()
        try:
            known = pool.FindEnumTypeByName(full_name)
        except KeyError:
            file = FileDescriptorProto(name=f"{full_name}.proto", package=package, syntax="proto3")
            file.enum_type.append(made)
            try:
                pool.AddSerializedFile(file.SerializeToString())
            except TypeError as error:
                raise MessageError(
                    f"{where}: {values.__name__}: {error}; value names are unique in a package"
                ) from None
            known = pool.FindEnumTypeByName(full_name)
        if {v.name: v.number for v in known.values} != {v.name: v.number for v in made.value}:
            raise MessageError(f"{where}: there is another enum {full_name} with other values")
        self._depend(known.file.name)
        return f".{full_name}"

    def _depend(self, file: str) -> None:
        if file not in self._file.dependency:
            self._file.dependency.append(file)


def _check_number(name: str, key: str, number: int, numbers: dict[int, str]) -> None:
    where = f"{name}.{key}"
    if not 1 <= number <= _LAST:
        raise MessageError(f"{where}: number {number} is not between 1 and {_LAST}")
    if number in _RESERVED:
        raise MessageError(f"{where}: protobuf keeps the numbers 19000 to 19999 for itself; take another than {number}")
    if (other := numbers.setdefault(number, key)) != key:
        raise MessageError(f"{where}: number {number} is that of {other} already; give each field its own")


def _optionals_last(made: DescriptorProto) -> None:
    """Give each optional field a oneof of its own, after those that the author names, as protoc does."""
    for one in made.field:
        if one.proto3_optional:
            one.oneof_index = len(made.oneof_decl)
            made.oneof_decl.add(name=f"_{one.name}")


# ---- annotations


def _annotations(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The annotations of a class body; Python 3.14 has a function that returns them."""
    if "__annotations__" in body:
        found: Mapping[str, Any] = body["__annotations__"]
        return found
    if sys.version_info >= (3, 14):
        import annotationlib  # noqa: PLC0415 - from 3.14 on

        annotate = annotationlib.get_annotate_from_class_namespace(body)
        if annotate is not None:
            return annotationlib.call_annotate_function(annotate, annotationlib.Format.FORWARDREF)
    return {}


def _text(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
