"""A player and the money on the account: what may be spent, and what is reserved for a table."""

from headrace import Aggregate, Rejected, Rejection, applies, compensates, handles, records
from headrace.examples.poker import poker_pb2 as pb

MOST = 10**15
"""Units that an account may hold: far from where 64 bits end, so that sums stay exact."""


class Player(Aggregate[pb.PlayerState]):
    """The root is the player's id, which hands use as well."""

    domain = "player"

    @handles
    def register(self, state: pb.PlayerState, command: pb.RegisterPlayer) -> pb.PlayerRegistered:
        if state.registered:
            raise Rejected(f"{state.name} is registered already")
        if not command.name:
            raise Rejected("a player needs a name")
        return pb.PlayerRegistered(name=command.name)

    @handles
    def deposit(self, state: pb.PlayerState, command: pb.DepositFunds) -> pb.FundsDeposited:
        self._check(state, command.amount)
        if state.bankroll + command.amount > MOST:
            raise Rejected(f"{state.name} may hold {MOST} at most and has {state.bankroll}")
        return pb.FundsDeposited(amount=command.amount, new_balance=state.bankroll + command.amount)

    @handles
    def withdraw(self, state: pb.PlayerState, command: pb.WithdrawFunds) -> pb.FundsWithdrawn:
        self._check(state, command.amount, of=state.bankroll)
        return pb.FundsWithdrawn(amount=command.amount, new_balance=state.bankroll - command.amount)

    @handles
    def reserve(self, state: pb.PlayerState, command: pb.ReserveFunds) -> pb.FundsReserved:
        self._check(state, command.amount, of=state.bankroll)
        if not command.key:
            raise Rejected("a reservation needs a key, such as the table it is for")
        for there in (state.reserved, state.staked):
            if command.key in there:
                raise Rejected(f"{state.name} has {there[command.key]} reserved for {command.key} already")
        balance = state.bankroll - command.amount
        return pb.FundsReserved(
            key=command.key, amount=command.amount, new_balance=balance, for_table=command.for_table
        )

    @handles
    def release(self, state: pb.PlayerState, command: pb.ReleaseFunds) -> pb.FundsReleased:
        if command.key not in state.reserved:
            known = ", ".join(sorted(state.reserved)) or "nothing"
            raise Rejected(f"nothing is reserved for {command.key!r}; reserved: {known}")
        amount = state.reserved[command.key]
        return pb.FundsReleased(key=command.key, amount=amount, new_balance=state.bankroll + amount)

    @handles
    def settle(self, state: pb.PlayerState, command: pb.SettleFunds) -> pb.FundsSettled:
        if command.key not in state.staked or command.amount < 0:
            raise Rejected(f"{command.amount} cannot come from {command.key!r}, where {state.name} has no chips")
        balance = state.bankroll + command.amount
        reserved = state.staked[command.key]
        return pb.FundsSettled(key=command.key, amount=command.amount, reserved=reserved, new_balance=balance)

    @records
    def deposit_confirmed(self, state: pb.PlayerState, fact: pb.DepositConfirmed) -> pb.FundsDeposited:
        if fact.amount <= 0:
            raise ValueError(f"{fact.amount} is no deposit")
        return pb.FundsDeposited(amount=fact.amount, new_balance=state.bankroll + fact.amount)

    @compensates
    def not_seated(self, state: pb.PlayerState, command: pb.SeatPlayer, refusal: Rejection) -> list[pb.FundsReleased]:
        if refusal.root not in state.staked:
            return []
        amount = state.staked[refusal.root]
        return [pb.FundsReleased(key=refusal.root, amount=amount, new_balance=state.bankroll + amount)]

    @applies
    def registered(self, state: pb.PlayerState, event: pb.PlayerRegistered) -> None:
        state.registered = True
        state.name = event.name

    @applies
    def balance_changed(self, state: pb.PlayerState, event: pb.FundsDeposited | pb.FundsWithdrawn) -> None:
        state.bankroll = event.new_balance

    @applies
    def reserved(self, state: pb.PlayerState, event: pb.FundsReserved) -> None:
        state.bankroll = event.new_balance
        (state.staked if event.for_table else state.reserved)[event.key] = event.amount

    @applies
    def released(self, state: pb.PlayerState, event: pb.FundsReleased | pb.FundsSettled) -> None:
        state.bankroll = event.new_balance
        del (state.staked if event.key in state.staked else state.reserved)[event.key]

    def _check(self, state: pb.PlayerState, amount: int, of: int | None = None) -> None:
        if not state.registered:
            raise Rejected("player is not registered")
        if amount <= 0:
            raise Rejected(f"amount must be positive, not {amount}")
        if of is not None and amount > of:
            raise Rejected(f"{state.name} has {of} to spend, not {amount}")
