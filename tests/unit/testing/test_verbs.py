"""The driver has the client's verbs: fire and forget, facts, dead letters settled, and one test for both."""

import asyncio
import tracemalloc
from datetime import UTC, datetime
from inspect import signature

import pytest

from headrace import Topology
from headrace.streams.client import Client
from headrace.testing import DriverClient, TopologyDriver
from headrace.topology.reply import Reply, Status
from tests.support.bank import messages_pb2 as pb
from tests.support.bank import reactions
from tests.support.bank.accounts import Accounts
from tests.support.verbs import all_verbs

BANK = Topology(Accounts)


def test_one_test_runs_on_the_driver_and_on_a_client() -> None:
    """`tests/kafka/test_calls.py` runs the same function against a broker."""

    async def run() -> None:
        async with DriverClient(TopologyDriver(reactions.topology)) as client:
            await all_verbs(client)

    asyncio.run(run())


@pytest.mark.parametrize("verb", ["execute", "send", "record_fact", "state", "events", "flush"])
def test_a_clients_verbs_take_the_same_in_the_same_order(verb: str) -> None:
    assert signature(getattr(DriverClient, verb)) == signature(getattr(Client, verb))
    sync = set(signature(getattr(TopologyDriver, verb, lambda self: None)).parameters)
    assert sync == set(signature(getattr(Client, verb)).parameters) - {"timeout"}


def test_a_driver_begins_somewhere() -> None:
    assert TopologyDriver(BANK).clock.now == datetime(2000, 1, 1, tzinfo=UTC)


def test_in_an_edition_the_sender_may_choose_the_time() -> None:
    later = datetime(2031, 1, 1, tzinfo=UTC)
    trial = TopologyDriver(reactions.topology, edition="trial")
    reply = trial.execute(pb.Deposit(amount=1), "p", now=later)
    stated = trial.record_fact(pb.Stash(pocket="left", amount=5), "p", external_id="payment-1", now=later)
    trial.send(pb.Deposit(amount=1), "q", now=later)
    events = [*reply.events, *stated.events, *trial.events("q", domain="purse")]
    assert {event.time for event in events} == {"2031-01-01T00:00:00.000Z"}
    with pytest.raises(ValueError, match="in main a command is decided at the time of its record"):
        TopologyDriver(BANK).execute(pb.Deposit(amount=1), "r", now=later)
    with pytest.raises(ValueError, match="names no time zone"):
        trial.execute(pb.Deposit(amount=1), "p", now=datetime(2031, 1, 1))


def test_a_command_that_nobody_waits_for() -> None:
    driver = TopologyDriver(BANK)
    assert driver.send(pb.Deposit(amount=5), "r") == "command-1"
    assert driver.send(pb.Withdraw(amount=9), "r", command_id="mine") == "mine"
    assert driver.messages("r") == [pb.Deposited(amount=5, balance=5)]
    assert [dead_letter.error_class for dead_letter in driver.dead_letters("account")] == ["Rejected"]
    assert driver.records("headrace.replies") == []


def test_a_fact_is_recorded_once() -> None:
    driver = TopologyDriver(reactions.topology)
    first = driver.record_fact(pb.Stash(pocket="left", amount=5), "p", external_id="payment-1")
    again = driver.record_fact(pb.Stash(pocket="left", amount=5), "p", external_id="payment-1")
    assert (first.status, again.status) == (Status.ACCEPTED, Status.ACCEPTED)
    assert (first.already_processed, again.already_processed) == (False, True)
    assert first.events == again.events
    assert [event.fact_id for event in driver.events("p", domain="purse")][:1] == ["payment-1"]


def test_events_are_the_clients() -> None:
    driver = TopologyDriver(BANK)
    replies = [driver.execute(pb.Deposit(amount=n), "r") for n in range(3)]
    assert isinstance(replies[0], Reply)
    assert driver.events("r") == [event for reply in replies for event in reply.events]
    assert driver.events("r", 2) == list(replies[2].events)
    assert driver.events("r", 9) == driver.events("nobody") == []
    assert driver.state("r", Accounts) == driver.state("r", "account") == driver.state("r")
    with pytest.raises(LookupError, match=r"name the domain with domain=…; this topology has: purse, book"):
        TopologyDriver(reactions.topology).state("p")


def test_dead_letters_are_replayed_and_given_up() -> None:
    """The two that fail stay open until they are settled, one by one or all together."""
    driver = TopologyDriver(BANK)
    for root in ("a", "b"):
        driver.execute(pb.Burst(how="raise"), root)
    first, second = driver.dead_letters("account")
    driver.replay("account", first)  # which fails again, and is a dead letter of its own
    assert [(dead_letter.key, dead_letter.attempts) for dead_letter in driver.dead_letters("account")] == [
        (b"a", 1),
        (b"b", 1),
        (b"a", 2),
    ]
    driver.discard("account", second)
    driver.discard("account")
    driver.replay("account")  # nothing is open any more
    assert len(driver.dead_letters("account")) == 3
    with pytest.raises(LookupError, match="unknown"):
        driver.discard("nowhere")


def test_a_command_costs_the_same_however_long_the_log_is() -> None:
    """By what one command allocates for the moment, with a few and with thousands of records behind it."""
    driver = TopologyDriver(reactions.topology)

    def peak() -> int:
        least = 1 << 62
        for _ in range(5):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            driver.execute(pb.Deposit(amount=1), "p", domain="purse")
            driver.state("p", "purse")
            least = min(least, tracemalloc.get_traced_memory()[1] - before)
        return least

    for number in range(50):
        driver.record_fact(pb.Stash(pocket="left"), "p", external_id=f"early-{number}")
    tracemalloc.start()
    try:
        few = peak()
        for number in range(2000):
            driver.record_fact(pb.Stash(pocket="left"), "p", external_id=str(number))
        many = peak()
    finally:
        tracemalloc.stop()
    assert many < 1.5 * few
