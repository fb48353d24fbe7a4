"""Protobuf messages declared in Python.

    class BookLent(Message, package="library.v1"):
        reader: str = field(1)
        tags: list[str] = field(2)

`BookLent` is a real protobuf class, with the same behaviour and the same bytes as one that protoc generates from

    package library.v1;
    message BookLent {
      string reader = 1;
      repeated string tags = 2;
    }

A field is a str, bytes, bool, int (int64), float (double), an `Enum` of this module, another message, a `list[…]` of
these, a `dict[…, …]` (a map), or `… | None` (an optional field: `has` says whether it is set). Messages of one module
may refer to each other, in quotes. `reserved=(3,)` reserves the numbers of fields that were dropped.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, dataclass_transform

from google.protobuf import descriptor_pool, message_factory, symbol_database
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.message import Message as ProtobufMessage

from headrace.schemas.message_descriptor import BODY, Body, Builder, Enum, Field, MessageError, Undeclared, Waiting

__all__ = ["Enum", "Message", "MessageError", "check_complete", "field", "has"]


def field(number: int, *, kind: str = "", oneof: str = "") -> Any:
    """A field and its number. The number identifies the field in the bytes, so it can never change.

    `kind` is the protobuf type of an int (int32, uint64, sint32, fixed64, …) or a float (float); `oneof` is the name of
    a group of fields of which at most one is set.
    """
    return Field(number, kind, oneof)


def has(message: ProtobufMessage, name: str) -> bool:
    """Whether a field is set. It must be optional, in a oneof, or a message; ValueError for any other field."""
    return message.HasField(name)


class _Meta(type):
    """Makes protobuf classes from class bodies."""

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        body: dict[str, Any],
        *,
        package: str = "",
        reserved: Sequence[int] = (),
    ) -> Any:
        if not bases:
            return super().__new__(mcs, name, bases, body)
        outer = body["__qualname__"].rpartition(".")[0]
        if outer and not outer.endswith("<locals>"):
            return type(name, (), {BODY: Body(name, "", body, reserved)})  # built with the message that contains it
        if not package:
            raise MessageError(f'{name}: names no package; write class {name}(Message, package="library.v1")')
        return _declare(Body(name, package, body, reserved), local=bool(outer))


if TYPE_CHECKING:

    @dataclass_transform(kw_only_default=True)
    class Message(ProtobufMessage):
        """Base of messages declared in Python; see the module."""

        def __init_subclass__(cls, *, package: str = "", reserved: Sequence[int] = ()) -> None: ...
else:

    class Message(metaclass=_Meta):
        """Base of messages declared in Python; see the module."""


# ---- messages that refer to each other


_WAITING: dict[str, dict[str, tuple[Body, type]]] = {}
"""Bodies that refer to messages that are not declared yet, with their placeholders, by module and name."""


def _declare(body: Body, *, local: bool) -> Any:
    """The class of a body; or a placeholder, until the messages that it refers to are declared."""
    waiting = _WAITING.setdefault(body.module, {})
    waiting.pop(body.name, None)
    try:
        made = _build([(body, None)])[0]
    except Undeclared as missing:
        if local:  # nobody could find the class afterwards
            raise MessageError(str(missing)) from None
        content = {**body.nested, "__doc__": str(missing), "__module__": body.module}
        waiting[body.name] = body, Waiting(body.name, (), content)
        return _complete(body.module).get(body.name) or waiting[body.name][1]
    if waiting:
        setattr(sys.modules[body.module], body.name, made)  # bodies that waited for it look it up there
        _complete(body.module)
    return made


def _complete(module: str) -> dict[str, Any]:
    """Build the bodies that wait for nothing any more, and replace their placeholders."""
    waiting = _WAITING[module]
    ready = dict(waiting)
    while ready:
        try:
            made = _build(list(ready.values()))
        except Undeclared as missing:
            del ready[missing.name]
            continue
        for name, one in zip(ready, made, strict=True):
            del waiting[name]
            setattr(sys.modules[module], name, one)
        return dict(zip(ready, made, strict=True))
    return {}


def check_complete(module: str) -> None:
    """Raises MessageError if a message of a module refers to another one that is not declared."""
    for _, stand_in in _WAITING.get(module, {}).values():
        raise MessageError(stand_in.__doc__)


# ---- classes


def _build(bodies: Sequence[tuple[Body, type | None]]) -> list[type[ProtobufMessage]]:
    """The classes of bodies that may refer to each other, in one file, as protobuf requires. Raises Undeclared."""
    first = bodies[0][0]
    file = FileDescriptorProto(name=f"{first.package}.{first.name}.proto", package=first.package, syntax="proto3")
    builder = Builder(file, {stand_in: body for body, stand_in in bodies if stand_in is not None})
    for body, _ in bodies:
        file.message_type.append(builder.message(body, f"{body.package}.{body.name}"))
    found = _register(file)
    for (body, _), made in zip(bodies, found, strict=True):
        _name(made, body.module, body.content["__qualname__"], body.content.get("__doc__"))
    return found


def _register(file: FileDescriptorProto) -> list[type[ProtobufMessage]]:
    pool = descriptor_pool.Default()
    names = [f"{file.package}.{message.name}" for message in file.message_type]
    try:
        known = [pool.FindMessageTypeByName(name) for name in names]
    except KeyError:
        pool.AddSerializedFile(file.SerializeToString())
        known = [pool.FindMessageTypeByName(name) for name in names]
    for declared, one in zip(file.message_type, known, strict=True):
        before = DescriptorProto()
        one.CopyToProto(before)
        _without_json_names(before)
        if before != declared:
            raise MessageError(
                f"{one.full_name}: there is another message of this name with other fields, from {one.file.name}; give "
                "one of them another name or package, or start Python anew if you have changed it"
            )
    return [message_factory.GetMessageClass(one) for one in known]


def _without_json_names(message: DescriptorProto) -> None:
    for one in message.field:
        one.ClearField("json_name")
    for nested in message.nested_type:
        _without_json_names(nested)


def _name(made: type[Any], module: str, qualname: str, doc: str | None) -> None:
    """Set where the class was declared, for pickle and for people."""
    made.__module__, made.__qualname__ = module, qualname
    symbol_database.Default().RegisterMessage(made)
    if doc:
        made.__doc__ = doc
    for nested in made.DESCRIPTOR.nested_types:
        if not nested.GetOptions().map_entry:
            _name(getattr(made, nested.name), module, f"{qualname}.{nested.name}", None)
