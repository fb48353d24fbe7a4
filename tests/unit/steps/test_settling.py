"""Dead letters of each kind, sent again and given up: what comes of it, and that each can be settled."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from headrace import (
    Cascade,
    Flag,
    ProcessManager,
    Schedule,
    Topology,
    applies,
    reacts,
)
from headrace.schemas.headers import Headers
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Settled
from headrace.testing import TopologyDriver
from tests.support.bank import reactions
from tests.support.bank.accounts import Book, Purse
from tests.support.bank.messages_pb2 import (
    Account,
    Annotated,
    Deposit,
    Deposited,
    Opened,
    Stashed,
    Withdraw,
    Withdrawn,
)
from tests.support.bank.reactions import Keeper, Warden
from tests.support.step_fixture import INBOX, StepFixture

REJECTION = b"headrace.v1.Rejection"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def driver() -> TopologyDriver:
    return TopologyDriver(reactions.topology, start=NOW)


@pytest.fixture
def timed() -> TopologyDriver:
    return TopologyDriver(reactions.timed, start=NOW)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warden keeps refusals for a person."""
    monkeypatch.setattr(Warden, "answer", Flag.DEAD_LETTER)


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


def test_a_refused_command_sent_again_is_decided_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The saga's cascade mode keeps refused commands for a person, who sends them again at a better time."""

    class Insistent(Keeper):
        on_rejection = Cascade.DEAD_LETTER

    driver = TopologyDriver(Topology(Purse, Book, Insistent), start=NOW)
    driver.execute(Deposit(amount=71), "p")
    assert driver.messages("p", "book") == []
    settle(driver, "book")
    assert len(dead_letters(driver, "book")) == 2
    assert dead_letters(driver, "book")[1][1].attempts == 2
    monkeypatch.setattr(Book, "refused", ())
    settle(driver, "book", 1)
    settle(driver, "book", 1)
    settle(driver, "book", 0)
    assert driver.messages("p", "book") == [Annotated(note="dead")]
    assert len(driver.messages("p", "purse")) == 1


def test_a_rejection_sent_again_is_compensated_again(driver: TopologyDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver.execute(Deposit(amount=71), "p")
    dead_letter_id = settle(driver, "purse")
    assert settled(driver, "purse") == [(dead_letter_id, "replayed")]
    assert dead_letters(driver, "purse")[1][1].attempts == 2
    monkeypatch.setitem(Purse.answers, "dead", None)
    settle(driver, "purse", 1)
    settle(driver, "purse", 1)
    settle(driver, "purse", 0)
    assert driver.messages("p", "purse")[1:] == [Withdrawn(amount=0, balance=71)]


@pytest.mark.usefixtures("kept")
def test_a_rejection_that_a_process_keeps_can_be_sent_again(
    timed: TopologyDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed.execute(Deposit(amount=17), "p", correlation_id="trip")
    dead_letter_id = settle(timed, "warden")
    assert settled(timed, "warden") == [(dead_letter_id, "replayed")]
    assert len(dead_letters(timed, "warden")) == 2
    monkeypatch.setattr(Warden, "answer", None)
    settle(timed, "warden", 1)
    settle(timed, "warden", 1)
    settle(timed, "warden", 0)
    assert timed.messages("trip", "warden") == [Stashed(pocket="refused", amount=1)]


@pytest.mark.usefixtures("kept")
def test_a_rejection_that_a_process_keeps_can_be_given_up(timed: TopologyDriver) -> None:
    timed.execute(Deposit(amount=17), "p", correlation_id="trip")
    dead_letter_id = settle(timed, "warden", discard=True)
    assert settled(timed, "warden") == [(dead_letter_id, "discarded")]
    assert timed.messages("trip", "warden") == []


def test_attempts_of_a_saga_are_counted(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=13), "p")
    for number in range(3):
        settle(driver, "keeper", number)
    assert [dead_letter.attempts for _, dead_letter in dead_letters(driver, "keeper")] == [1, 2, 3, 4]
    assert [h.key for h in dead_letters(driver, "keeper")[3][1].headers] == [
        h.key for h in dead_letters(driver, "keeper")[0][1].headers
    ]


def test_attempts_of_a_process_are_counted(timed: TopologyDriver) -> None:
    timed.execute(Deposit(amount=61), "p", correlation_id="trip")
    timed.clock.advance(timedelta(minutes=1))
    for number in range(2):
        settle(timed, "warden", number)
    assert [dead_letter.attempts for _, dead_letter in dead_letters(timed, "warden")] == [1, 2, 3]


def test_a_state_that_cannot_be_read_makes_the_event_dead(timed: TopologyDriver) -> None:
    """Rather than wait for it for ever."""
    timed.execute(Deposit(amount=61), "p", correlation_id="trip")
    timed.clock.advance(timedelta(minutes=1))
    ((_, dead_letter),) = dead_letters(timed, "warden")
    assert "control characters" in dead_letter.error
    dead_letter_id = settle(timed, "warden", discard=True)
    assert settled(timed, "warden") == [(dead_letter_id, "discarded")]


@pytest.mark.parametrize("root", ["p", "table/1", "a:1", "a/b:c/d"])
def test_a_refusal_that_a_process_leaves_goes_to_the_aggregate_whatever_its_roots_name(
    root: str, timed: TopologyDriver
) -> None:
    timed.execute(Deposit(amount=7), root, correlation_id="trip")
    assert timed.messages(root, "purse")[1:] == [Withdrawn(amount=0, balance=7)]


@pytest.mark.parametrize("trip", ["trip", "trip:1", "a/b:c/d"])
def test_a_refusal_of_what_a_time_out_sent_is_nobody_elses(trip: str, timed: TopologyDriver) -> None:
    """No aggregate caused it; it is kept, and nothing is written to a topic that is not there."""
    timed.execute(Deposit(amount=62), "p", correlation_id=trip)
    timed.clock.advance(timedelta(minutes=1))
    ((_, dead_letter),) = dead_letters(timed, "warden")
    assert "nobody to tell of it" in dead_letter.error
    assert not [r for r in timed.records(timed.topic("purse", "inbox")) if r.headers["ce_type"] == REJECTION]


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
    driver.execute(Deposit(amount=7), "p")
    driver.execute(Deposit(amount=10), "p")
    (notice,) = driver.records(driver.topic("purse", "inbox"))
    headers: Headers = [(k, b"\xff" if k == "ce_id" else v) for k, v in notice.headers.items()]
    driver.produce(notice.topic, notice.key, notice.value, headers)
    assert driver.execute(Deposit(amount=10), "p").messages == [Deposited(amount=10, balance=27)]
    assert len(driver.messages("p", "purse")) == 4


def test_a_refusal_to_a_topic_that_is_not_there_is_kept() -> None:
    """Written, it would end the transaction, and its command would come again and again."""
    fixture = StepFixture(counts={"main.account.commands": 1})
    outcome = fixture.tell(Withdraw(amount=5), headers={"ce_rejectto": b"nowhere:r"}, reply_to=None, topic=INBOX)
    assert outcome.kind("inbox") == []
    assert "no topic main.nowhere.inbox" in outcome.dead[0].error
