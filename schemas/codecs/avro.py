"""Avro for protobuf messages: a schema derived from the descriptor, and values in Avro's binary encoding.

docs/record-format.md describes the mapping, for people who write the other side.
"""

from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any, NamedTuple, TypeVar

import fastavro
from fastavro import _read_py
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

_SCALARS = {
    FieldDescriptor.CPPTYPE_BOOL: "boolean",
    FieldDescriptor.CPPTYPE_INT32: "int",
    FieldDescriptor.CPPTYPE_UINT32: "long",
    FieldDescriptor.CPPTYPE_INT64: "long",
    FieldDescriptor.CPPTYPE_UINT64: "long",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
    FieldDescriptor.CPPTYPE_DOUBLE: "double",
}


def schema(message_type: type[Message]) -> dict[str, Any]:
    """The Avro schema of `message_type`, as JSON has it; fields are in the order of their numbers."""
    derived: dict[str, Any] = _record(message_type.DESCRIPTOR, {}, [])
    return derived


def encode(message: Message) -> bytes:
    """`message` in Avro's binary encoding, without the schema.

    Raises ValueError, with the field's name, for an enum number without a name. Fields that the message type does not
    know are left out.
    """
    parsed, _ = _parsed(message.DESCRIPTOR)
    out = BytesIO()
    fastavro.schemaless_writer(out, parsed, _to_plain(message))
    return out.getvalue()


def decode(data: bytes, message_type: type[M]) -> M:
    """The reverse of `encode`; `data` must have been written with exactly `schema(message_type)`.

    Other data raise an error, mostly ValueError; fastavro has no error class of its own for malformed data.
    """
    parsed, read = _parsed(message_type.DESCRIPTOR)
    if read is _read_py.schemaless_reader and len(data) > _LARGEST_RECURSIVE:
        raise ValueError(
            f"{len(data)} bytes of Avro for a message that holds itself; at most {_LARGEST_RECURSIVE} are read, since "
            "more may take its square in time: use protobuf or JSON"
        )
    stream = BytesIO(data)
    try:
        plain = read(stream, parsed)
    except (EOFError, IndexError) as error:
        raise ValueError(f"the data ends too early, or is of another schema ({error!r})") from None
    if rest := len(data) - stream.tell():
        raise ValueError(f"{rest} bytes are left over after the message")
    message = message_type()
    _fill(message, plain)
    return message


_LARGEST_RECURSIVE = 100_000


@cache
def _parsed(descriptor: Descriptor) -> tuple[Any, Callable[..., Any]]:
    cycles: list[str] = []
    parsed = fastavro.parse_schema(_record(descriptor, {}, cycles))
    # A few kilobytes that nest a recursive type thousands deep overflow the C stack of fastavro's compiled reader
    # and end the process; its reader in Python raises RecursionError instead.
    return parsed, _read_py.schemaless_reader if cycles else fastavro.schemaless_reader


# ---- schema


def _record(descriptor: Any, known: dict[str, bool], cycles: list[str]) -> Any:
    """Schema of a message, or its name if it is in `known`, where True means not complete yet, and so recursive."""
    name = descriptor.full_name
    if name in known:
        if known[name]:
            cycles.append(name)
        return name
    known[name] = True
    fields = [{"name": f.name, "type": _type(f, known, cycles)} for f in _by_number(descriptor)]
    known[name] = False
    return {"type": "record", "name": name, "fields": fields}


def _type(field: FieldDescriptor, known: dict[str, bool], cycles: list[str]) -> Any:
    if (entry := _map_entry(field)) is not None:
        return {"type": "map", "values": _single(entry.fields_by_name["value"], known, cycles)}
    single = _single(field, known, cycles)
    if field.is_repeated:
        if field.message_type is not None and not field.message_type.fields:
            # An empty record takes no bytes, so an input could claim any number of them.
            single = ["null", single]
        return {"type": "array", "items": single}
    return ["null", single] if field.has_presence else single


def _single(field: FieldDescriptor, known: dict[str, bool], cycles: list[str]) -> Any:
    if field.message_type is not None:
        return _record(field.message_type, known, cycles)
    if (enum := field.enum_type) is not None:
        if enum.full_name in known:
            return enum.full_name
        known[enum.full_name] = False
        symbols = [value.name for value in sorted(enum.values, key=lambda v: v.number)]
        return {"type": "enum", "name": enum.full_name, "symbols": symbols}
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return "bytes" if field.type == FieldDescriptor.TYPE_BYTES else "string"
    return _SCALARS[field.cpp_type]


def _by_number(descriptor: Descriptor) -> list[FieldDescriptor]:
    return sorted(descriptor.fields, key=lambda f: f.number)


def _map_entry(field: FieldDescriptor) -> Descriptor | None:
    entry = field.message_type
    return entry if entry is not None and entry.GetOptions().map_entry else None


# ---- values: what fastavro takes and gives, from and into messages


class _Field(NamedTuple):
    """What converting a field needs to know; reading descriptors each time would cost more than the conversion."""

    name: str
    nullable: bool
    oneof: str
    shape: str
    """`map`, `list` or `one`."""
    nested: str
    """Full name of the message that the field holds, empty for scalars."""
    key: Callable[[str], Any]
    out: Callable[[Any], Any]
    back: Callable[[Any], Any]


def _to_plain(message: Message) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, nullable, _, shape, nested, _, out, _ in _fields(message.DESCRIPTOR):
        if nullable and not message.HasField(name):
            plain[name] = None
            continue
        value = getattr(message, name)
        if shape == "map":
            plain[name] = {_key_text(key): out(value[key]) for key in value}
        elif shape == "list":
            plain[name] = [out(item) for item in value]
        else:
            plain[name] = (nested, out(value)) if nested else out(value)  # the pair names the union's branch
    return plain


def _fill(message: Message, plain: dict[str, Any]) -> None:
    for field in _fields(message.DESCRIPTOR):
        value = plain[field.name]
        if value is None:
            continue
        try:
            if field.oneof and (other := message.WhichOneof(field.oneof)):
                raise ValueError(f"{field.oneof} holds {other} already, and can hold only one")
            _set(message, field, value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{field.name}: {error}") from None


def _set(message: Message, field: _Field, value: Any) -> None:
    name, _, _, shape, nested, key, _, back = field
    if shape == "one" and not nested:
        setattr(message, name, back(value))
        return
    target = getattr(message, name)
    if shape == "map":
        for text, item in value.items():
            if nested:
                _fill(target[key(text)], item)
            else:
                target[key(text)] = back(item)
    elif shape == "list":
        for item in value:
            if nested:
                _fill(target.add(), item or {})
            else:
                target.append(back(item))
    else:
        target.SetInParent()
        _fill(target, value)


@cache
def _fields(descriptor: Descriptor) -> tuple[_Field, ...]:
    return tuple(_field(f) for f in _by_number(descriptor))


def _field(field: FieldDescriptor) -> _Field:
    oneof = field.containing_oneof.name if field.containing_oneof is not None else ""
    shape, held = "list" if field.is_repeated else "one", field
    key: Callable[[str], Any] = str
    if (entry := _map_entry(field)) is not None:
        shape, held = "map", entry.fields_by_name["value"]
        key = _key_reader(entry.fields_by_name["key"])
    nested = held.message_type.full_name if held.message_type is not None else ""
    out, back = (_to_plain, _same) if nested else _scalar(held)
    return _Field(field.name, field.has_presence, oneof, shape, nested, key, out, back)


def _scalar(field: FieldDescriptor) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    if (enum := field.enum_type) is not None:
        names = {value.number: value.name for value in enum.values}
        numbers = {value.name: value.number for value in enum.values}

        def name_of(number: int) -> str:
            if number not in names:
                raise ValueError(f"{field.name}: {number} has no name in {enum.full_name}, and Avro carries the name")
            return names[number]

        return name_of, numbers.__getitem__
    if field.cpp_type == FieldDescriptor.CPPTYPE_UINT64:
        # Avro has no unsigned long: the same 64 bits, read as a signed number.
        return lambda value: value - (value >> 63 << 64), lambda value: value % (1 << 64)
    return _same, _same


def _same(value: Any) -> Any:
    return value


def _key_text(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _key_reader(field: FieldDescriptor) -> Callable[[str], Any]:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return str
    read: Callable[[str], Any] = int
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        read = {"true": True, "false": False}.get

    def key(text: str) -> Any:
        value = read(text)
        if _key_text(value) != text:  # " 1" and "01" would be doubles of "1"
            raise ValueError(f"{text!r} cannot be a key")
        return value

    return key
