"""A record is all or nothing: what fails takes back exactly what it staged, wherever in the step it failed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Names
from headrace.schemas.changelog import QUEUE
from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.headers import CASCADE, ENGINE_ONLY, ID, REJECT_TO, REPLY_TO, SOURCE
from headrace.schemas.headrace_v1_pb2 import Reply
from headrace.schemas.record import CloudEvent, Record
from headrace.streams.steps.batch import Output, Written
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.step import Step
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import raw
from headrace.topology.topology import Topology
from tests.support.bank import accounts, reactions
from tests.support.bank import messages_pb2 as pb

NOW = 1_700_000_000_000
REPLIES = Names().replies


class Planted(Exception):
    """The failure that a test has planted."""


class Mine:
    """Goes off at the n-th thing that the step does for a record."""

    def __init__(self) -> None:
        self.left = 0

    def arm(self, steps: int) -> None:
        self.left = steps

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Planted


class Watched(list[Any]):
    """A list that tells the mine of what is added."""

    def __init__(self, mine: Mine) -> None:
        super().__init__()
        self._mine = mine

    def append(self, item: Any) -> None:
        super().append(item)
        self._mine.tick()


class WatchedTable(dict[bytes, Any]):
    """A table that tells the mine of what is put."""

    def __init__(self, mine: Mine) -> None:
        super().__init__()
        self._mine = mine

    def __setitem__(self, key: bytes, value: Any) -> None:
        super().__setitem__(key, value)
        self._mine.tick()


def mined(step: Step) -> Mine:
    """Let a mine know of all that is staged in the step's batch, just after it was staged."""
    mine, batch = Mine(), step.batch
    batch.outputs = Watched(mine)
    batch.staged.history = Watched(mine)
    batch.staged.results, batch.staged.entries = WatchedTable(mine), WatchedTable(mine)
    batch._counted = Watched(mine)
    fail = step._fail

    def safely(record: Record, error: Exception) -> None:
        mine.arm(0)
        fail(record, error)

    step._fail = safely  # type: ignore[method-assign, assignment]
    return mine


@dataclass
class Result:
    """What a batch came to."""

    outputs: list[Output]
    staged: Any
    written: Written
    states: dict[bytes, tuple[int, bytes, list[bytes]]]
    failed: list[int]
    """Records that did not succeed."""


def run(make: Callable[[], Step], records: Iterable[Record], mines: dict[int, int]) -> Result:
    step = make()
    mine, failed = mined(step), []
    for index, record in enumerate(records):
        before = step.batch.written().failed
        mine.arm(mines.get(index, 0))
        step.handle(record)
        mine.arm(0)
        if step.batch.written().failed > before:
            failed.append(index)
    cache = getattr(step, "_cache", None)
    states = (
        {}
        if cache is None
        else {
            key: (live.sequence, live.state.SerializeToString(deterministic=True), list(live.pending))
            for key, live in cache.live.items()
            if live.sequence >= 0
        }
    )
    return Result(list(step.outputs), step.batch.staged, step.batch.written(), states, failed)


def check(make: Callable[[], Step], records: list[Record], mines: dict[int, int], *, queued: bool) -> Result:
    """The result equals that without the records that failed, plus their dead letters (and replies, and queues)."""
    whole = run(make, records, mines)
    rest = run(make, [record for index, record in enumerate(records) if index not in whole.failed], {})
    lost = {records[index].headers[ID] for index in whole.failed}
    dead_letters = [output for output in whole.outputs if output[0].endswith(".dead-letters")]
    kept = [output for output in whole.outputs if not about(output, lost)]
    assert kept == [output for output in rest.outputs if not about(output, lost)]
    assert len(dead_letters) - len([o for o in rest.outputs if o[0].endswith(".dead-letters")]) == len(whole.failed)
    entries = {k: v for k, v in whole.staged.entries.items() if not (queued and k.startswith(QUEUE))}
    assert entries == rest.staged.entries
    assert whole.staged.results == rest.staged.results
    assert list(whole.staged.history) == list(rest.staged.history)
    assert whole.staged.escalations == rest.staged.escalations
    assert whole.states == rest.states
    more = {"failed": len(whole.failed), "parked": len(whole.failed) if queued else 0}
    assert whole.written == rest.written._replace(**{k: getattr(rest.written, k) + n for k, n in more.items()})
    return whole


def about(output: Output, lost: set[bytes]) -> bool:
    """Whether an output is the dead letter of a lost record, or the reply that it has failed."""
    topic, value, *_ = output
    if topic == REPLIES:
        reply = Reply.FromString(value or b"")
        return reply.status == Reply.FAILED and reply.command_id.encode() in lost
    return topic.endswith(".dead-letters") and any(one in (value or b"") for one in lost)


def record(topic: str, offset: int, key: str, message: Message, **headers: bytes | str) -> Record:
    """An input; headers by their names without `ce_`."""
    event = CloudEvent(
        id=f"id-{offset:04}-",
        source="/test",
        type=message.DESCRIPTOR.full_name,
        subject=key,
        content_type=PROTOBUF,
    )
    found = raw(event.headers()) | {f"ce_{k}": v if isinstance(v, bytes) else v.encode() for k, v in headers.items()}
    return Record(topic, 0, offset, NOW, key.encode(), message.SerializeToString(), found)


def step_of(topology: Topology, name: str) -> Callable[[], Step]:
    context = StepContext(Names(), "main", 0, 1, reply_partitions=1, check_purity=True)
    return lambda: make_step(topology, name, MemoryStore(), context)


COMMANDS = st.one_of(
    st.builds(pb.Deposit, amount=st.integers(1, 9)),
    st.builds(pb.Withdraw, amount=st.integers(1, 9)),
    st.builds(pb.Open, owner=st.sampled_from(["Ann", "Bob"])),
    st.builds(pb.Transfer, amounts=st.lists(st.integers(1, 9), max_size=3)),
    st.builds(pb.Burst, how=st.sampled_from(["raise", "mutate", "type", "stranger", "apply", "nothing"])),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        REPLY_TO[3:]: st.just(f"{REPLIES}/0"),
        REJECT_TO[3:]: st.sampled_from([b"account:r", b"nonsense", b"\xff\xfe", b"x:"]),
        CASCADE[3:]: st.sampled_from([b"dead-letter", b"\xff"]),
        SOURCE[3:]: st.sampled_from([b"/main/x", b"\xff"]),
        "causationid": st.sampled_from([b"/main/account/r:0", b"\xfe"]),
        "expectedsequence": st.sampled_from(["-1", "0", "x"]),
    },
)


def topic_for(headers: dict[str, Any]) -> str:
    """The inbox, where headers count that only the engine sets."""
    engines = {name[3:] for name in ENGINE_ONLY} & headers.keys()
    return f"main.account.{'inbox' if engines else 'commands'}"


MINES = st.dictionaries(st.integers(0, 7), st.integers(1, 14), max_size=4)


@given(st.lists(st.tuples(COMMANDS, HEADERS, st.sampled_from("rs")), min_size=1, max_size=8), MINES)
@settings(max_examples=200, deadline=None)
def test_commands(inputs: list[tuple[Message, dict[str, Any], str]], mines: dict[int, int]) -> None:
    records = [record(topic_for(h), n, root, message, **h) for n, (message, h, root) in enumerate(inputs)]
    check(step_of(accounts.topology, "account"), records, mines, queued=False)


def test_a_rejected_command_with_an_address_that_is_none_fails_and_nothing_else() -> None:
    """It ended both rejected and failed once, with two replies."""
    wrong: dict[str, bytes | str] = {REJECT_TO[3:]: b"nonsense", REPLY_TO[3:]: f"{REPLIES}/0"}
    records = [record("main.account.inbox", 0, "r", pb.Withdraw(amount=5), **wrong)]
    result = check(step_of(accounts.topology, "account"), records, {}, queued=False)
    assert result.written == Written(failed=1)
    assert [Reply.FromString(o[1] or b"").status for o in result.outputs if o[0] == REPLIES] == [Reply.FAILED]


def event(offset: int, amount: int, topic: str) -> Record:
    """An event of a purse of its own, so that it waits behind no other."""
    root = f"root-{offset}"
    message = pb.Deposited(amount=amount, balance=amount)
    key = root if topic.endswith("inbox") else f"{root}|{0:020d}"
    found = record(topic, offset, key, message, subject=root, sequence="0", correlationid=root, source="/main/purse")
    return found._replace(key=key.encode())


AMOUNTS = st.lists(st.sampled_from([1, 2, 7, 13, 15, 16, 17, 50, 100]), min_size=1, max_size=8)


@given(AMOUNTS, MINES)
@settings(max_examples=100, deadline=None)
def test_events_of_a_saga(amounts: list[int], mines: dict[int, int]) -> None:
    records = [event(n, amount, "main.purse.events") for n, amount in enumerate(amounts)]
    check(step_of(reactions.topology, "keeper"), records, mines, queued=True)


@given(AMOUNTS, MINES)
@settings(max_examples=100, deadline=None)
def test_events_of_a_process_manager(amounts: list[int], mines: dict[int, int]) -> None:
    records = [event(n, amount, "main.warden.inbox") for n, amount in enumerate(amounts) if amount != 100]
    check(step_of(reactions.timed, "warden"), records, mines, queued=True)


def test_mines_reach_every_kind_of_thing_that_is_staged() -> None:
    """So that the tests above are about something."""
    make = step_of(accounts.topology, "account")
    records = [record("main.account.commands", 0, "r", pb.Deposit(amount=1), **{REPLY_TO[3:]: f"{REPLIES}/0"})]
    went_off = [bool(run(make, records, {0: n}).failed) for n in range(1, 20)]
    assert went_off[:5] == [True] * 5  # the result, the event, its history, the count, the reply
    assert not any(went_off[5:])
