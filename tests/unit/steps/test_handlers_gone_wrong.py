"""Whatever a handler does hurts its record alone; what would fail any record hurts none (invariant 11)."""

import pytest

from headrace import Names
from headrace.schemas.headrace_v1_pb2 import Reply
from headrace.streams.steps.dead_letters import settling
from headrace.streams.steps.store import Head, StoreFailed
from headrace.testing.memory_store import MemoryStore
from tests.support.bank import messages_pb2 as pb
from tests.support.step_fixture import StepFixture


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("exit", "SystemExit"),
        ("interrupt", "KeyboardInterrupt"),
        ("deep", "RecursionError"),
        ("endless", "HandlerError"),
        ("raise", "ZeroDivisionError"),
    ],
)
def test_a_handler_hurts_its_record_alone(how: str, error: str) -> None:
    fixture = StepFixture()
    fixture.step.of_the_process = ()  # as where the runtime has it
    outcome = fixture.tell(pb.Deposit(amount=1), pb.Burst(how=how), pb.Deposit(amount=2))
    assert [reply.status for reply in outcome.replies] == [Reply.ACCEPTED, Reply.FAILED, Reply.ACCEPTED]
    assert [dead_letter.error_class for dead_letter in outcome.dead] == [error]
    assert fixture.state().balance == 3


def test_a_persons_ctrl_c_is_no_handlers_doing() -> None:
    with pytest.raises(KeyboardInterrupt):
        StepFixture().tell(pb.Burst(how="interrupt"))


class BrokenStore(MemoryStore):
    """Reads nothing any more."""

    def head(self, root: bytes) -> Head:
        raise StoreFailed("the disk is gone", "/somewhere")


def test_a_store_that_fails_makes_no_dead_letters() -> None:
    """Else each valid command would be one, and everything would look well."""
    fixture = StepFixture(store=BrokenStore())
    with pytest.raises(StoreFailed):
        fixture.step.handle(fixture.record(pb.Deposit(amount=1)))
    assert fixture.step.outputs == []


def test_memory_that_is_full_makes_no_dead_letters() -> None:
    fixture = StepFixture()
    with pytest.raises(MemoryError):
        fixture.step.handle(fixture.record(pb.Burst(how="memory")))
    assert fixture.step.outputs == []


def test_what_is_too_large_to_be_kept_is_kept_by_reference() -> None:
    """A dead letter that is too large itself would be written, and refused, again and again."""
    fixture = StepFixture()
    large = fixture.record(pb.Burst(how="raise"), value=b"\x00" * 17_000_000)
    outcome = fixture.run(large, fixture.record(pb.Deposit(amount=2)))
    (dead_letter,) = outcome.dead
    assert (dead_letter.value, dead_letter.omitted) == (b"", 17_000_000)
    assert (dead_letter.topic, dead_letter.offset) == (large.topic, large.offset)
    assert settling("id", dead_letter, fixture.spec, Names(), "main", discard=False) is None
    assert settling("id", dead_letter, fixture.spec, Names(), "main", discard=True) is not None
    assert fixture.state().balance == 2
