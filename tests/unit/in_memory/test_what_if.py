"""What-ifs decide as the deployment does, and leave no trace; other rules can be asked, and each starts anew."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Aggregate, History, Rejected, Topology, WhatIf, applies, handles
from headrace.schemas.stored_event import recorded_of
from headrace.testing import DriverClient, TopologyDriver
from tests.features import shop
from tests.features import shop_pb2 as pb
from tests.support.bank import messages_pb2 as bank
from tests.support.bank.accounts import topology as BANK

COMMANDS = st.lists(
    st.tuples(
        st.one_of(
            st.builds(bank.Deposit, amount=st.integers(0, 9)),
            st.builds(bank.Withdraw, amount=st.integers(0, 9)),
            st.builds(bank.Transfer, amounts=st.lists(st.integers(0, 9), max_size=3)),
            st.builds(bank.Burst, how=st.sampled_from(["raise", "stranger", "apply"])),
        ),
        st.sampled_from("ab"),
    ),
    max_size=12,
)
Told = Sequence[tuple[Message, str]]


def placed() -> History:
    """An order, and the one hat that there is."""
    return History.of(
        {"order": {"o": [pb.OrderPlaced(order="o", items=["hat"])]}, "stock": {"hat": [pb.Restocked(count=1)]}}
    )


def messages(what_if: WhatIf, root: str) -> list[Message | None]:
    return [event.data for event in what_if.events(root, domain="account")]


# ---- laws


@settings(deadline=None)
@given(COMMANDS, COMMANDS)
def test_a_what_if_over_a_history_is_the_driver_that_got_the_same_commands(before: Told, then: Told) -> None:
    driver = TopologyDriver(BANK)
    for command, root in before:
        driver.execute(command, root, domain="account")
    roots = [root for root in "ab" if driver.events(root, domain="account")]
    what_if = WhatIf(BANK, driver.history({"account": roots}))
    together = WhatIf(BANK, driver.history({"account": roots})).send_all(then)
    for (command, root), other in zip(then, together, strict=True):
        outcome, reply = what_if.send(command, root), driver.execute(command, root, domain="account")
        assert (outcome.reply.status, outcome.messages) == (reply.status, reply.messages if reply.accepted else [])
        assert (other.reply.status, other.messages) == (outcome.reply.status, outcome.messages)
    for root in "ab":
        assert messages(what_if, root) == driver.messages(root, "account")
        assert what_if.state(root, "account") == driver.state(root, "account")


@settings(deadline=None)
@given(COMMANDS, COMMANDS, COMMANDS)
def test_a_fork_is_a_what_if_that_got_the_same_commands(before: Told, one: Told, other: Told) -> None:
    parent, alone = WhatIf(BANK, History({})), WhatIf(BANK, History({}))
    parent.send_all(before)
    fork = parent.fork()
    parent.send_all(one)
    alone.send_all([*before, *other])
    fork.send_all(other)
    assert [messages(fork, root) for root in "ab"] == [messages(alone, root) for root in "ab"]
    parent.reset()
    parent.send_all([*before, *other])
    assert [messages(parent, root) for root in "ab"] == [messages(alone, root) for root in "ab"]


# ---- histories


def test_a_history_ends_where_it_is_cut() -> None:
    history = History.of({"order": {"o": [pb.OrderPlaced(order="o", items=["hat"]), pb.OrderCancelled(reason="r")]}})
    assert not WhatIf(shop.topology, history).send(pb.CancelOrder(), "o").accepted
    assert WhatIf(shop.topology, history.up_to(0)).send(pb.CancelOrder(), "o").accepted
    assert history.up_to(-1).roots == {"order": []}
    with pytest.raises(ValueError, match=r"up_to\(-2\); sequences begin with 0"):
        history.up_to(-2)


def test_a_root_without_events_and_a_sequence_after_its_last_one_are_named() -> None:
    driver = TopologyDriver(BANK)
    driver.execute(bank.Deposit(amount=1), "a", domain="account")
    with pytest.raises(LookupError, match="account b has no events, so that there is nothing to start a what-if from"):
        driver.history({"account": ["a", "b"]})
    with pytest.raises(LookupError, match="account a: as_of=1 is after its last event, which is 0"):
        driver.history({"account": ["a"]}, as_of=1)
    with pytest.raises(LookupError, match="unknown domain 'acount'"):
        driver.history({"acount": ["a"]})


def test_the_client_of_the_driver_reads_the_same_history() -> None:
    driver = TopologyDriver(BANK)
    driver.execute(bank.Deposit(amount=1), "a", domain="account")
    found = asyncio.run(DriverClient(driver).history({"account": ["a"]}, as_of=0))
    assert found.events == driver.history({"account": ["a"]}).events


def test_a_fact_of_the_history_is_not_recorded_again() -> None:
    driver = TopologyDriver(shop.topology)
    driver.record_fact(pb.PaymentReceived(amount=5), "o", external_id="bank-1")
    store = driver.history({"order": ["o"]}).store(shop.topology, "order")
    ((key, _),) = store.entries(b"\0fact|")
    assert key == b"\0fact|o\0bank-1"


# ---- what a what-if is


def test_other_rules_are_asked_with_another_topology() -> None:
    class Strict(shop.Orders):
        """Cancels nothing that was placed."""

        domain = "order"

        @handles
        def cancel(self, state: pb.Order, command: pb.CancelOrder) -> pb.OrderCancelled:
            raise Rejected("what is placed is placed", code="strict")

    history = placed()
    assert WhatIf(shop.topology, history).send(pb.CancelOrder(), "o").accepted
    strict = WhatIf(Topology(Strict), history).send(pb.CancelOrder(), "o")
    assert strict.rejection is not None
    assert (strict.rejection.reason, strict.rejection.code, strict.events) == ("what is placed is placed", "strict", ())


def test_nothing_follows_unless_reactions_are_asked_for() -> None:
    quiet, whole = WhatIf(shop.topology, placed()), WhatIf(shop.topology, placed(), reactions=True)
    command = pb.PlaceOrder(items=["hat"])
    assert quiet.send(command, "p").commands == ()
    assert [(sent.sender, sent.domain, sent.root) for sent in whole.send(command, "p").commands] == [
        ("picking", "stock", "hat")
    ]
    assert (quiet.state("hat", "stock").count, whole.state("hat", "stock").count) == (1, 0)


def test_time_outs_come_when_time_passes_and_a_fork_has_them_too() -> None:
    what_if = WhatIf(shop.topology, placed(), reactions=True)
    what_if.send(pb.PlaceOrder(items=["hat"], seconds_to_pay=60), "p")
    fork = what_if.fork()
    assert what_if.advance(timedelta(seconds=59)).commands == ()
    for one in (fork.advance(timedelta(seconds=60)), what_if.advance(timedelta(seconds=1))):
        assert [sent.message for sent in one.commands] == [pb.CancelOrder(reason="not paid in time")]
    what_if.reset()
    assert what_if.advance(timedelta(days=1)).commands == ()


def test_time_stands_where_the_history_ends_or_where_it_is_said() -> None:
    then = datetime(2026, 3, 1, tzinfo=UTC)
    history = History.of({"order": {"o": [pb.ExtraOrdered(extra="ribbon")]}}, time=then)
    for what_if, at in (
        (WhatIf(shop.topology, history), "2026-03-01T00:00:00.000Z"),
        (WhatIf(shop.topology, history, now=datetime(2027, 1, 1, tzinfo=UTC)), "2027-01-01T00:00:00.000Z"),
    ):
        assert what_if.send(pb.CancelOrder(), "o").events[0].time == at
    assert [recorded_of(value) for value in history.events["order"]["o"]] == [history.recorded]


def test_an_interrupted_what_if_goes_on_as_if_nothing_had_been() -> None:
    class Interrupted(Aggregate[bank.Account]):
        domain = "account"

        @handles
        def deposit(self, state: bank.Account, command: bank.Deposit) -> bank.Deposited:
            if command.amount == 13:
                raise MemoryError
            return bank.Deposited(amount=command.amount)

        @applies
        def deposited(self, state: bank.Account, event: bank.Deposited) -> None:
            state.balance += event.amount

    what_if = WhatIf(Topology(Interrupted), History({}))
    what_if.send(bank.Deposit(amount=1), "a")
    with pytest.raises(MemoryError):
        what_if.send_all([(bank.Deposit(amount=5), "a"), (bank.Deposit(amount=13), "a")])
    assert what_if.send(bank.Deposit(amount=2), "a").reply.sequence == 1
    assert what_if.state("a").balance == 3


def test_what_is_no_command_is_said() -> None:
    what_if = WhatIf(shop.topology, placed())
    with pytest.raises(LookupError, match=r"no aggregate handles shop\.v1\.OrderPlaced"):
        what_if.send(pb.OrderPlaced(), "o")
    with pytest.raises(TypeError, match="a command is a protobuf message, not 'cancel'"):
        what_if.send("cancel", "o")  # type: ignore[arg-type]
    unknown = what_if.send_encoded("shop.v1.Nothing", b"", "o", domain="order")
    assert "handles no shop.v1.Nothing" in unknown.error
    assert "dead-letters" not in unknown.error
    assert "root" in what_if.send(pb.CancelOrder(), "").error
    assert what_if.send(pb.CancelOrder(), "o", expected_sequence=7).rejection is not None


def test_only_what_is_asked_is_made() -> None:
    """The room of a what-if has one step, however many components the topology has."""
    what_if = WhatIf(shop.topology, placed())
    what_if.send(pb.CancelOrder(), "o")
    assert list(what_if._runtime._handlers) == [("order", 0)]
