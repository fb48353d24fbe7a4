"""Sagas and process managers, one batch at a time: what an abort leaves, what is misplaced, what a person is told."""

import pytest

from headrace import Flag, Names
from headrace.schemas.headers import CAUSATION, DISCARD, ID, REPLAY_OF, SUBJECT, TYPE
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Header, Rejection, Revoked
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Output
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.dead_letters import settling
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import StoreFailed
from headrace.testing.memory_store import MemoryStore
from headrace.topology.partitioner import partition_of
from headrace.topology.topology import Topology
from tests.support.bank import reactions
from tests.unit.steps.test_refused_events import CASES, IDS, REFUSED, Played, event

WARDEN = "main.warden.inbox"


def warden(topology: Topology = reactions.timed, *, partition: int = 0, partitions: int = 1) -> Step:
    context = StepContext(Names(), "main", partition, partitions, reply_partitions=1)
    return make_step(topology, "warden", MemoryStore(), context)


def topics(outputs: list[Output]) -> list[str]:
    return [output[0].removeprefix("main.") for output in outputs]


@pytest.mark.parametrize(("topology", "name", "source", "written"), CASES, ids=IDS)
def test_nothing_waits_behind_an_event_whose_batch_was_aborted(
    topology: Topology, name: str, source: str, written: str
) -> None:
    played = Played(topology, name)
    played.step.refuse(event(source, 0), REFUSED)
    played.step.rolled_back()
    played.step.handle(event(source, 1))
    assert played.commit(written) == 1


def test_an_abort_takes_back_what_a_process_knows() -> None:
    played = Played(reactions.timed, "warden")
    played.step.handle(event(WARDEN, 1))
    played.step.rolled_back()
    played.step.handle(event(WARDEN, 1))
    (written,) = [output for output in played.step.outputs if output[0] == "main.warden.events"]
    assert written[2] == "root|00000000000000000000"
    assert played.commit("main.warden.events") == 1


@pytest.mark.parametrize("right", [0, 1])
def test_a_record_of_another_partition_is_passed_on_as_it_is(right: int) -> None:
    root = next(f"root-{n}" for n in range(99) if partition_of(f"root-{n}".encode(), 2) == right).encode()
    record = event(WARDEN, 3)._replace(key=root)
    step = warden(partition=1 - right, partitions=2)
    step.handle(record)
    assert step.outputs == [(WARDEN, record.value, root, right, list(record.headers.items()))]
    assert step.batch.written().forwarded == 1
    step = warden(partition=right, partitions=2)
    step.handle(record._replace(partition=right))
    assert topics(step.outputs) == ["warden.events"]


def rejection(command: str = "bank.v1.Touch", cause: str = "/main/purse/p:0") -> Record:
    """Of a command that the process sent for an event of its own root."""
    told = Rejection(
        component="aggregate:book", root="b", command_id="c", command_type=command, reason="never", cause=cause
    )
    base = event(WARDEN, 5)
    headers = {**base.headers, TYPE: b"headrace.v1.Rejection", ID: b"c!", CAUSATION: b"c"}
    return base._replace(value=told.SerializeToString(), headers=headers)


@pytest.mark.parametrize(("flag", "told"), [(Flag.ESCALATE, True), (Flag.DEAD_LETTER, False)])
def test_a_person_is_told_of_what_a_process_escalates(flag: Flag, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions.Warden, "answer", flag)
    step = warden()
    step.handle(rejection())
    about = {"refused_by": "aggregate:book b", "command": "bank.v1.Touch", "reason": "never"}
    expected = [{"root": "root", **about, "correlation_id": "root"}] if told else []
    assert step.batch.staged.escalations == expected
    (dead,) = step.outputs
    assert dead[0] == "main.warden.dead-letters"
    assert DeadLetter.FromString(dead[1] or b"").error_class == "Uncompensated"
    step.handle(rejection())
    assert len(step.outputs) == 1, "the same one again is no other dead letter"
    assert step.batch.written().repeated == 1


def test_a_rejection_without_compensation_goes_to_whose_event_it_was() -> None:
    step = warden()
    step.handle(rejection("bank.v1.Annotate"))
    ((topic, _, key, partition, headers),) = step.outputs
    assert (topic, key, partition) == ("main.purse.inbox", "p", 0)
    assert dict(headers or [])[SUBJECT] == b"p"
    step = warden()
    step.handle(rejection("bank.v1.Annotate", cause="/main/warden/p:0"))
    assert topics(step.outputs) == ["warden.dead-letters"], "a process's own event: nobody is to be told"


# ---- what settles a dead letter


@pytest.mark.parametrize(("subject", "key"), [(b"s", b"s"), (b"", b"k"), (None, b"k")])
def test_a_dead_letter_of_a_saga_is_sent_again_by_its_root(subject: bytes | None, key: bytes) -> None:
    spec = reactions.topology.component("keeper")
    headers = [] if subject is None else [Header(key=SUBJECT, value=subject)]
    dead_letter = DeadLetter(topic="main.purse.events", key=b"k", value=b"v", headers=headers, attempts=2)
    for discard in (False, True):
        found = settling("main.purse.events/0/7", dead_letter, spec, Names(), "main", discard=discard)
        assert found is not None
        assert found[:3] == ("main.keeper.inbox", b"v", key)
        assert dict(found[3])[REPLAY_OF] == "main.purse.events/0/7"
        assert (DISCARD in dict(found[3])) is discard


def test_an_event_that_a_process_takes_back_has_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was of another root: the process has no event of its own to name."""
    monkeypatch.setattr(reactions.Warden, "answer", Flag.REVOKE)
    step = warden()
    step.handle(rejection())
    (revoked,) = (Revoked.FromString(output[1] or b"") for output in step.outputs if output[0] == "main.warden.events")
    assert revoked.sequence == -1


def test_results_that_are_too_old_are_forgotten_on_the_log_too() -> None:
    class Old(MemoryStore):
        def expired(self, now: int) -> list[bytes]:
            return [b"\0answers|%d" % now]

    context = StepContext(Names(), "main", 0, 1, reply_partitions=1)
    step = make_step(reactions.timed, "purse", Old(), context)
    assert step.finish(7).forgotten == [b"\0answers|7"]
    assert step.outputs == [("main.purse.snapshots", None, b"\0answers|7", 0, None)]


def test_a_store_that_failed_says_how() -> None:
    failed = StoreFailed("bad block", "here", damaged=True)
    assert (str(failed), failed.folder, failed.damaged) == ("bad block", "here", True)
