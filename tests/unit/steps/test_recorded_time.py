"""When events are recorded: never before an earlier event of the partition, whatever clocks do."""

from headrace.schemas.stored_event import recorded_of
from tests.support.bank import messages_pb2 as pb
from tests.support.step_fixture import StepFixture


def recorded(fixture: StepFixture, now: int | None, *, commit: bool = True) -> int:
    """The recorded time of a batch of two commands that begins at `now`."""
    if now is not None:
        fixture.step.begin(now)
    for root in ("r", "s"):
        fixture.step.handle(fixture.record(pb.Deposit(amount=1), root))
    fixture.step.outputs.clear()
    staged = fixture.step.finish(now or 0)
    (found,) = {recorded_of(value) for _, _, value in staged.history}
    assert found == staged.recorded
    if commit:
        fixture.store.put(staged)
        fixture.step.committed()
        for root in ("r", "s"):
            assert fixture.snapshot(root).recorded == found
    else:
        fixture.step.rolled_back()
    return found


def test_a_batch_has_one_recorded_time_and_that_increases_from_batch_to_batch() -> None:
    fixture = StepFixture()
    assert [recorded(fixture, now) for now in (100, 100, 90, 200, 201, None)] == [100, 101, 102, 200, 201, 202]


def test_it_increases_across_restarts_too() -> None:
    fixture = StepFixture()
    recorded(fixture, 100)
    fixture.restart()
    assert recorded(fixture, 50) == 101


def test_the_time_of_an_aborted_batch_may_be_used_again() -> None:
    fixture = StepFixture()
    recorded(fixture, 100, commit=False)
    assert recorded(fixture, 100) == 100
