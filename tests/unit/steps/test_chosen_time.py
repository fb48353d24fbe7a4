"""`ce_now`: in an edition a command is decided at the time that it names; in main nobody may choose the time."""

import pytest

from headrace import Aggregate, Context, applies, handles
from headrace.schemas.headers import NOW, TIME
from headrace.schemas.record import LATEST, rfc3339
from headrace.testing.request import raw
from tests.support.bank.messages_pb2 import Account, Deposit, Deposited
from tests.support.step_fixture import NOW as AT
from tests.support.step_fixture import StepFixture


class Clocked(Aggregate[Account]):
    """Says in its events which year it is."""

    domain = "clocked"

    @handles
    def deposit(self, state: Account, command: Deposit, context: Context) -> Deposited:
        return Deposited(amount=context.now.year, balance=state.balance + context.now.year)

    @applies
    def deposited(self, state: Account, event: Deposited) -> None:
        state.balance = event.balance


def test_in_an_edition_it_is_what_handlers_and_events_are_told() -> None:
    step = StepFixture(Clocked, edition="trial")
    step.step.begin(AT)
    outcome = step.run(step.record(Deposit(amount=1), headers={NOW: b"2031-02-03T04:05:06.789Z"}))
    assert outcome.reply.status == outcome.reply.ACCEPTED, outcome.reply
    (event,) = outcome.events
    assert event == Deposited(amount=2031, balance=2031)
    ((*_, headers),) = outcome.kind("events")
    assert raw(headers or [])[TIME] == b"2031-02-03T04:05:06.789Z"
    (stored,) = step.store.history(b"r", 0, 0)
    assert f"\0{AT}\0".encode() in stored, "when it was recorded is not for anybody to choose"


def test_in_main_it_is_refused_and_the_next_record_is_handled() -> None:
    step = StepFixture(Clocked)
    step.step.begin(AT)
    asked = step.record(Deposit(amount=1), headers={NOW: b"2031-02-03T04:05:06Z"})
    outcome = step.run(asked, step.record(Deposit(amount=1)))
    refused, accepted = outcome.replies
    assert "ce_now is for editions alone" in refused.reason
    assert (accepted.status, len(outcome.events), len(outcome.dead)) == (accepted.ACCEPTED, 1, 1)
    assert outcome.events == [Deposited(amount=2023, balance=2023)]


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"yesterday", b"2031-02-03T04:05:06", b"\xff", b"9" * 5000),
        *(b"1969-12-31T23:59:59Z", b"0001-01-01T00:00Z"),
    ],
    ids=ascii,
)
def test_what_is_no_time_is_a_dead_letter_that_says_so(text: bytes) -> None:
    step = StepFixture(Clocked, edition="trial")
    step.step.begin(AT)
    outcome = step.run(step.record(Deposit(amount=1), headers={NOW: text}))
    assert "ce_now is b" in outcome.reply.reason
    assert "must be a time such as" in outcome.dead[0].error
    assert outcome.events == []


@pytest.mark.parametrize("moment", [0, LATEST])
def test_the_first_and_the_last_moment_are_taken(moment: int) -> None:
    step = StepFixture(Clocked, edition="trial")
    step.step.begin(AT)
    outcome = step.run(step.record(Deposit(amount=1), headers={NOW: rfc3339(moment).encode()}))
    assert outcome.events == [Deposited(amount=year, balance=year) for year in [1970 if not moment else 9999]]
