"""The chain that `workflow` measures: what is paid into a player's account is booked in the house's ledger, too."""

from headrace import EventContext, Saga, Send, Topology, reacts
from headrace.examples.poker import Player
from headrace.examples.poker import poker_pb2 as pb


class House(Player):
    """The house's ledger: an aggregate of its own, which decides and keeps state as a player does."""

    domain = "house"


class Booking(Saga):
    """Has every deposit booked under the same name."""

    name = "booking"
    source = "player"
    begin = "oldest"

    @reacts
    def deposited(self, event: pb.FundsDeposited, context: EventContext) -> Send[pb.DepositFunds]:
        return Send("house", context.root, pb.DepositFunds(amount=event.amount))


topology = Topology(Player, House, Booking)
