"""Time-outs where they meet: several due at once, of one root, behind a dead event, cancelled by each other."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from headrace import Cancel, EventContext, ProcessManager, Schedule, Topology, applies, reacts
from headrace.schemas.headers import Headers
from headrace.schemas.headrace_v1_pb2 import DeadLetter
from headrace.testing import TopologyDriver
from tests.support.bank.accounts import Book, Purse
from tests.support.bank.messages_pb2 import (
    Account,
    Annotate,
    Annotated,
    Deposit,
    Deposited,
    Open,
    Opened,
    Stashed,
    Withdraw,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Clerk(ProcessManager[Account]):
    """Starts two time-outs with each deposit, both for the same moment."""

    name = "clerk"
    broken = True

    @reacts
    def deposited(self, state: Account, event: Deposited) -> Iterator[Schedule | Cancel]:
        if event.amount == 13 and Clerk.broken:
            raise ZeroDivisionError("thirteen")
        if event.amount == 99:
            yield Schedule(timedelta(days=365 * 1000), Withdraw(amount=99))
        elif event.amount == 98:
            yield Cancel(Withdraw)
        else:
            yield Schedule(MINUTE, Withdraw(amount=event.amount))
            yield Schedule(MINUTE, Open(owner="second"))

    @reacts
    def first(self, state: Account, event: Open) -> Iterator[Opened | Cancel | Schedule]:
        yield Opened(owner=event.owner)
        if state.note == "cancel":
            yield Cancel(Withdraw)
        if state.note == "again":
            yield Schedule(MINUTE, Withdraw(amount=77))

    @reacts
    def second(self, state: Account, event: Withdraw, context: EventContext) -> Iterator[Stashed]:
        if event.amount == 14 and Clerk.broken:
            raise ZeroDivisionError("fourteen")
        yield Stashed(pocket="second", amount=event.amount)

    @reacts
    def noted(self, state: Account, event: Annotated) -> Iterator[Annotated]:
        yield Annotated(note=event.note)

    @applies
    def annotated(self, state: Account, event: Annotated) -> None:
        state.note = event.note

    @applies
    def opened(self, state: Account, event: Opened) -> None:
        state.count += 1

    @applies
    def stashed(self, state: Account, event: Stashed) -> None:
        state.pockets[event.pocket] += event.amount


@pytest.fixture
def driver() -> Iterator[TopologyDriver]:
    Clerk.broken = True
    yield TopologyDriver(Topology(Purse, Book, Clerk), start=NOW)
    Clerk.broken = True


def deposit(driver: TopologyDriver, amount: int) -> None:
    driver.execute(Deposit(amount=amount), "p", correlation_id="trip")


def note(driver: TopologyDriver, text: str) -> None:
    driver.execute(Annotate(note=text), "p", correlation_id="trip")


def dead_letters(driver: TopologyDriver) -> list[tuple[str, DeadLetter]]:
    """Dead letters with their ids."""
    found = driver.records(driver.topic("clerk", "dead-letters"))
    wanted = [record for record in found if record.headers["ce_type"] == b"headrace.v1.DeadLetter"]
    return [(record.headers["ce_id"].decode(), DeadLetter.FromString(record.value or b"")) for record in wanted]


def settle(driver: TopologyDriver, dead_letter_id: str, dead_letter: DeadLetter) -> None:
    """What `headrace dead-letters replay` does."""
    headers: Headers = [(h.key, h.value) for h in dead_letter.headers]
    driver.produce(
        dead_letter.topic,
        dead_letter.key,
        dead_letter.value,
        [*headers, ("ce_replayof", dead_letter_id)],
        dead_letter.partition,
    )


def test_time_outs_of_one_moment_all_come(driver: TopologyDriver) -> None:
    deposit(driver, 5)
    driver.clock.advance(MINUTE)
    assert driver.messages("trip", "clerk") == [Opened(owner="second"), Stashed(pocket="second", amount=5)]


def test_one_that_another_of_the_same_moment_cancels_does_not_come(driver: TopologyDriver) -> None:
    note(driver, "cancel")
    deposit(driver, 5)
    driver.clock.advance(MINUTE)
    assert driver.messages("trip", "clerk")[1:] == [Opened(owner="second")]


def test_one_that_another_of_the_same_moment_starts_again_comes_later(driver: TopologyDriver) -> None:
    note(driver, "again")
    deposit(driver, 5)
    driver.clock.advance(MINUTE)
    assert driver.messages("trip", "clerk")[1:] == [Opened(owner="second")]
    driver.clock.advance(MINUTE)
    assert driver.messages("trip", "clerk")[2:] == [Stashed(pocket="second", amount=77)]


def test_time_outs_of_one_moment_wait_behind_a_dead_event_and_follow(driver: TopologyDriver) -> None:
    """Two of one root and one millisecond do not take each other's place."""
    deposit(driver, 5)
    deposit(driver, 13)
    driver.clock.advance(MINUTE)
    assert driver.messages("trip", "clerk") == []
    Clerk.broken = False
    settle(driver, *dead_letters(driver)[0])
    assert driver.messages("trip", "clerk") == [Opened(owner="second"), Stashed(pocket="second", amount=5)]


def test_what_comes_after_a_time_out_stays_behind_it(driver: TopologyDriver) -> None:
    """It came first, so that a later event cannot cancel it, though both wait."""
    deposit(driver, 5)
    deposit(driver, 13)
    driver.clock.advance(MINUTE)
    note(driver, "cancel")
    deposit(driver, 98)
    Clerk.broken = False
    settle(driver, *dead_letters(driver)[0])
    assert [type(event) for event in driver.messages("trip", "clerk")] == [Opened, Stashed, Annotated]


def test_dead_time_outs_of_one_moment_are_letters_of_their_own(driver: TopologyDriver) -> None:
    roots = [f"trip-{number}" for number in range(20)]
    for root in roots:
        driver.execute(Deposit(amount=14), "p", correlation_id=root)
    driver.clock.advance(MINUTE)
    found = dead_letters(driver)
    assert len({dead_letter_id for dead_letter_id, _ in found}) == len(found) == len(roots)
    Clerk.broken = False
    for dead_letter_id, dead_letter in found:
        settle(driver, dead_letter_id, dead_letter)
    for root in roots:
        assert driver.messages(root, "clerk")[1:] == [Stashed(pocket="second", amount=14)]


def test_a_time_out_beyond_all_calendars_does_not_come_at_once(driver: TopologyDriver) -> None:
    deposit(driver, 99)
    driver.clock.advance(timedelta(days=365 * 100))
    assert driver.messages("trip", "clerk") == []


def test_one_that_meets_a_broken_end_is_dead_and_gone(driver: TopologyDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `finished` that raises harms that time-out alone, which is not brought again and again."""

    def finished(self: Clerk, state: Account) -> bool:
        raise ZeroDivisionError("finished")

    monkeypatch.setattr(Clerk, "finished", finished)
    driver = TopologyDriver(Topology(Purse, Book, Clerk), start=NOW)
    deposit(driver, 5)
    driver.clock.advance(MINUTE)
    driver.clock.advance(MINUTE)
    assert [dead_letter.error for _, dead_letter in dead_letters(driver)] == ["finished"] * 2
    monkeypatch.undo()
    Clerk.broken = False
    driver.clock.advance(MINUTE)
    for dead_letter_id, dead_letter in dead_letters(driver):
        settle(driver, dead_letter_id, dead_letter)
    assert driver.messages("trip", "clerk") == [Opened(owner="second"), Stashed(pocket="second", amount=5)]
