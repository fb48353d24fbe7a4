"""The read models of the shop: a page per order, and what is asked of each item."""

from dataclasses import dataclass, field

from headrace import DELETED, Deleted, ProjectionContext, Projector, projects
from tests.features import shop_pb2 as pb
from tests.features.faults import faults


@dataclass
class OrderPage:
    items: list[str] = field(default_factory=list)
    extras: list[str] = field(default_factory=list)
    paid: int = 0


class OrderPages(Projector[OrderPage]):
    """A document per order, for as long as it is not cancelled."""

    name = "order-pages"

    @projects
    def placed(self, document: OrderPage, event: pb.OrderPlaced, context: ProjectionContext) -> None:
        document.items.extend(event.items)
        faults.meet("order-pages-v1", context.root)

    @projects
    def extra(self, document: OrderPage, event: pb.ExtraOrdered, context: ProjectionContext) -> None:
        document.extras.append(event.text)
        faults.meet("order-pages-v1", context.root)

    @projects
    def paid(self, document: OrderPage, event: pb.OrderPaid, context: ProjectionContext) -> None:
        document.paid += event.amount
        faults.meet("order-pages-v1", context.root)

    @projects
    def cancelled(self, document: OrderPage, event: pb.OrderCancelled) -> Deleted:
        return DELETED


@dataclass
class WiderOrderPage(OrderPage):
    refunded: int = 0


class WiderOrderPages(Projector[WiderOrderPage]):
    """Order pages with another field, by mistake under the same version."""

    name = "order-pages"

    @projects
    def placed(self, document: WiderOrderPage, event: pb.OrderPlaced) -> None:
        document.items.extend(event.items)


@dataclass
class ItemDemand:
    ordered: int = 0
    reserved: int = 0


class Demand(Projector[ItemDemand]):
    """A document per item: how many orders want it, and how often it was reserved."""

    name = "demand"

    @projects(key=lambda event: event.items)
    def ordered(self, document: ItemDemand, event: pb.OrderPlaced, context: ProjectionContext) -> None:
        document.ordered += 1
        faults.meet("demand-v1", context.document_id)

    @projects
    def reserved(self, document: ItemDemand, event: pb.ItemReserved, context: ProjectionContext) -> None:
        document.reserved += 1
        faults.meet("demand-v1", context.document_id)
