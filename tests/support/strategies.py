"""Hypothesis strategies for messages, made from their descriptors."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

# JSON of protobuf writes the largest float rounded up, and then refuses to read it
_LARGEST = 3.4028234663852886e38
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32, allow_nan=False).filter(lambda x: abs(x) != _LARGEST),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(allow_nan=False),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
}


def messages(message_type: Any, depth: int = 3) -> st.SearchStrategy[Any]:
    """Messages with any of their fields set, and messages within messages down to `depth`."""
    if message_type.DESCRIPTOR.full_name == "google.protobuf.Timestamp":  # JSON carries the years 1 to 9999
        seconds = st.integers(-62_135_596_800, 253_402_300_799)
        return st.builds(message_type, seconds=seconds, nanos=st.integers(0, 999_999_999))
    fields = [f for f in message_type.DESCRIPTOR.fields if depth > 0 or f.message_type is None]
    return st.fixed_dictionaries({}, optional={f.name: _field(f, depth) for f in fields}).map(
        lambda values: _message(message_type, values)
    )


def _message(message_type: Any, values: dict[str, Any]) -> Message:
    message: Message = message_type()
    for name, value in values.items():  # one after the other: of a oneof, the last is kept
        message.MergeFrom(message_type(**{name: value}))
    return message


def _field(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        return st.dictionaries(_single(key, depth), _single(value, depth), max_size=2)
    single = _single(field, depth)
    return st.lists(single, max_size=3) if field.is_repeated else single


def _single(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return messages(GetMessageClass(field.message_type), depth - 1)
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return st.binary(max_size=8) if field.type == FieldDescriptor.TYPE_BYTES else st.text(max_size=8)
    return _SCALARS[field.cpp_type]
