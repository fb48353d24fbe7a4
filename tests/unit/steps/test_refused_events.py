"""Events that the runtime refuses, as what they lead to is too large for a broker: dead like any others, in order."""

import pytest

from headrace import Names
from headrace.schemas.changelog import QUEUE
from headrace.schemas.headers import DISCARD, ID, ORIGIN, REPLAY_OF, SPECVERSION
from headrace.schemas.headrace_v1_pb2 import DeadLetter
from headrace.schemas.record import CloudEvent, Record
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.errors import RecordTooLarge
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.step import Step
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import raw
from headrace.topology.topology import Topology
from tests.support.bank import messages_pb2 as pb
from tests.support.bank import reactions

CASES = [
    (reactions.topology, "keeper", "main.purse.events", "main.book.inbox"),
    (reactions.timed, "warden", "main.warden.inbox", "main.warden.events"),
]
IDS = ["saga", "process manager"]
REFUSED = RecordTooLarge("above the limit")


def event(topic: str, number: int) -> Record:
    """One of the events of a root."""
    key = "root" if topic.endswith("inbox") else f"root|{number:020d}"
    about = CloudEvent(
        id=f"root:{number}",
        source="/main/purse",
        type="bank.v1.Deposited",
        subject="root",
        extensions={"sequence": str(number), "correlationid": "root"},
    )
    data = pb.Deposited(amount=number + 3).SerializeToString()
    return Record(topic, 0, number, 1_700_000_000_000, key.encode(), data, raw(about.headers()))


class Played:
    """A step and its store, batch by batch."""

    def __init__(self, topology: Topology, name: str) -> None:
        self.store = MemoryStore()
        context = StepContext(Names(), "main", 0, 1, reply_partitions=1)
        self.step: Step = make_step(topology, name, self.store, context)

    def commit(self, kind: str) -> int:
        """End the batch; how many records it wrote to a topic."""
        staged = self.step.finish(0)
        self.store.put(staged)
        written = sum(output[0] == kind for output in self.step.outputs)
        self.step.committed()
        return written


@pytest.mark.parametrize(("topology", "name", "source", "written"), CASES, ids=IDS)
def test_those_behind_a_refused_event_wait_for_it(topology: Topology, name: str, source: str, written: str) -> None:
    played = Played(topology, name)
    played.step.refuse(event(source, 0), REFUSED)
    assert played.commit(written) == 0
    for number in (1, 2):
        played.step.handle(event(source, number))
    assert played.commit(written) == 0, "they overtook it"
    first = event(source, 0)
    replay = {REPLAY_OF: f"{source}/0/0".encode(), ORIGIN: source.encode()}
    again = first._replace(topic=f"main.{name}.inbox", key=b"root", offset=99, headers={**first.headers, **replay})
    played.step.handle(again)
    assert played.commit(written) == 3


@pytest.mark.parametrize("missing", [ID, SPECVERSION])
@pytest.mark.parametrize(("topology", "name", "source", "written"), CASES, ids=IDS)
def test_those_behind_an_event_with_an_incomplete_envelope_wait_for_it(
    topology: Topology, name: str, source: str, written: str, missing: str
) -> None:
    played = Played(topology, name)
    first = event(source, 0)
    incomplete = first._replace(headers={key: value for key, value in first.headers.items() if key != missing})
    played.step.handle(incomplete)
    played.step.handle(event(source, 1))
    assert played.commit(written) == 0, "it overtook it"
    replay = {REPLAY_OF: f"{source}/0/0".encode(), ORIGIN: source.encode(), DISCARD: b"1"}
    again = first._replace(topic=f"main.{name}.inbox", key=b"root", offset=99, headers={**first.headers, **replay})
    played.step.handle(again)
    assert played.commit(written) == 1


@pytest.mark.parametrize(("topology", "name", "source", "written"), CASES, ids=IDS)
def test_one_that_cannot_be_kept_holds_up_nothing(topology: Topology, name: str, source: str, written: str) -> None:
    """It is in the dead letters by reference only, so that nobody can replay it."""
    played = Played(topology, name)
    played.step.refuse(event(source, 0), REFUSED, whole=False)
    (dead,) = (output[1] for output in played.step.outputs if output[0].endswith(".dead-letters"))
    assert DeadLetter.FromString(dead or b"").omitted == len(event(source, 0).value or b"")
    assert played.commit(written) == 0
    played.step.handle(event(source, 1))
    assert played.commit(written) == 1


@pytest.mark.parametrize(("topology", "name", "source", "written"), CASES, ids=IDS)
def test_a_large_event_that_waits_is_hardly_larger_than_it_was(
    topology: Topology, name: str, source: str, written: str
) -> None:
    """So that the changelog, whose records may be larger than those of any input, always takes it."""
    played = Played(topology, name)
    headers = {**event(source, 0).headers, **{f"ce_x{n}": b"y" * 1000 for n in range(30)}}
    large = event(source, 0)._replace(value=bytes(1_000_000), headers=headers)
    played.step.refuse(large, REFUSED)
    ((_, entry),) = played.step.batch.entries(QUEUE)
    assert len(entry) - len(large.value or b"") - sum(len(n) + len(v) for n, v in headers.items()) < 2000
