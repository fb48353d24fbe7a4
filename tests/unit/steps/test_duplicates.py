"""A command that comes again gets its first answer again, and nothing else happens."""

import pytest
from google.protobuf.message import Message

from headrace.schemas.headers import CORRELATION
from tests.support.bank import messages_pb2 as pb
from tests.support.step_fixture import Outcome, Reply, StepFixture


def twice(
    fixture: StepFixture, together: bool, first: pb.Transfer | pb.Withdraw, **more: str | None
) -> tuple[Reply, Outcome]:
    """The same command twice, in one batch or in two; the first answer, and what the repeat alone led to."""
    again = fixture.record(first, id="same", **more)  # type: ignore[arg-type]
    if together:
        outcome = fixture.run(fixture.record(first, id="same"), again)
        size = len(outcome.outputs) - len(outcome.kind("snapshots"))
        tail = [o for o in outcome.outputs[:size] if o[0].endswith("replies")][1:]
        return outcome.replies[0], Outcome(tail, outcome.written)
    answer = fixture.tell(first, id="same").reply
    return answer, fixture.run(again)


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
class TestOnce:
    def test_accepted_is_repeated_with_its_events(self, together: bool) -> None:
        fixture = StepFixture()
        fixture.tell(pb.Deposit(amount=1))
        first, repeat = twice(fixture, together, pb.Transfer(amounts=[5, 6]))
        assert repeat.reply.already_processed
        assert not first.already_processed
        repeat_reply = repeat.reply
        repeat_reply.already_processed = False
        assert repeat_reply == first
        assert [e.sequence for e in first.events] == [1, 2]
        assert fixture.state().balance == 12
        assert repeat.written.repeated == 1

    def test_rejected_is_repeated_with_its_reason(self, together: bool) -> None:
        fixture = StepFixture()
        first, repeat = twice(fixture, together, pb.Withdraw(amount=5))
        assert first.status == Reply.REJECTED
        assert repeat.reply.already_processed
        assert (repeat.reply.status, repeat.reply.reason, repeat.reply.code) == (
            Reply.REJECTED,
            "balance is 0, 5 asked for",
            "funds",
        )
        assert (repeat.reply.command_id, repeat.reply.root, repeat.reply.sequence) == ("same", "r", -1)

    def test_a_repeated_rejection_has_no_events_whatever_the_root_has(self, together: bool) -> None:
        fixture = StepFixture()
        refused = [fixture.record(pb.Withdraw(amount=50), id="same") for _ in range(2)]
        before = [fixture.record(pb.Deposit(amount=amount)) for amount in (2, 3)]
        outcomes = [fixture.run(*before, *refused)] if together else [fixture.run(r) for r in (*before, *refused)]
        repeat = outcomes[-1].replies[-1]
        assert (repeat.status, repeat.already_processed, list(repeat.events)) == (Reply.REJECTED, True, [])

    def test_a_repeat_that_wants_no_answer_gets_none(self, together: bool) -> None:
        fixture = StepFixture()
        _, repeat = twice(fixture, together, pb.Transfer(amounts=[5]), reply_to=None)
        assert repeat.outputs == []
        assert fixture.state().balance == 5

    def test_a_rejection_without_an_answer_is_a_dead_letter_once(self, together: bool) -> None:
        fixture = StepFixture()
        records = [fixture.record(pb.Withdraw(amount=5), id="same", reply_to=None) for _ in range(2)]
        outcomes = [fixture.run(*records)] if together else [fixture.run(record) for record in records]
        assert [dead_letter.error for outcome in outcomes for dead_letter in outcome.dead] == [
            "balance is 0, 5 asked for"
        ]
        assert outcomes[-1].written.repeated == 1

    def test_a_command_without_events_is_repeated(self, together: bool) -> None:
        fixture = StepFixture()
        fixture.tell(pb.Deposit(amount=1))
        first, repeat = twice(fixture, together, pb.Transfer())
        assert (first.sequence, repeat.reply.sequence) == (0, 0)
        assert repeat.reply.already_processed
        assert list(repeat.reply.events) == []


def test_the_first_answer_stays_the_same_whatever_happened_since() -> None:
    fixture = StepFixture()
    refused = fixture.tell(pb.Withdraw(amount=5), id="early").reply
    accepted = fixture.tell(pb.Deposit(amount=100), id="first").reply
    fixture.tell(*[pb.Deposit(amount=1)] * 20)
    again = fixture.run(
        fixture.record(pb.Withdraw(amount=5), id="early"), fixture.record(pb.Deposit(amount=100), id="first")
    )
    for reply in again.replies:
        reply.already_processed = False
    assert [r.reason for r in again.replies] == [refused.reason, ""]
    assert again.replies[1].sequence == accepted.sequence == 0
    assert list(again.replies[1].events) == list(accepted.events)
    assert fixture.state().balance == 120


def test_a_repeat_after_a_restart() -> None:
    fixture = StepFixture()
    first = fixture.tell(pb.Transfer(amounts=[5, 6]), id="same").reply
    fixture.restart()
    again = fixture.tell(pb.Transfer(amounts=[5, 6]), id="same").reply
    assert list(again.events) == list(first.events)
    assert again.already_processed


def test_a_repeat_has_the_type_and_value_of_the_first() -> None:
    """Its correlation and expected sequence do not matter: the first answer stands."""
    fixture = StepFixture()
    fixture.tell(pb.Deposit(amount=1), id="same")
    repeats = fixture.run(
        fixture.record(pb.Deposit(amount=1), id="same", headers={CORRELATION: b"other"}),
        fixture.record(pb.Deposit(amount=1), id="same", expected=77),
    )
    assert [(r.status, r.already_processed) for r in repeats.replies] == [(Reply.ACCEPTED, True)] * 2
    assert repeats.kind("events") == []


@pytest.mark.parametrize("first", [pb.Deposit(amount=1), pb.Withdraw(amount=1)], ids=["accepted", "rejected"])
def test_another_command_under_a_known_id_is_an_error(first: Message) -> None:
    """It would vanish, if it were taken for a repetition; and neither its sender nor the first one would know."""
    fixture = StepFixture()
    fixture.tell(first, id="same")
    others = fixture.run(
        fixture.record(pb.Deposit(amount=99), id="same"),
        fixture.record(pb.Open(owner="x"), id="same"),
        fixture.record(pb.Deposit(), id="same", value=b"\xff"),
    )
    assert [r.status for r in others.replies] == [Reply.FAILED] * 3
    assert all("the id same was used before" in dead_letter.error for dead_letter in others.dead)
    assert (len(others.dead), others.kind("events")) == (3, [])


def test_ids_are_a_roots_own() -> None:
    fixture = StepFixture()
    outcome = fixture.run(*(fixture.record(pb.Deposit(amount=1), root=root, id="same") for root in ("a", "b", "a")))
    assert [r.already_processed for r in outcome.replies] == [False, False, True]
    assert len(outcome.events) == 2


def test_a_failed_command_may_be_sent_again() -> None:
    """What lies in the dead letters was not decided, so the same id is handled when it comes again."""
    fixture = StepFixture()
    assert fixture.tell(pb.Burst(how="raise"), id="same").reply.status == Reply.FAILED
    assert fixture.tell(pb.Deposit(amount=1), id="same").reply.status == Reply.ACCEPTED


def test_an_aborted_batch_leaves_no_answer() -> None:
    fixture = StepFixture()
    fixture.handle(fixture.record(pb.Deposit(amount=1), id="same"))
    fixture.step.finish(0)
    fixture.step.rolled_back()
    assert not fixture.tell(pb.Deposit(amount=1), id="same").reply.already_processed
    assert fixture.state().balance == 1
