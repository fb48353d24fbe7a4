"""Messages as the text of a .proto file, and which changes between two such files are forbidden."""

from collections.abc import Iterable, Iterator, Sequence

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.message import Message

_Proto = FieldDescriptorProto


def proto_text(package: str, messages: Sequence[type[Message]]) -> str:
    """The .proto file of a package: these messages, the enums that they use, and imports of everything else."""
    types: list[DescriptorProto] = []
    enums: dict[str, EnumDescriptorProto] = {}
    imports: dict[str, None] = {}
    mine = {message.DESCRIPTOR.full_name for message in messages}
    for message in messages:
        proto = DescriptorProto()
        message.DESCRIPTOR.CopyToProto(proto)
        types.append(proto)
        for file in message.DESCRIPTOR.file.dependencies:
            if file.package != package:
                imports[file.name] = None
            for name, enum in file.enum_types_by_name.items():
                if file.package == package and name not in enums:
                    enums[name] = EnumDescriptorProto()
                    enum.CopyToProto(enums[name])
            for other in file.message_types_by_name.values():
                if file.package == package and other.full_name not in mine:
                    raise ValueError(f"{message.DESCRIPTOR.full_name} uses {other.full_name}, which is not among these")
    return "\n".join(_file(package, imports, enums.values(), types)) + "\n"


def _file(
    package: str, imports: Iterable[str], enums: Iterable[EnumDescriptorProto], types: Sequence[DescriptorProto]
) -> Iterator[str]:
    yield 'syntax = "proto3";'
    yield ""
    yield f"package {package};"
    for name in imports:
        yield f'import "{name}";'
    for enum in enums:
        yield ""
        yield from _enum(enum, "")
    for message in types:
        yield ""
        yield from _message(message, "")


def _enum(enum: EnumDescriptorProto, indent: str) -> Iterator[str]:
    yield f"{indent}enum {enum.name} {{"
    for value in enum.value:
        yield f"{indent}  {value.name} = {value.number};"
    yield f"{indent}}}"


def _message(message: DescriptorProto, indent: str) -> Iterator[str]:
    yield f"{indent}message {message.name} {{"
    inner = indent + "  "
    entries = {one.name: one for one in message.nested_type if one.options.map_entry}
    for nested in message.nested_type:
        if nested.name not in entries:
            yield from _message(nested, inner)
    for enum in message.enum_type:
        yield from _enum(enum, inner)
    for one in message.reserved_range:
        yield f"{inner}reserved {one.start};"
    groups = [oneof.name for oneof in message.oneof_decl]
    for field in message.field:
        if not field.HasField("oneof_index") or field.proto3_optional:
            yield f"{inner}{_field(field, entries)}"
    for index, name in enumerate(groups):
        members = [f for f in message.field if f.HasField("oneof_index") and f.oneof_index == index]
        if any(member.proto3_optional for member in members):
            continue
        yield f"{inner}oneof {name} {{"
        for member in members:
            yield f"{inner}  {_field(member, entries)}"
        yield f"{inner}}}"
    yield f"{indent}}}"


def _field(field: FieldDescriptorProto, entries: dict[str, DescriptorProto]) -> str:
    entry = entries.get(field.type_name.rpartition(".")[2]) if field.type == _Proto.TYPE_MESSAGE else None
    if entry is not None:
        key, value = entry.field
        return f"map<{_type(key)}, {_type(value)}> {field.name} = {field.number};"
    label = "repeated " if field.label == _Proto.LABEL_REPEATED else "optional " if field.proto3_optional else ""
    return f"{label}{_type(field)} {field.name} = {field.number};"


def _type(field: FieldDescriptorProto) -> str:
    return field.type_name or _Proto.Type.Name(field.type).removeprefix("TYPE_").lower()


def changes(before: FileDescriptorProto, after: FileDescriptorProto) -> list[str]:
    """Field numbers that now mean something else, or were dropped, one line each."""
    found: list[str] = []
    later = {message.name: message for message in after.message_type}
    for message in before.message_type:
        if message.name not in later:
            found.append(f"{message.name} is gone; its records are still on the logs")
        else:
            _compare(message.name, message, later[message.name], found)
    return found


def _compare(where: str, before: DescriptorProto, after: DescriptorProto, found: list[str]) -> None:
    now = {field.number: field for field in after.field}
    for field in before.field:
        other = now.get(field.number)
        reserved = any(one.start <= field.number < one.end for one in after.reserved_range)
        if other is None and not reserved:
            found.append(f"{where}.{field.name}: number {field.number} is gone; keep it, or reserve it")
        elif other is not None and _meaning(field) != _meaning(other):
            found.append(
                f"{where}: number {field.number} was {_meaning(field)} and is {_meaning(other)} now; "
                "give the new field a number of its own"
            )
    later = {nested.name: nested for nested in after.nested_type}
    for nested in before.nested_type:
        if nested.name in later:
            _compare(f"{where}.{nested.name}", nested, later[nested.name], found)


def _meaning(field: FieldDescriptorProto) -> str:
    repeated = "repeated " if field.label == _Proto.LABEL_REPEATED else ""
    return f"{repeated}{_type(field)} {field.name}"
