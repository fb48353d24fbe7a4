"""A player's account, by given, when, then."""

import pytest
from google.protobuf.message import Message

from headrace.examples.poker import Player
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.player import MOST
from headrace.testing import given

ANN = pb.PlayerRegistered(name="Ann")
RICH = (ANN, pb.FundsDeposited(amount=500, new_balance=500))


def test_a_player_registers_once() -> None:
    given(Player).when(pb.RegisterPlayer(name="Ann")).then(ANN)
    given(Player, ANN).when(pb.RegisterPlayer(name="Ann")).then_rejected("Ann is registered already")
    given(Player).when(pb.RegisterPlayer()).then_rejected("needs a name")


def test_money_comes_and_goes() -> None:
    given(Player, *RICH).when(pb.DepositFunds(amount=30)).then(pb.FundsDeposited(amount=30, new_balance=530))
    given(Player, *RICH).when(pb.WithdrawFunds(amount=500)).then(pb.FundsWithdrawn(amount=500, new_balance=0))


@pytest.mark.parametrize(
    "command", [pb.DepositFunds(amount=1), pb.WithdrawFunds(amount=1), pb.ReserveFunds(key="t1", amount=1)]
)
def test_nobody_uses_an_account_that_is_not_there(command: Message) -> None:
    given(Player).when(command).then_rejected("player is not registered")


@pytest.mark.parametrize("amount", [0, -5])
def test_amounts_are_positive(amount: int) -> None:
    given(Player, ANN).when(pb.DepositFunds(amount=amount)).then_rejected(f"must be positive, not {amount}")
    given(Player, *RICH).when(pb.WithdrawFunds(amount=amount)).then_rejected(f"must be positive, not {amount}")


def test_an_account_has_a_limit_that_sums_stay_below() -> None:
    given(Player, *RICH).when(pb.DepositFunds(amount=MOST)).then_rejected(f"may hold {MOST} at most and has 500")
    given(Player, *RICH).when(pb.DepositFunds(amount=2**63 - 1)).then_rejected("at most")


def test_what_is_spent_must_be_there() -> None:
    given(Player, *RICH).when(pb.WithdrawFunds(amount=501)).then_rejected("Ann has 500 to spend, not 501")
    given(Player, *RICH).when(pb.ReserveFunds(key="t1", amount=501)).then_rejected("Ann has 500 to spend, not 501")


def test_a_reservation_is_set_aside_and_comes_back_whole() -> None:
    reserved = pb.FundsReserved(key="t1", amount=200, new_balance=300)
    after = given(Player, *RICH).when(pb.ReserveFunds(key="t1", amount=200)).then(reserved)
    assert after.state.bankroll == 300
    assert dict(after.state.reserved) == {"t1": 200}
    given(Player, *RICH, reserved).when(pb.WithdrawFunds(amount=301)).then_rejected("has 300 to spend")
    released = pb.FundsReleased(key="t1", amount=200, new_balance=500)
    after = given(Player, *RICH, reserved).when(pb.ReleaseFunds(key="t1")).then(released)
    assert not after.state.reserved


def test_a_key_is_reserved_for_once_and_released_once() -> None:
    reserved = pb.FundsReserved(key="t1", amount=200, new_balance=300)
    given(Player, *RICH, reserved).when(pb.ReserveFunds(key="t1", amount=1)).then_rejected("200 reserved for t1")
    given(Player, *RICH, reserved).when(pb.ReleaseFunds(key="t2")).then_rejected("for 't2'; reserved: t1")
    given(Player, *RICH).when(pb.ReserveFunds(amount=1)).then_rejected("needs a key")
