"""A second aggregate on the bank's messages, whose commands change one field each."""

from headrace import Aggregate, applies, handles
from tests.support import bank_pb2 as pb


class Fields(Aggregate[pb.Account]):
    """Each command sets one field, so that commands either meet or pass each other. COMMUTATIVE, as by default."""

    domain = "fields"

    @handles
    def open(self, state: pb.Account, command: pb.Open) -> pb.Opened:
        return pb.Opened(owner=command.owner)

    @handles
    def deposit(self, state: pb.Account, command: pb.Deposit) -> pb.Deposited:
        return pb.Deposited(balance=state.balance + command.amount)

    @handles
    def stash(self, state: pb.Account, command: pb.Stash) -> pb.Stashed:
        return pb.Stashed(pocket=command.pocket, amount=command.amount)

    @handles
    def touch(self, state: pb.Account, command: pb.Touch) -> None:
        return None

    @applies
    def opened(self, state: pb.Account, event: pb.Opened) -> None:
        state.owner = event.owner

    @applies
    def deposited(self, state: pb.Account, event: pb.Deposited) -> None:
        state.balance = event.balance

    @applies
    def stashed(self, state: pb.Account, event: pb.Stashed) -> None:
        state.pockets[event.pocket] = event.amount
