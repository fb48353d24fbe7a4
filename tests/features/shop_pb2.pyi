from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Order(_message.Message):
    __slots__ = ("items", "address", "paid", "cancelled")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedScalarFieldContainer[str]
    address: str
    paid: int
    cancelled: bool
    def __init__(self, items: _Optional[_Iterable[str]] = ..., address: _Optional[str] = ..., paid: _Optional[int] = ..., cancelled: _Optional[bool] = ...) -> None: ...

class PlaceOrder(_message.Message):
    __slots__ = ("items", "address", "seconds_to_pay", "sample")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_TO_PAY_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedScalarFieldContainer[str]
    address: str
    seconds_to_pay: int
    sample: str
    def __init__(self, items: _Optional[_Iterable[str]] = ..., address: _Optional[str] = ..., seconds_to_pay: _Optional[int] = ..., sample: _Optional[str] = ...) -> None: ...

class CancelOrder(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class OrderExtra(_message.Message):
    __slots__ = ("extra", "text")
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    extra: str
    text: str
    def __init__(self, extra: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class PaymentReceived(_message.Message):
    __slots__ = ("amount",)
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    amount: int
    def __init__(self, amount: _Optional[int] = ...) -> None: ...

class OrderPlaced(_message.Message):
    __slots__ = ("order", "items", "address", "seconds_to_pay", "sample")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_TO_PAY_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    order: str
    items: _containers.RepeatedScalarFieldContainer[str]
    address: str
    seconds_to_pay: int
    sample: str
    def __init__(self, order: _Optional[str] = ..., items: _Optional[_Iterable[str]] = ..., address: _Optional[str] = ..., seconds_to_pay: _Optional[int] = ..., sample: _Optional[str] = ...) -> None: ...

class OrderCancelled(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class ExtraOrdered(_message.Message):
    __slots__ = ("extra", "text")
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    extra: str
    text: str
    def __init__(self, extra: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class OrderPaid(_message.Message):
    __slots__ = ("amount",)
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    amount: int
    def __init__(self, amount: _Optional[int] = ...) -> None: ...

class ItemUnavailable(_message.Message):
    __slots__ = ("item", "reason", "ordered_in")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ORDERED_IN_FIELD_NUMBER: _ClassVar[int]
    item: str
    reason: str
    ordered_in: int
    def __init__(self, item: _Optional[str] = ..., reason: _Optional[str] = ..., ordered_in: _Optional[int] = ...) -> None: ...

class Stock(_message.Message):
    __slots__ = ("count", "code", "reason")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    count: int
    code: str
    reason: str
    def __init__(self, count: _Optional[int] = ..., code: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Restock(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class CloseItem(_message.Message):
    __slots__ = ("code", "reason")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    code: str
    reason: str
    def __init__(self, code: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReserveItem(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: str
    def __init__(self, order: _Optional[str] = ...) -> None: ...

class Restocked(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class ItemClosed(_message.Message):
    __slots__ = ("code", "reason")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    code: str
    reason: str
    def __init__(self, code: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ItemReserved(_message.Message):
    __slots__ = ("order", "left")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    order: str
    left: int
    def __init__(self, order: _Optional[str] = ..., left: _Optional[int] = ...) -> None: ...

class CratesDelivered(_message.Message):
    __slots__ = ("crates",)
    CRATES_FIELD_NUMBER: _ClassVar[int]
    crates: int
    def __init__(self, crates: _Optional[int] = ...) -> None: ...

class BoxesUnloaded(_message.Message):
    __slots__ = ("boxes",)
    BOXES_FIELD_NUMBER: _ClassVar[int]
    boxes: int
    def __init__(self, boxes: _Optional[int] = ...) -> None: ...

class ItemsCounted(_message.Message):
    __slots__ = ("note",)
    NOTE_FIELD_NUMBER: _ClassVar[int]
    note: str
    def __init__(self, note: _Optional[str] = ...) -> None: ...

class ItemsMoved(_message.Message):
    __slots__ = ("boxes", "code", "to")
    BOXES_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    boxes: int
    code: str
    to: str
    def __init__(self, boxes: _Optional[int] = ..., code: _Optional[str] = ..., to: _Optional[str] = ...) -> None: ...

class GiftOrdered(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Workshop(_message.Message):
    __slots__ = ("made",)
    MADE_FIELD_NUMBER: _ClassVar[int]
    made: int
    def __init__(self, made: _Optional[int] = ...) -> None: ...

class MakeExtra(_message.Message):
    __slots__ = ("extra", "text")
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    extra: str
    text: str
    def __init__(self, extra: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class ExtraMade(_message.Message):
    __slots__ = ("extra", "text")
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    extra: str
    text: str
    def __init__(self, extra: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Parcel(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: str
    def __init__(self, address: _Optional[str] = ...) -> None: ...

class ShipParcel(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: str
    def __init__(self, address: _Optional[str] = ...) -> None: ...

class ParcelShipped(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: str
    def __init__(self, address: _Optional[str] = ...) -> None: ...

class Fulfilment(_message.Message):
    __slots__ = ("order", "paid", "reserved", "ended")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    order: str
    paid: bool
    reserved: bool
    ended: bool
    def __init__(self, order: _Optional[str] = ..., paid: _Optional[bool] = ..., reserved: _Optional[bool] = ..., ended: _Optional[bool] = ...) -> None: ...

class PaymentOverdue(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FulfilmentStarted(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: str
    def __init__(self, order: _Optional[str] = ...) -> None: ...

class PaymentSeen(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReservationSeen(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShippingAsked(_message.Message):
    __slots__ = ("address", "order_sequence")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ORDER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    address: str
    order_sequence: int
    def __init__(self, address: _Optional[str] = ..., order_sequence: _Optional[int] = ...) -> None: ...

class ShippingRefused(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class PaymentMissed(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FulfilmentEnded(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
