"""Process managers in memory: their own events, commands, time-outs, and states of other roots."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace import (
    Cancel,
    ProcessContext,
    ProcessManager,
    Rejection,
    RootState,
    Schedule,
    Send,
    Topology,
    TopologyError,
    compensates,
    reacts,
)
from headrace.schemas.headers import Headers
from headrace.testing import TopologyDriver
from tests.support.bank.accounts import Book, Purse
from tests.support.bank.messages_pb2 import (
    Account,
    Annotate,
    Annotated,
    Deposit,
    Deposited,
    Opened,
    Stashed,
    Touch,
    Withdraw,
    Withdrawn,
)
from tests.support.bank.reactions import Warden, treasury

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Yield = Iterator[Opened | Stashed | Send[Annotate | Touch] | Schedule]


class Watch(Warden):
    """A warden whose patience has a name, who expects an untouched book, and ends with the third deposit."""

    name = "watch"

    @reacts(reads=treasury)
    def deposited(self, state: Account, event: Deposited, context: ProcessContext) -> Yield:
        if event.amount == 13:
            raise ZeroDivisionError("thirteen")
        if event.amount >= 100:
            yield from super().deposited(state, event, context)
            return
        yield Opened(owner=context.root)
        yield Schedule(timedelta(minutes=1), Withdraw(amount=event.amount), name="patience")
        if event.amount == 5:
            yield Send("book", context.root, Annotate(note="five"))

    @reacts
    def noted(self, state: Account, event: Annotated) -> Iterator[Stashed | Cancel]:
        yield Cancel("patience")
        yield Stashed(pocket="noted", amount=1)

    @reacts
    def impatient(
        self, state: Account, event: Withdraw, context: ProcessContext
    ) -> Iterator[Stashed | Send[Annotate | Touch]]:
        yield Stashed(pocket="waited", amount=event.amount)
        yield Send("book", context.root, Touch(), expected_sequence=-1)

    @compensates
    def refused(self, state: Account, command: Touch, refusal: Rejection) -> Any:
        return [Stashed(pocket="refused", amount=1), Send("book", refusal.root, Annotate(note="instead"))]

    def finished(self, state: Account) -> bool:
        return state.count >= 3


@pytest.fixture
def driver() -> TopologyDriver:
    return TopologyDriver(Topology(Purse, Book, Watch), start=NOW)


def pockets(driver: TopologyDriver, root: str = "trip") -> dict[str, int]:
    return dict(driver.state(root, "watch").pockets)


def test_its_root_is_the_correlation_id_and_its_state_its_events(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=1), "p", correlation_id="trip")
    assert driver.state("trip", "watch").owner == "trip"
    assert driver.messages("trip", "watch") == [Opened(owner="trip")]
    (record,) = driver.records(driver.topic("watch", "events"))
    assert record.headers["ce_causationid"] == b"/main/purse/p:0"
    assert record.headers["ce_correlationid"] == b"trip"
    (fed,) = driver.records(driver.topic("watch", "inbox"))
    driver.produce(fed.topic, fed.key, fed.value, fed.headers.items())
    assert len(driver.messages("trip", "watch")) == 1


def test_a_time_out_comes_once_and_its_refused_command_is_compensated(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=1), "p", correlation_id="trip")
    driver.clock.advance(timedelta(seconds=59))
    assert pockets(driver) == {}
    driver.clock.advance(timedelta(seconds=1))
    assert pockets(driver) == {"waited": 1, "refused": 1, "noted": 1}
    driver.clock.advance(timedelta(hours=1))
    assert len(driver.messages("trip", "watch")) == 4
    (touch,) = [r for r in driver.records(driver.topic("book", "inbox")) if r.headers["ce_type"] == b"bank.v1.Touch"]
    assert touch.headers["ce_expectedsequence"] == b"-1"
    assert touch.headers["ce_rejectto"] == b"watch:trip"


def test_a_cancelled_time_out_does_not_come(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=5), "p", correlation_id="trip")
    assert pockets(driver) == {"noted": 1}
    driver.clock.advance(timedelta(hours=1))
    assert pockets(driver) == {"noted": 1}


def test_a_time_out_started_again_takes_the_place_of_the_first(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=1), "p", correlation_id="trip")
    driver.clock.advance(timedelta(seconds=30))
    driver.execute(Deposit(amount=2), "p", correlation_id="trip")
    driver.clock.advance(timedelta(seconds=30))
    assert pockets(driver) == {}
    driver.clock.advance(timedelta(seconds=30))
    assert pockets(driver)["waited"] == 2


def test_a_time_out_of_a_finished_process_is_ignored(driver: TopologyDriver) -> None:
    for _ in range(3):
        driver.execute(Deposit(amount=1), "p", correlation_id="trip")
    driver.clock.advance(timedelta(hours=1))
    assert pockets(driver) == {}


def test_states_of_other_roots_come_with_their_sequences(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=100), "treasury", correlation_id="trip")
    assert pockets(driver) == {"seen": 100, "at": 0, "nobody": -1}
    driver.execute(Deposit(amount=7), "p", correlation_id="trip")
    assert driver.state("trip", "watch").owner == "trip"


def test_what_comes_while_it_waits_follows_in_order(driver: TopologyDriver) -> None:
    """The dead event is first in its queue; those behind it wait, and follow after it is replayed."""
    driver.execute(Deposit(amount=13), "p", correlation_id="trip")
    driver.execute(Deposit(amount=1), "p", correlation_id="trip")
    driver.execute(Deposit(amount=1), "p", correlation_id="other")
    assert driver.messages("trip", "watch") == []
    assert driver.messages("other", "watch") == [Opened(owner="other")]
    (dead_letter,) = driver.dead_letters("watch")
    headers: Headers = [(h.key, h.value) for h in dead_letter.headers]
    headers += [
        ("ce_replayof", f"{dead_letter.topic}/{dead_letter.partition}/{dead_letter.offset}"),
        ("ce_discard", "1"),
    ]
    driver.produce(driver.topic("watch", "inbox"), b"trip", dead_letter.value, headers)
    assert driver.messages("trip", "watch") == [Opened(owner="trip")]


def test_mistakes_are_told_at_start() -> None:
    class Blind(ProcessManager[Account]):
        name = "blind"

        @reacts
        def x(self, state: Account, event: Withdraw) -> Iterator[Send[Opened]]:
            yield from ()

    with pytest.raises(TopologyError) as caught:
        Topology(Purse, Blind)
    told = "\n".join(caught.value.mistakes)
    assert "Blind: reacts to no event that a domain of this topology writes" in told
    assert "Blind.x: no aggregate handles bank.v1.Opened, which it sends" in told
    assert RootState(None, -1).sequence == -1
    assert Withdrawn.DESCRIPTOR.full_name == "bank.v1.Withdrawn"
