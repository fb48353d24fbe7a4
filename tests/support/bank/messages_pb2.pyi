from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Account(_message.Message):
    __slots__ = ("balance", "count", "owner", "note", "ballast", "pockets")
    class PocketsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    BALLAST_FIELD_NUMBER: _ClassVar[int]
    POCKETS_FIELD_NUMBER: _ClassVar[int]
    balance: int
    count: int
    owner: str
    note: str
    ballast: bytes
    pockets: _containers.ScalarMap[str, int]
    def __init__(self, balance: _Optional[int] = ..., count: _Optional[int] = ..., owner: _Optional[str] = ..., note: _Optional[str] = ..., ballast: _Optional[bytes] = ..., pockets: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("owner",)
    OWNER_FIELD_NUMBER: _ClassVar[int]
    owner: str
    def __init__(self, owner: _Optional[str] = ...) -> None: ...

class Deposit(_message.Message):
    __slots__ = ("amount",)
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    amount: int
    def __init__(self, amount: _Optional[int] = ...) -> None: ...

class Withdraw(_message.Message):
    __slots__ = ("amount",)
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    amount: int
    def __init__(self, amount: _Optional[int] = ...) -> None: ...

class Annotate(_message.Message):
    __slots__ = ("note",)
    NOTE_FIELD_NUMBER: _ClassVar[int]
    note: str
    def __init__(self, note: _Optional[str] = ...) -> None: ...

class Stash(_message.Message):
    __slots__ = ("pocket", "amount")
    POCKET_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    pocket: str
    amount: int
    def __init__(self, pocket: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...

class Transfer(_message.Message):
    __slots__ = ("amounts",)
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    amounts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, amounts: _Optional[_Iterable[int]] = ...) -> None: ...

class Touch(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Burst(_message.Message):
    __slots__ = ("how",)
    HOW_FIELD_NUMBER: _ClassVar[int]
    how: str
    def __init__(self, how: _Optional[str] = ...) -> None: ...

class Swell(_message.Message):
    __slots__ = ("bytes", "times")
    BYTES_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    times: int
    def __init__(self, bytes: _Optional[int] = ..., times: _Optional[int] = ...) -> None: ...

class Opened(_message.Message):
    __slots__ = ("owner",)
    OWNER_FIELD_NUMBER: _ClassVar[int]
    owner: str
    def __init__(self, owner: _Optional[str] = ...) -> None: ...

class Deposited(_message.Message):
    __slots__ = ("amount", "balance")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    amount: int
    balance: int
    def __init__(self, amount: _Optional[int] = ..., balance: _Optional[int] = ...) -> None: ...

class Withdrawn(_message.Message):
    __slots__ = ("amount", "balance")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    amount: int
    balance: int
    def __init__(self, amount: _Optional[int] = ..., balance: _Optional[int] = ...) -> None: ...

class Annotated(_message.Message):
    __slots__ = ("note", "by", "luck", "at")
    NOTE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    LUCK_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    note: str
    by: str
    luck: float
    at: str
    def __init__(self, note: _Optional[str] = ..., by: _Optional[str] = ..., luck: _Optional[float] = ..., at: _Optional[str] = ...) -> None: ...

class Stashed(_message.Message):
    __slots__ = ("pocket", "amount")
    POCKET_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    pocket: str
    amount: int
    def __init__(self, pocket: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...

class Swollen(_message.Message):
    __slots__ = ("ballast",)
    BALLAST_FIELD_NUMBER: _ClassVar[int]
    ballast: bytes
    def __init__(self, ballast: _Optional[bytes] = ...) -> None: ...

class Poison(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Stranger(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
