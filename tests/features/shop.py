"""The example domain of the features, in Python: what README.md says that every binding must provide."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from shop_pb2 import (
    CancelOrder,
    CloseItem,
    ExtraMade,
    ExtraOrdered,
    Fulfilment,
    FulfilmentEnded,
    FulfilmentStarted,
    ItemClosed,
    ItemReserved,
    ItemUnavailable,
    MakeExtra,
    Order,
    OrderCancelled,
    OrderExtra,
    OrderPaid,
    OrderPlaced,
    Parcel,
    ParcelShipped,
    PaymentMissed,
    PaymentOverdue,
    PaymentReceived,
    PaymentSeen,
    PlaceOrder,
    ReservationSeen,
    ReserveItem,
    Restock,
    Restocked,
    ShipParcel,
    ShippingAsked,
    ShippingRefused,
    Stock,
    Workshop,
)

from headrace.topology import (
    After,
    Aggregate,
    Cancel,
    Cascade,
    Context,
    EventContext,
    Flag,
    Need,
    ProcessContext,
    ProcessManager,
    Refusal,
    Rejected,
    Saga,
    Send,
    Topology,
    Transient,
    after,
    applies,
    cancel,
    compensates,
    handles,
    reacts,
    records,
    state_of,
    to,
)

# ---- faults, which the scenarios make and mend


class Breakdown(Exception):
    """What a component that is broken for a root raises."""


class Faults:
    """Files in a folder that worker and test both see: for a component and root, how often it is yet to fail."""

    folder = Path("faults")

    def make(self, component: str, root: str, transient: int = 0) -> None:
        """Let a component fail for a root: always, or transiently a number of times."""
        self.folder.mkdir(exist_ok=True)
        self._file(component, root).write_text(str(transient))

    def mend(self, component: str, root: str) -> None:
        """Let it work again."""
        self._file(component, root).unlink()

    def meet(self, component: str, root: str) -> None:
        """Fail if that is planned."""
        file = self._file(component, root)
        if not file.exists():
            return
        left = int(file.read_text())
        if left == 0:
            raise Breakdown(f"{component} is broken")
        if left == 1:
            file.unlink()
        else:
            file.write_text(str(left - 1))
        raise Transient(f"{component} stumbles")

    def _file(self, component: str, root: str) -> Path:
        return self.folder / f"{component}.{root}"


faults = Faults()

# ---- aggregates


class Orders(Aggregate[Order]):
    domain = "order"

    @handles
    def place(self, state: Order, command: PlaceOrder, context: Context) -> OrderPlaced:
        if state.items:
            raise Rejected("it is placed already")
        return OrderPlaced(
            order=context.root,
            items=command.items,
            address=command.address,
            seconds_to_pay=command.seconds_to_pay,
            sample=command.sample,
        )

    @handles
    def cancel(self, state: Order, command: CancelOrder) -> OrderCancelled:
        if state.cancelled:
            raise Rejected("it is cancelled already")
        return OrderCancelled(reason=command.reason)

    @handles
    def extra(self, state: Order, command: OrderExtra) -> ExtraOrdered:
        return ExtraOrdered(extra=command.extra, text=command.text)

    @records
    def payment(self, state: Order, fact: PaymentReceived) -> OrderPaid:
        if fact.amount < 0:
            raise Rejected("nobody pays less than nothing")
        return OrderPaid(amount=fact.amount)

    @compensates
    def unavailable(self, state: Order, command: ReserveItem, refusal: Refusal) -> ItemUnavailable | Flag:
        flags = {
            "discontinued": Flag.REVOKE,
            "miscounted": Flag.DEAD_LETTER,
            "recalled": Flag.ESCALATE,
            "embargoed": Flag.ABORT,
        }
        return flags.get(refusal.code) or ItemUnavailable(
            item=refusal.root, reason=refusal.reason, ordered_in=refusal.sequence
        )

    @applies
    def placed(self, state: Order, event: OrderPlaced) -> None:
        state.items.extend(event.items)
        state.address = event.address

    @applies
    def cancelled(self, state: Order, event: OrderCancelled) -> None:
        state.cancelled = True

    @applies
    def paid(self, state: Order, event: OrderPaid) -> None:
        state.paid += event.amount

    @applies
    def noted(self, state: Order, event: ExtraOrdered | ItemUnavailable) -> None:
        return None


class Stocks(Aggregate[Stock]):
    domain = "stock"

    @handles
    def restock(self, state: Stock, command: Restock) -> Restocked:
        return Restocked(count=command.count)

    @handles
    def close(self, state: Stock, command: CloseItem) -> ItemClosed:
        return ItemClosed(code=command.code, reason=command.reason)

    @handles
    def reserve(self, state: Stock, command: ReserveItem, context: Context) -> ItemReserved:
        faults.meet("stock", context.root)
        if state.code:
            raise Rejected(state.reason, code=state.code)
        if state.count < 1:
            raise Rejected("none is left", code="sold-out")
        return ItemReserved(order=command.order, left=state.count - 1)

    @applies
    def restocked(self, state: Stock, event: Restocked) -> None:
        state.count += event.count

    @applies
    def closed(self, state: Stock, event: ItemClosed) -> None:
        state.code, state.reason = event.code, event.reason

    @applies
    def reserved(self, state: Stock, event: ItemReserved) -> None:
        state.count = event.left


class Workshops(Aggregate[Workshop]):
    domain = "workshop"

    @handles
    def make(self, state: Workshop, command: MakeExtra) -> ExtraMade:
        if not command.text:
            raise Rejected(f"{command.extra} needs a text")
        return ExtraMade(extra=command.extra, text=command.text)

    @applies
    def made(self, state: Workshop, event: ExtraMade) -> None:
        state.made += 1


class Parcels(Aggregate[Parcel]):
    domain = "parcel"

    @handles
    def ship(self, state: Parcel, command: ShipParcel) -> ParcelShipped:
        if not command.address:
            raise Rejected("there is no address")
        return ParcelShipped(address=command.address)

    @applies
    def shipped(self, state: Parcel, event: ParcelShipped) -> None:
        state.address = event.address


# ---- sagas


class Picking(Saga):
    """Has each item of an order reserved."""

    name = "picking"
    source = "order"

    @reacts
    def placed(self, event: OrderPlaced, context: EventContext) -> Iterator[Send[ReserveItem]]:
        faults.meet("picking", context.root)
        for item in event.items:
            yield to("stock", item, ReserveItem(order=context.root))


def made(event: ExtraOrdered, context: EventContext) -> Send[MakeExtra]:
    """The order's workshop makes it."""
    return to("workshop", context.root, MakeExtra(extra=event.extra, text=event.text))


class Extras(Saga):
    """Has extras made that nobody else has made. What becomes of them is not important."""

    name = "extras"
    source = "order"
    on_rejection = Cascade.CONTINUE

    @reacts
    def ordered(self, event: ExtraOrdered, context: EventContext) -> Send[MakeExtra] | None:
        faults.meet("extras", context.root)
        return None if event.extra in ("wrapping", "engraving", "insurance") else made(event, context)


class Wrapping(Saga):
    """Those that the workshop refuses are to be looked at there."""

    name = "wrapping"
    source = "order"
    on_rejection = Cascade.DEAD_LETTER

    @reacts
    def ordered(self, event: ExtraOrdered, context: EventContext) -> Send[MakeExtra] | None:
        return made(event, context) if event.extra == "wrapping" else None


class Engraving(Saga):
    """Without it, nothing more is to be done for the order."""

    name = "engraving"
    source = "order"
    on_rejection = Cascade.FAIL_FAST

    @reacts
    def ordered(self, event: ExtraOrdered, context: EventContext) -> Send[MakeExtra] | None:
        return made(event, context) if event.extra == "engraving" else None


class Insurance(Saga):
    """Says nothing of refusals, so that the default holds."""

    name = "insurance"
    source = "order"

    @reacts
    def ordered(self, event: ExtraOrdered, context: EventContext) -> Send[MakeExtra] | None:
        return made(event, context) if event.extra == "insurance" else None


class Subscription(Saga):
    """Orders a magazine's next issue when one is made: a loop without end."""

    name = "subscription"
    source = "workshop"

    @reacts
    def made(self, event: ExtraMade, context: EventContext) -> Send[OrderExtra] | None:
        if event.extra != "magazine":
            return None
        return to("order", context.root, OrderExtra(extra=event.extra, text=event.text))


# ---- the process manager


def order_if_complete(state: Fulfilment, event: OrderPaid | ItemReserved) -> list[Need]:
    """The order, when there is nothing else to wait for."""
    complete = state.reserved if isinstance(event, OrderPaid) else state.paid
    return [state_of("order", state.order)] if state.order and complete else []


class Fulfilments(ProcessManager[Fulfilment]):
    """Ships what is paid and reserved; cancels what is not paid in time."""

    name = "fulfilment"

    @reacts
    def placed(
        self, state: Fulfilment, event: OrderPlaced, context: ProcessContext
    ) -> Iterator[FulfilmentStarted | After | Send[ReserveItem]]:
        if event.seconds_to_pay == 0:
            return
        faults.meet("fulfilment", context.root)
        yield FulfilmentStarted(order=event.order)
        yield after(timedelta(seconds=event.seconds_to_pay), PaymentOverdue())
        if event.sample:
            yield to("stock", event.sample, ReserveItem(order=event.order))

    @reacts(needs=order_if_complete)
    def paid(
        self, state: Fulfilment, event: OrderPaid, context: ProcessContext
    ) -> Iterator[PaymentSeen | ShippingAsked | Cancel | Send[ShipParcel]]:
        if state.order:
            yield cancel(PaymentOverdue)
            yield PaymentSeen()
            yield from self._ship(state, context)

    @reacts(needs=order_if_complete)
    def reserved(
        self, state: Fulfilment, event: ItemReserved, context: ProcessContext
    ) -> Iterator[ReservationSeen | ShippingAsked | Send[ShipParcel]]:
        yield ReservationSeen()  # which may be here before the order, that comes of another domain
        yield from self._ship(state, context)

    def _ship(self, state: Fulfilment, context: ProcessContext) -> Iterator[ShippingAsked | Send[ShipParcel]]:
        order = context.known.get(state_of("order", state.order))
        if order is not None:
            yield ShippingAsked(address=order.state.address, order_sequence=order.sequence)
            yield to("parcel", state.order, ShipParcel(address=order.state.address))

    @reacts
    def overdue(self, state: Fulfilment, event: PaymentOverdue) -> Iterator[PaymentMissed | Send[CancelOrder]]:
        yield PaymentMissed()
        yield to("order", state.order, CancelOrder(reason="not paid in time"))

    @reacts
    def over(self, state: Fulfilment, event: ParcelShipped | OrderCancelled) -> FulfilmentEnded | None:
        return FulfilmentEnded() if state.order else None

    @compensates
    def not_shipped(
        self, state: Fulfilment, command: ShipParcel, refusal: Refusal
    ) -> Iterator[ShippingRefused | Send[CancelOrder]]:
        yield ShippingRefused(reason=refusal.reason)
        yield to("order", state.order, CancelOrder(reason=f"not shipped: {refusal.reason}"))

    @applies
    def started(self, state: Fulfilment, event: FulfilmentStarted) -> None:
        state.order = event.order

    @applies
    def seen(self, state: Fulfilment, event: PaymentSeen) -> None:
        state.paid = True

    @applies
    def kept(self, state: Fulfilment, event: ReservationSeen) -> None:
        state.reserved = True

    @applies
    def noted(self, state: Fulfilment, event: ShippingAsked | ShippingRefused | PaymentMissed) -> None:
        return None

    @applies
    def ended(self, state: Fulfilment, event: FulfilmentEnded) -> None:
        state.ended = True

    def finished(self, state: Fulfilment) -> bool:
        return state.ended


topology = Topology(
    Orders, Stocks, Workshops, Parcels, Picking, Extras, Wrapping, Engraving, Insurance, Subscription, Fulfilments
)
