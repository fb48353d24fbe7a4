"""What carries chips and hands between players, tables and hands."""

from collections.abc import Iterator

from headrace import EventContext, Saga, Send, reacts
from headrace.examples.poker import poker_pb2 as pb


class Cashier(Saga):
    """Has buy-ins reserved, and pays out who leaves; one saga for both, so that a player's stay in order."""

    name = "cashier"
    source = "table"
    begin = "oldest"

    @reacts
    def requested(self, event: pb.JoinRequested, context: EventContext) -> Send[pb.ReserveFunds]:
        return Send("player", event.player, pb.ReserveFunds(key=context.root, amount=event.buy_in, for_table=True))

    @reacts
    def left(self, event: pb.PlayerLeft, context: EventContext) -> Send[pb.SettleFunds]:
        return Send("player", event.player, pb.SettleFunds(key=context.root, amount=event.stack))


class Usher(Saga):
    """Seats players whose buy-in is reserved."""

    name = "usher"
    source = "player"
    begin = "oldest"

    @reacts
    def reserved(self, event: pb.FundsReserved, context: EventContext) -> Iterator[Send[pb.SeatPlayer]]:
        if event.for_table:
            yield Send("table", event.key, pb.SeatPlayer(player=context.root, amount=event.amount))


class Dealer(Saga):
    """Starts the hands that a table opens."""

    name = "dealer"
    source = "table"
    begin = "oldest"

    @reacts
    def opened(self, event: pb.HandOpened) -> Send[pb.StartHand]:
        return Send("hand", event.hand, event.start)


class Croupier(Saga):
    """Tells a table of the bets in its hands, and how they ended."""

    name = "croupier"
    source = "hand"
    begin = "oldest"

    @reacts
    def acted(self, event: pb.ActionTaken, context: EventContext) -> Iterator[Send[pb.TakeBet]]:
        if event.table and event.added:
            bet = pb.TakeBet(hand=context.root, player=event.player, amount=event.added, number=event.number)
            yield Send("table", event.table, bet)

    @reacts
    def awarded(self, event: pb.HandAwarded, context: EventContext) -> Iterator[Send[pb.SettleHand]]:
        if event.table:
            result = pb.SettleHand(hand=context.root, players=event.players, stacks=event.finishing_stacks)
            yield Send("table", event.table, result)
