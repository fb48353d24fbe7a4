import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Suit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NONE: _ClassVar[Suit]
    CLUBS: _ClassVar[Suit]
    SPADES: _ClassVar[Suit]
    TRUMP: _ClassVar[Suit]
NONE: Suit
CLUBS: Suit
SPADES: Suit
TRUMP: Suit

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Leaf(_message.Message):
    __slots__ = ("name", "rank")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    name: str
    rank: int
    def __init__(self, name: _Optional[str] = ..., rank: _Optional[int] = ...) -> None: ...

class Tree(_message.Message):
    __slots__ = ("leaf", "only", "branches", "named")
    class NamedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Tree
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Tree, _Mapping]] = ...) -> None: ...
    LEAF_FIELD_NUMBER: _ClassVar[int]
    ONLY_FIELD_NUMBER: _ClassVar[int]
    BRANCHES_FIELD_NUMBER: _ClassVar[int]
    NAMED_FIELD_NUMBER: _ClassVar[int]
    leaf: Leaf
    only: Tree
    branches: _containers.RepeatedCompositeFieldContainer[Tree]
    named: _containers.MessageMap[str, Tree]
    def __init__(self, leaf: _Optional[_Union[Leaf, _Mapping]] = ..., only: _Optional[_Union[Tree, _Mapping]] = ..., branches: _Optional[_Iterable[_Union[Tree, _Mapping]]] = ..., named: _Optional[_Mapping[str, Tree]] = ...) -> None: ...

class Shapes(_message.Message):
    __slots__ = ("a_bool", "an_int32", "an_int64", "a_uint32", "a_uint64", "a_sint32", "a_sint64", "a_fixed32", "a_fixed64", "a_sfixed32", "a_sfixed64", "a_float", "a_double", "a_string", "a_bytes", "suit", "inner", "leaf", "time", "maybe_bool", "maybe_uint64", "maybe_double", "maybe_string", "maybe_bytes", "maybe_suit", "int64s", "uint64s", "floats", "strings", "suits", "leaves", "empties", "counts", "leaf_by_name", "suit_by_number", "uint64_by_bool", "bytes_by_number", "text", "chosen", "number", "trump", "tree", "empty")
    class Inner(_message.Message):
        __slots__ = ("suit", "data")
        SUIT_FIELD_NUMBER: _ClassVar[int]
        DATA_FIELD_NUMBER: _ClassVar[int]
        suit: Suit
        data: bytes
        def __init__(self, suit: _Optional[_Union[Suit, str]] = ..., data: _Optional[bytes] = ...) -> None: ...
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LeafByNameEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Leaf
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Leaf, _Mapping]] = ...) -> None: ...
    class SuitByNumberEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: Suit
        def __init__(self, key: _Optional[int] = ..., value: _Optional[_Union[Suit, str]] = ...) -> None: ...
    class Uint64ByBoolEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: bool
        value: int
        def __init__(self, key: _Optional[bool] = ..., value: _Optional[int] = ...) -> None: ...
    class BytesByNumberEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: bytes
        def __init__(self, key: _Optional[int] = ..., value: _Optional[bytes] = ...) -> None: ...
    A_BOOL_FIELD_NUMBER: _ClassVar[int]
    AN_INT32_FIELD_NUMBER: _ClassVar[int]
    AN_INT64_FIELD_NUMBER: _ClassVar[int]
    A_UINT32_FIELD_NUMBER: _ClassVar[int]
    A_UINT64_FIELD_NUMBER: _ClassVar[int]
    A_SINT32_FIELD_NUMBER: _ClassVar[int]
    A_SINT64_FIELD_NUMBER: _ClassVar[int]
    A_FIXED32_FIELD_NUMBER: _ClassVar[int]
    A_FIXED64_FIELD_NUMBER: _ClassVar[int]
    A_SFIXED32_FIELD_NUMBER: _ClassVar[int]
    A_SFIXED64_FIELD_NUMBER: _ClassVar[int]
    A_FLOAT_FIELD_NUMBER: _ClassVar[int]
    A_DOUBLE_FIELD_NUMBER: _ClassVar[int]
    A_STRING_FIELD_NUMBER: _ClassVar[int]
    A_BYTES_FIELD_NUMBER: _ClassVar[int]
    SUIT_FIELD_NUMBER: _ClassVar[int]
    INNER_FIELD_NUMBER: _ClassVar[int]
    LEAF_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    MAYBE_BOOL_FIELD_NUMBER: _ClassVar[int]
    MAYBE_UINT64_FIELD_NUMBER: _ClassVar[int]
    MAYBE_DOUBLE_FIELD_NUMBER: _ClassVar[int]
    MAYBE_STRING_FIELD_NUMBER: _ClassVar[int]
    MAYBE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAYBE_SUIT_FIELD_NUMBER: _ClassVar[int]
    INT64S_FIELD_NUMBER: _ClassVar[int]
    UINT64S_FIELD_NUMBER: _ClassVar[int]
    FLOATS_FIELD_NUMBER: _ClassVar[int]
    STRINGS_FIELD_NUMBER: _ClassVar[int]
    SUITS_FIELD_NUMBER: _ClassVar[int]
    LEAVES_FIELD_NUMBER: _ClassVar[int]
    EMPTIES_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    LEAF_BY_NAME_FIELD_NUMBER: _ClassVar[int]
    SUIT_BY_NUMBER_FIELD_NUMBER: _ClassVar[int]
    UINT64_BY_BOOL_FIELD_NUMBER: _ClassVar[int]
    BYTES_BY_NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TRUMP_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    EMPTY_FIELD_NUMBER: _ClassVar[int]
    a_bool: bool
    an_int32: int
    an_int64: int
    a_uint32: int
    a_uint64: int
    a_sint32: int
    a_sint64: int
    a_fixed32: int
    a_fixed64: int
    a_sfixed32: int
    a_sfixed64: int
    a_float: float
    a_double: float
    a_string: str
    a_bytes: bytes
    suit: Suit
    inner: Shapes.Inner
    leaf: Leaf
    time: _timestamp_pb2.Timestamp
    maybe_bool: bool
    maybe_uint64: int
    maybe_double: float
    maybe_string: str
    maybe_bytes: bytes
    maybe_suit: Suit
    int64s: _containers.RepeatedScalarFieldContainer[int]
    uint64s: _containers.RepeatedScalarFieldContainer[int]
    floats: _containers.RepeatedScalarFieldContainer[float]
    strings: _containers.RepeatedScalarFieldContainer[str]
    suits: _containers.RepeatedScalarFieldContainer[Suit]
    leaves: _containers.RepeatedCompositeFieldContainer[Leaf]
    empties: _containers.RepeatedCompositeFieldContainer[Empty]
    counts: _containers.ScalarMap[str, int]
    leaf_by_name: _containers.MessageMap[str, Leaf]
    suit_by_number: _containers.ScalarMap[int, Suit]
    uint64_by_bool: _containers.ScalarMap[bool, int]
    bytes_by_number: _containers.ScalarMap[int, bytes]
    text: str
    chosen: Leaf
    number: int
    trump: Suit
    tree: Tree
    empty: Empty
    def __init__(self, a_bool: _Optional[bool] = ..., an_int32: _Optional[int] = ..., an_int64: _Optional[int] = ..., a_uint32: _Optional[int] = ..., a_uint64: _Optional[int] = ..., a_sint32: _Optional[int] = ..., a_sint64: _Optional[int] = ..., a_fixed32: _Optional[int] = ..., a_fixed64: _Optional[int] = ..., a_sfixed32: _Optional[int] = ..., a_sfixed64: _Optional[int] = ..., a_float: _Optional[float] = ..., a_double: _Optional[float] = ..., a_string: _Optional[str] = ..., a_bytes: _Optional[bytes] = ..., suit: _Optional[_Union[Suit, str]] = ..., inner: _Optional[_Union[Shapes.Inner, _Mapping]] = ..., leaf: _Optional[_Union[Leaf, _Mapping]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., maybe_bool: _Optional[bool] = ..., maybe_uint64: _Optional[int] = ..., maybe_double: _Optional[float] = ..., maybe_string: _Optional[str] = ..., maybe_bytes: _Optional[bytes] = ..., maybe_suit: _Optional[_Union[Suit, str]] = ..., int64s: _Optional[_Iterable[int]] = ..., uint64s: _Optional[_Iterable[int]] = ..., floats: _Optional[_Iterable[float]] = ..., strings: _Optional[_Iterable[str]] = ..., suits: _Optional[_Iterable[_Union[Suit, str]]] = ..., leaves: _Optional[_Iterable[_Union[Leaf, _Mapping]]] = ..., empties: _Optional[_Iterable[_Union[Empty, _Mapping]]] = ..., counts: _Optional[_Mapping[str, int]] = ..., leaf_by_name: _Optional[_Mapping[str, Leaf]] = ..., suit_by_number: _Optional[_Mapping[int, Suit]] = ..., uint64_by_bool: _Optional[_Mapping[bool, int]] = ..., bytes_by_number: _Optional[_Mapping[int, bytes]] = ..., text: _Optional[str] = ..., chosen: _Optional[_Union[Leaf, _Mapping]] = ..., number: _Optional[int] = ..., trump: _Optional[_Union[Suit, str]] = ..., tree: _Optional[_Union[Tree, _Mapping]] = ..., empty: _Optional[_Union[Empty, _Mapping]] = ...) -> None: ...
