"""The example domain of the features, in Python: what README.md says that every binding must provide."""

from collections.abc import Iterator
from datetime import timedelta

from headrace import (
    Aggregate,
    Cancel,
    Cascade,
    CascadeCompensation,
    Context,
    EventContext,
    Flag,
    ProcessContext,
    ProcessManager,
    Rejected,
    Rejection,
    Saga,
    Schedule,
    Send,
    StateOf,
    Topology,
    Upcaster,
    applies,
    compensates,
    handles,
    reacts,
    records,
    upcasts,
)
from tests.features import shop_pb2 as pb
from tests.features.faults import faults as faults
from tests.features.shop_projectors import Demand, OrderPages, WiderOrderPages

# ---- aggregates


class Orders(Aggregate[pb.Order]):
    domain = "order"
    isolated = True

    @handles
    def place(self, state: pb.Order, command: pb.PlaceOrder, context: Context) -> pb.OrderPlaced:
        if state.items:
            raise Rejected("it is placed already")
        return pb.OrderPlaced(
            order=context.root,
            items=command.items,
            address=command.address,
            seconds_to_pay=command.seconds_to_pay,
            sample=command.sample,
        )

    @handles
    def cancel(self, state: pb.Order, command: pb.CancelOrder) -> pb.OrderCancelled:
        if state.cancelled:
            raise Rejected("it is cancelled already")
        return pb.OrderCancelled(reason=command.reason)

    @handles
    def extra(self, state: pb.Order, command: pb.OrderExtra) -> pb.ExtraOrdered:
        return pb.ExtraOrdered(extra=command.extra, text=command.text)

    @records
    def payment(self, state: pb.Order, fact: pb.PaymentReceived) -> pb.OrderPaid:
        if fact.amount < 0:
            raise Rejected("nobody pays less than nothing")
        return pb.OrderPaid(amount=fact.amount)

    @compensates
    def unavailable(self, state: pb.Order, command: pb.ReserveItem, refusal: Rejection) -> pb.ItemUnavailable | Flag:
        flags = {
            "discontinued": Flag.REVOKE,
            "miscounted": Flag.DEAD_LETTER,
            "recalled": Flag.ESCALATE,
            "embargoed": Flag.ABORT,
        }
        return flags.get(refusal.code) or pb.ItemUnavailable(
            item=refusal.root, reason=refusal.reason, ordered_in=refusal.sequence
        )

    @applies
    def placed(self, state: pb.Order, event: pb.OrderPlaced) -> None:
        state.items.extend(event.items)
        state.address = event.address

    @applies
    def cancelled(self, state: pb.Order, event: pb.OrderCancelled) -> None:
        state.cancelled = True

    @applies
    def paid(self, state: pb.Order, event: pb.OrderPaid) -> None:
        state.paid += event.amount

    @applies
    def noted(self, state: pb.Order, event: pb.ExtraOrdered | pb.ItemUnavailable) -> None:
        return None


class Stocks(Aggregate[pb.Stock]):
    domain = "stock"

    @handles
    def restock(self, state: pb.Stock, command: pb.Restock) -> pb.Restocked:
        return pb.Restocked(count=command.count)

    @handles
    def close(self, state: pb.Stock, command: pb.CloseItem) -> pb.ItemClosed:
        return pb.ItemClosed(code=command.code, reason=command.reason)

    @handles
    def reserve(self, state: pb.Stock, command: pb.ReserveItem, context: Context) -> pb.ItemReserved:
        faults.meet("stock", context.root)
        if state.code:
            raise Rejected(state.reason, code=state.code)
        if state.count < 1:
            raise Rejected("none is left", code="sold-out")
        return pb.ItemReserved(order=command.order, left=state.count - 1)

    @applies
    def restocked(self, state: pb.Stock, event: pb.Restocked) -> None:
        state.count += event.count

    @applies
    def closed(self, state: pb.Stock, event: pb.ItemClosed) -> None:
        state.code, state.reason = event.code, event.reason

    @applies
    def reserved(self, state: pb.Stock, event: pb.ItemReserved) -> None:
        state.count = event.left


class Workshops(Aggregate[pb.Workshop]):
    domain = "workshop"

    @handles
    def make(self, state: pb.Workshop, command: pb.MakeExtra) -> pb.ExtraMade:
        if not command.text:
            raise Rejected(f"{command.extra} needs a text")
        return pb.ExtraMade(extra=command.extra, text=command.text)

    @applies
    def made(self, state: pb.Workshop, event: pb.ExtraMade) -> None:
        state.made += 1


class Parcels(Aggregate[pb.Parcel]):
    domain = "parcel"

    @handles
    def ship(self, state: pb.Parcel, command: pb.ShipParcel) -> pb.ParcelShipped:
        if not command.address:
            raise Rejected("there is no address")
        return pb.ParcelShipped(address=command.address)

    @applies
    def shipped(self, state: pb.Parcel, event: pb.ParcelShipped) -> None:
        state.address = event.address


# ---- sagas


class Picking(Saga):
    """Has each item of an order reserved."""

    name = "picking"
    source = "order"
    begin = "oldest"

    @reacts
    def placed(self, event: pb.OrderPlaced, context: EventContext) -> Iterator[Send[pb.ReserveItem]]:
        faults.meet("picking", context.root)
        for item in event.items:
            yield Send("stock", item, pb.ReserveItem(order=context.root))


def made(event: pb.ExtraOrdered, context: EventContext) -> Send[pb.MakeExtra]:
    """The order's workshop makes it."""
    return Send("workshop", context.root, pb.MakeExtra(extra=event.extra, text=event.text))


class Extras(Saga):
    """Has extras made that nobody else has made. What becomes of them is not important."""

    name = "extras"
    source = "order"
    begin = "oldest"
    on_rejection = Cascade.CONTINUE

    @reacts
    def ordered(self, event: pb.ExtraOrdered, context: EventContext) -> Send[pb.MakeExtra] | None:
        faults.meet("extras", context.root)
        return None if event.extra in ("wrapping", "engraving", "insurance") else made(event, context)


class Wrapping(Saga):
    """Those that the workshop refuses are to be looked at there."""

    name = "wrapping"
    source = "order"
    begin = "oldest"
    on_rejection = Cascade.DEAD_LETTER

    @reacts
    def ordered(self, event: pb.ExtraOrdered, context: EventContext) -> Send[pb.MakeExtra] | None:
        return made(event, context) if event.extra == "wrapping" else None


class Engraving(Saga):
    """Without it, nothing more is to be done for the order."""

    name = "engraving"
    source = "order"
    begin = "oldest"
    on_rejection = Cascade.FAIL_FAST

    @reacts
    def ordered(self, event: pb.ExtraOrdered, context: EventContext) -> Send[pb.MakeExtra] | None:
        return made(event, context) if event.extra == "engraving" else None


class Insurance(Saga):
    """Says nothing of refusals, so that the default holds."""

    name = "insurance"
    source = "order"
    begin = "oldest"

    @reacts
    def ordered(self, event: pb.ExtraOrdered, context: EventContext) -> Send[pb.MakeExtra] | None:
        return made(event, context) if event.extra == "insurance" else None


class Subscription(Saga):
    """Orders a magazine's next issue when one is made: a loop without end."""

    name = "subscription"
    source = "workshop"
    begin = "oldest"

    @reacts
    def made(self, event: pb.ExtraMade, context: EventContext) -> Send[pb.OrderExtra] | None:
        if event.extra != "magazine":
            return None
        return Send("order", context.root, pb.OrderExtra(extra=event.extra, text=event.text))


# ---- the process manager


def order_if_complete(state: pb.Fulfilment, event: pb.OrderPaid | pb.ItemReserved) -> list[StateOf]:
    """The order, when there is nothing else to wait for."""
    complete = state.reserved if isinstance(event, pb.OrderPaid) else state.paid
    return [StateOf("order", state.order)] if state.order and complete else []


class Fulfilments(ProcessManager[pb.Fulfilment]):
    """Ships what is paid and reserved; cancels what is not paid in time."""

    name = "fulfilment"
    begin = "oldest"

    @reacts
    def placed(
        self, state: pb.Fulfilment, event: pb.OrderPlaced, context: ProcessContext
    ) -> Iterator[pb.FulfilmentStarted | Schedule | Send[pb.ReserveItem]]:
        if event.seconds_to_pay == 0:
            return
        faults.meet("fulfilment", context.root)
        yield pb.FulfilmentStarted(order=event.order)
        yield Schedule(timedelta(seconds=event.seconds_to_pay), pb.PaymentOverdue())
        if event.sample:
            yield Send("stock", event.sample, pb.ReserveItem(order=event.order))

    @reacts(reads=order_if_complete)
    def paid(
        self, state: pb.Fulfilment, event: pb.OrderPaid, context: ProcessContext
    ) -> Iterator[pb.PaymentSeen | pb.ShippingAsked | Cancel | Send[pb.ShipParcel]]:
        if state.order:
            yield Cancel(pb.PaymentOverdue)
            yield pb.PaymentSeen()
            yield from self._ship(state, context)

    @reacts(reads=order_if_complete)
    def reserved(
        self, state: pb.Fulfilment, event: pb.ItemReserved, context: ProcessContext
    ) -> Iterator[pb.ReservationSeen | pb.ShippingAsked | Send[pb.ShipParcel]]:
        yield pb.ReservationSeen()  # which may be here before the order, that comes of another domain
        yield from self._ship(state, context)

    def _ship(self, state: pb.Fulfilment, context: ProcessContext) -> Iterator[pb.ShippingAsked | Send[pb.ShipParcel]]:
        order = context.states.get(StateOf("order", state.order))
        if order is not None:
            yield pb.ShippingAsked(address=order.state.address, order_sequence=order.sequence)
            yield Send("parcel", state.order, pb.ShipParcel(address=order.state.address))

    @reacts
    def overdue(
        self, state: pb.Fulfilment, event: pb.PaymentOverdue
    ) -> Iterator[pb.PaymentMissed | Send[pb.CancelOrder]]:
        yield pb.PaymentMissed()
        yield Send("order", state.order, pb.CancelOrder(reason="not paid in time"))

    @reacts
    def over(self, state: pb.Fulfilment, event: pb.ParcelShipped | pb.OrderCancelled) -> pb.FulfilmentEnded | None:
        return pb.FulfilmentEnded() if state.order else None

    @compensates
    def not_shipped(
        self, state: pb.Fulfilment, command: pb.ShipParcel, refusal: Rejection
    ) -> Iterator[pb.ShippingRefused | Send[pb.CancelOrder]]:
        yield pb.ShippingRefused(reason=refusal.reason)
        yield Send("order", state.order, pb.CancelOrder(reason=f"not shipped: {refusal.reason}"))

    @applies
    def started(self, state: pb.Fulfilment, event: pb.FulfilmentStarted) -> None:
        state.order = event.order

    @applies
    def seen(self, state: pb.Fulfilment, event: pb.PaymentSeen) -> None:
        state.paid = True

    @applies
    def kept(self, state: pb.Fulfilment, event: pb.ReservationSeen) -> None:
        state.reserved = True

    @applies
    def noted(self, state: pb.Fulfilment, event: pb.ShippingAsked | pb.ShippingRefused | pb.PaymentMissed) -> None:
        return None

    @applies
    def ended(self, state: pb.Fulfilment, event: pb.FulfilmentEnded) -> None:
        state.ended = True

    def finished(self, state: pb.Fulfilment) -> bool:
        return state.ended


# ---- the past


class OrdersPast(Upcaster):
    domain = "order"

    @upcasts
    def gift(self, event: pb.GiftOrdered) -> pb.ExtraOrdered:
        return pb.ExtraOrdered(extra="card", text=event.text)

    @upcasts(version=1)
    def coins(self, event: pb.OrderPaid) -> pb.OrderPaid:
        return pb.OrderPaid(amount=event.amount * 100)


class StocksPast(Upcaster):
    domain = "stock"

    @upcasts
    def crates(self, event: pb.CratesDelivered) -> pb.BoxesUnloaded:
        if event.crates < 0:
            raise ValueError(f"nobody delivers {event.crates} crates")
        return pb.BoxesUnloaded(boxes=event.crates * 4)

    @upcasts
    def boxes(self, event: pb.BoxesUnloaded) -> pb.Restocked:
        return pb.Restocked(count=event.boxes * 6)

    @upcasts
    def counted(self, event: pb.ItemsCounted) -> None:
        return None

    @upcasts
    def moved(self, event: pb.ItemsMoved) -> list[pb.BoxesUnloaded | pb.ItemClosed]:
        return [pb.BoxesUnloaded(boxes=event.boxes), pb.ItemClosed(code=event.code, reason=f"it is in the {event.to}")]


_shop = (
    *(Orders, Stocks, Workshops, Parcels, OrdersPast, StocksPast, Fulfilments),
    *(Picking, Extras, Wrapping, Engraving, Insurance, Subscription),
)
topology = Topology(*_shop, OrderPages, Demand, CascadeCompensation)
widened = Topology(*_shop, WiderOrderPages, Demand, CascadeCompensation)
"""The same, but for the document of the order pages."""
