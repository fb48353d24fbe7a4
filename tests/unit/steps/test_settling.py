"""Dead letters of each kind, sent again and given up: what comes of it, and that each can be settled."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from headrace import (
    Aggregate,
    Cascade,
    Flag,
    ProcessContext,
    ProcessManager,
    Rejected,
    Rejection,
    Saga,
    Schedule,
    Send,
    StateOf,
    Topology,
    applies,
    compensates,
    handles,
    reacts,
)
from headrace.schemas.headers import Headers
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Settled
from headrace.testing import TopologyDriver
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
from tests.support.step_fixture import INBOX, StepFixture

REJECTION = b"headrace.v1.Rejection"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Mood:
    """What the domain does at the moment; a deployment with other code, as it were."""

    refuses: ClassVar[bool] = True
    answer: ClassVar[Flag | None] = Flag.DEAD_LETTER
    breaks: ClassVar[bool] = False


class Purse(Aggregate[Account]):
    domain = "purse"

    @handles
    def deposit(self, state: Account, command: Deposit) -> Deposited:
        return Deposited(amount=command.amount, balance=state.balance + command.amount)

    @compensates
    def refused(self, state: Account, command: Annotate, refusal: Rejection) -> Withdrawn | Flag:
        return Mood.answer or Withdrawn(amount=refusal.sequence)

    @applies
    def moved(self, state: Account, event: Deposited | Withdrawn) -> None:
        state.balance = event.balance


class Book(Aggregate[Account]):
    domain = "book"

    @handles
    def annotate(self, state: Account, command: Annotate) -> Annotated:
        if Mood.refuses:
            raise Rejected("not now")
        return Annotated(note=command.note)

    @handles
    def touch(self, state: Account, command: Touch) -> None:
        raise Rejected("not to be touched")

    @applies
    def annotated(self, state: Account, event: Annotated) -> None:
        state.note = event.note
        state.count += 1


class Keeper(Saga):
    name = "keeper"
    source = "purse"
    on_rejection = Cascade.DEAD_LETTER

    @reacts
    def deposited(self, event: Deposited) -> Send[Annotate] | None:
        if Mood.breaks:
            raise ZeroDivisionError("broken")
        return Send("book", "b", Annotate(note="n")) if event.amount < 10 else None


def wanted(state: Account, event: Withdraw) -> list[StateOf]:
    return [StateOf("book", "b\n")] if event.amount == 13 else []


class Warden(ProcessManager[Account]):
    name = "warden"

    @reacts
    def deposited(self, state: Account, event: Deposited) -> Iterator[Schedule | Send[Touch | Annotate]]:
        if event.amount == 20:
            yield Send("book", "b", Touch())
        elif event.amount == 21:
            yield Send("book", "b", Annotate(note="x"))
        elif event.amount > 10:
            yield Schedule(timedelta(minutes=1), Withdraw(amount=event.amount))

    @reacts(reads=wanted)
    def late(self, state: Account, event: Withdraw, context: ProcessContext) -> Send[Annotate]:
        return Send("book", "b", Annotate(note="late"))

    @compensates
    def refused(self, state: Account, command: Touch, refusal: Rejection) -> Any:
        return Mood.answer or Stashed(pocket="refused", amount=1)

    @applies
    def stashed(self, state: Account, event: Stashed | Opened) -> None:
        state.count += 1


@pytest.fixture
def driver() -> Iterator[TopologyDriver]:
    Mood.refuses, Mood.answer, Mood.breaks = True, Flag.DEAD_LETTER, False
    yield TopologyDriver(Topology(Purse, Book, Keeper, Warden), start=NOW)
    Mood.refuses, Mood.answer, Mood.breaks = True, Flag.DEAD_LETTER, False


def dead_letters(driver: TopologyDriver, word: str) -> list[tuple[str, DeadLetter]]:
    """Dead letters with their ids."""
    found = driver.records(driver.topic(word, "dead-letters"))
    wanted = [record for record in found if record.headers["ce_type"] == b"headrace.v1.DeadLetter"]
    return [(record.headers["ce_id"].decode(), DeadLetter.FromString(record.value or b"")) for record in wanted]


def settled(driver: TopologyDriver, word: str) -> list[tuple[str, str]]:
    """What was said to have become of dead letters."""
    found = driver.records(driver.topic(word, "dead-letters"))
    said = [Settled.FromString(r.value or b"") for r in found if r.headers["ce_type"] == b"headrace.v1.Settled"]
    return [(one.dead_letter_id, one.outcome) for one in said]


def settle(driver: TopologyDriver, word: str, number: int = 0, *, discard: bool = False) -> str:
    """What `headrace dead-letters replay` and `discard` do; the dead letter's id."""
    dead_letter_id, dead_letter = dead_letters(driver, word)[number]
    (driver.discard if discard else driver.replay)(word, dead_letter)
    return dead_letter_id


def test_a_refused_command_sent_again_is_decided_again(driver: TopologyDriver) -> None:
    """The saga's cascade mode keeps refused commands for a person, who sends them again at a better time."""
    driver.execute(Deposit(amount=1), "p")
    assert driver.messages("b", "book") == []
    settle(driver, "book")
    assert len(dead_letters(driver, "book")) == 2
    assert dead_letters(driver, "book")[1][1].attempts == 2
    Mood.refuses = False
    settle(driver, "book", 1)
    settle(driver, "book", 1)
    settle(driver, "book", 0)
    assert driver.messages("b", "book") == [Annotated(note="n")]
    assert len(driver.messages("p", "purse")) == 1


def test_a_rejection_sent_again_is_compensated_again(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=1), "p")
    dead_letter_id = settle(driver, "purse")
    assert settled(driver, "purse") == [(dead_letter_id, "replayed")]
    assert dead_letters(driver, "purse")[1][1].attempts == 2
    Mood.answer = None
    settle(driver, "purse", 1)
    settle(driver, "purse", 1)
    settle(driver, "purse", 0)
    assert driver.messages("p", "purse")[1:] == [Withdrawn(amount=0)]


def test_a_rejection_that_a_process_keeps_can_be_sent_again(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=20), "p", correlation_id="trip")
    dead_letter_id = settle(driver, "warden")
    assert settled(driver, "warden") == [(dead_letter_id, "replayed")]
    assert len(dead_letters(driver, "warden")) == 2
    Mood.answer = None
    settle(driver, "warden", 1)
    settle(driver, "warden", 1)
    settle(driver, "warden", 0)
    assert driver.messages("trip", "warden") == [Stashed(pocket="refused", amount=1)]


def test_a_rejection_that_a_process_keeps_can_be_given_up(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=20), "p", correlation_id="trip")
    dead_letter_id = settle(driver, "warden", discard=True)
    assert settled(driver, "warden") == [(dead_letter_id, "discarded")]
    assert driver.messages("trip", "warden") == []


def test_attempts_of_a_saga_are_counted(driver: TopologyDriver) -> None:
    Mood.breaks = True
    driver.execute(Deposit(amount=1), "p")
    for number in range(3):
        settle(driver, "keeper", number)
    assert [dead_letter.attempts for _, dead_letter in dead_letters(driver, "keeper")] == [1, 2, 3, 4]
    assert [h.key for h in dead_letters(driver, "keeper")[3][1].headers] == [
        h.key for h in dead_letters(driver, "keeper")[0][1].headers
    ]


def test_attempts_of_a_process_are_counted(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=13), "p", correlation_id="trip")
    driver.clock.advance(timedelta(minutes=1))
    for number in range(2):
        settle(driver, "warden", number)
    assert [dead_letter.attempts for _, dead_letter in dead_letters(driver, "warden")] == [1, 2, 3]


def test_a_state_that_cannot_be_read_makes_the_event_dead(driver: TopologyDriver) -> None:
    """Rather than wait for it for ever."""
    driver.execute(Deposit(amount=13), "p", correlation_id="trip")
    driver.clock.advance(timedelta(minutes=1))
    ((_, dead_letter),) = dead_letters(driver, "warden")
    assert "control characters" in dead_letter.error
    dead_letter_id = settle(driver, "warden", discard=True)
    assert settled(driver, "warden") == [(dead_letter_id, "discarded")]


@pytest.mark.parametrize("root", ["p", "table/1", "a:1", "a/b:c/d"])
def test_a_refusal_that_a_process_leaves_goes_to_the_aggregate_whatever_its_roots_name(
    root: str, driver: TopologyDriver
) -> None:
    Mood.answer = None
    driver.execute(Deposit(amount=21), root, correlation_id="trip")
    assert driver.messages(root, "purse")[1:] == [Withdrawn(amount=0)]


@pytest.mark.parametrize("trip", ["trip", "trip:1", "a/b:c/d"])
def test_a_refusal_of_what_a_time_out_sent_is_nobody_elses(trip: str, driver: TopologyDriver) -> None:
    """No aggregate caused it; it is kept, and nothing is written to a topic that is not there."""
    driver.execute(Deposit(amount=15), "p", correlation_id=trip)
    driver.clock.advance(timedelta(minutes=1))
    ((_, dead_letter),) = dead_letters(driver, "warden")
    assert "nobody to tell of it" in dead_letter.error
    assert not [r for r in driver.records(driver.topic("purse", "inbox")) if r.headers["ce_type"] == REJECTION]


def test_a_time_out_with_a_bad_name_leaves_no_event_behind() -> None:
    """What is checked is checked before anything is staged, so that the store holds nothing that the log does not."""

    class Careless(ProcessManager[Account]):
        name = "careless"

        @reacts
        def deposited(self, state: Account, event: Deposited) -> Iterator[Opened | Schedule]:
            yield Opened(owner="x")
            if event.amount == 1:
                yield Schedule(timedelta(minutes=1), Withdraw(), name="a/b")

        @reacts
        def late(self, state: Account, event: Withdraw) -> None:
            return None

        @applies
        def opened(self, state: Account, event: Opened) -> None:
            state.count += 1

    driver = TopologyDriver(Topology(Purse, Careless), start=NOW)
    driver.execute(Deposit(amount=1), "p", correlation_id="trip")
    ((_, dead_letter),) = dead_letters(driver, "careless")
    assert "has no slash" in dead_letter.error
    settle(driver, "careless", discard=True)
    driver.execute(Deposit(amount=2), "p", correlation_id="trip")
    (event,) = driver.records(driver.topic("careless", "events"))
    assert event.headers["ce_id"] == b"trip:0"
    assert driver.state("trip", "careless").count == 1


def test_a_rejection_whose_ids_are_no_text_changes_no_state(driver: TopologyDriver) -> None:
    Mood.answer = None
    driver.execute(Deposit(amount=1), "p")
    driver.execute(Deposit(amount=10), "p")
    (notice,) = driver.records(driver.topic("purse", "inbox"))
    headers: Headers = [(k, b"\xff" if k == "ce_id" else v) for k, v in notice.headers.items()]
    driver.produce(notice.topic, notice.key, notice.value, headers)
    assert driver.execute(Deposit(amount=10), "p").messages == [Deposited(amount=10, balance=20)]
    assert len(driver.messages("p", "purse")) == 4


def test_a_refusal_to_a_topic_that_is_not_there_is_kept() -> None:
    """Written, it would end the transaction, and its command would come again and again."""
    fixture = StepFixture(counts={"main.account.commands": 1})
    outcome = fixture.tell(Withdraw(amount=5), headers={"ce_rejectto": b"nowhere:r"}, reply_to=None, topic=INBOX)
    assert outcome.kind("inbox") == []
    assert "no topic main.nowhere.inbox" in outcome.dead[0].error
