"""The invariants of the design that hold without Kafka, each in a test that names it."""

from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Aggregate, Context, applies, handles
from headrace.schemas.headers import EXPECTED, ID, REPLY_TO, TYPE
from headrace.schemas.headrace_v1_pb2 import Query
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Written
from headrace.testing.request import raw
from headrace.topology.partitioner import partition_of
from tests.support.bank import messages_pb2 as pb
from tests.support.step_fixture import ANSWER, NOW, Outcome, Reply, StepFixture, header

NOTHING = Written(0, 0, 0, 0, 0, 0, 0)
ANSWERS = (b"headrace.replies/0", b"headrace.replies/1")
ROOTS = st.sampled_from(["a", "b", "c"])
AMOUNTS = st.integers(0, 9)
COMMANDS: st.SearchStrategy[Message] = st.one_of(
    st.builds(pb.Deposit, amount=AMOUNTS),
    st.builds(pb.Withdraw, amount=AMOUNTS),
    st.builds(pb.Transfer, amounts=st.lists(AMOUNTS, max_size=3)),
    st.builds(pb.Stash, pocket=st.sampled_from(["left", "right"]), amount=AMOUNTS),
    st.builds(pb.Open, owner=st.sampled_from(["Ann", "Bob"])),
    st.builds(pb.Annotate, note=st.text(max_size=3)),
    st.builds(pb.Burst, how=st.sampled_from(["raise", "mutate", "type", "stranger", "apply", ""])),
    st.just(pb.Touch()),
)
HEADERS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.just({}),
    st.fixed_dictionaries({EXPECTED: st.sampled_from([b"-1", b"0", b"1", b"7", b"x", b"-9"])}),
    st.fixed_dictionaries({REPLY_TO: st.sampled_from([b"headrace.replies/1", b"elsewhere/0", b"\xff", None, b""])}),
    st.fixed_dictionaries({ID: st.sampled_from([b"again", b"again", b"\0", b"\xff", b"", None])}),
    st.fixed_dictionaries({TYPE: st.sampled_from([b"no.Such", b"headrace.v1.Query", b"", b"\xff"])}),
)
ROUGH = st.tuples(COMMANDS, ROOTS, HEADERS, st.booleans(), st.sampled_from([..., ..., ..., b"\xff\xff", None]))
"""Command, root, headers of its own, whether an answer is asked for, value (… for the command's)."""


@given(st.lists(st.lists(ROUGH, max_size=6), max_size=4))
@settings(max_examples=150, deadline=None)
def test_invariant_7_nothing_disappears(batches: list[list[Any]]) -> None:
    """Every input ends as events, as a reply, or as a dead letter that carries it whole. Without any of these end
    only repeats and commands that lead to nothing, when nobody asked for an answer."""
    fixture = StepFixture(check_purity=True)
    decided: set[tuple[bytes | None, bytes | None]] = set()
    for batch in batches:
        for command, root, headers, asks, value in batch:
            record = fixture.record(command, root, headers={REPLY_TO: ANSWER.encode() if asks else None, **headers})
            if value is not ...:
                record = record._replace(value=value)
            assert_ends(record, Outcome(fixture.handle(record), NOTHING), decided)
        fixture.store.put(fixture.step.finish(NOW))
        written = fixture.step.committed()
        assert sum(written) - written.events == len(batch), "each record has one outcome"


def assert_ends(record: Record, outcome: Outcome, decided: set[Any]) -> None:
    name = record.key, record.headers[ID]
    asked = record.headers[REPLY_TO] is not None
    if outcome.dead:
        (dead_letter,) = outcome.dead
        assert (dead_letter.key, dead_letter.value, dead_letter.offset) == (
            record.key,
            record.value or b"",
            record.offset,
        )
        assert {h.key: h.value for h in dead_letter.headers} == {k: v or b"" for k, v in record.headers.items()}
        assert outcome.kind("events") == []
        if dead_letter.error_class == "Rejected":
            assert not asked
            decided.add(name)
        else:
            assert [r.status for r in outcome.replies] == [Reply.FAILED] * (record.headers[REPLY_TO] in ANSWERS)
        return
    assert len(outcome.kind("replies")) == asked, "who asks is answered"
    nothing = record.headers[TYPE] in (b"bank.v1.Touch", b"bank.v1.Burst", b"bank.v1.Transfer")
    assert outcome.kind("events") or asked or nothing or name in decided
    if record.headers[TYPE] != b"headrace.v1.Query":
        decided.add(name)


# ---- sequences, and the bytes of events


@given(st.lists(st.tuples(COMMANDS, ROOTS), max_size=30), st.integers(1, 10))
@settings(max_examples=100, deadline=None)
def test_invariant_4_sequences_are_contiguous(told: list[tuple[Message, str]], size: int) -> None:
    """Each root's events are 0, 1, 2, … in the log, in the history and in the replies, without gap or double."""
    fixture = StepFixture(edition="trial", check_purity=True)
    log: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for start in range(0, len(told), size):
        outcome = fixture.run(*(fixture.record(command, root) for command, root in told[start : start + size]))
        for output in outcome.kind("events"):
            root, _, number = str(output[2]).rpartition("|")
            log[root].append(int(number))
            assert header(output, "ce_sequence") == str(int(number))
            assert header(output, "ce_id") == f"{root}:{int(number)}"
        accepted = [e.sequence for r in outcome.replies if r.status == Reply.ACCEPTED for e in r.events]
        assert len(accepted) == len(outcome.kind("events"))
    for root, sequences in log.items():
        assert sequences == list(range(len(sequences)))
        assert len(list(fixture.store.history(root.encode(), 0, 1000))) == len(sequences)


def test_invariant_5_events_are_never_rewritten() -> None:
    """The bytes on the log, in the history, in the reply and in later answers are the same."""
    fixture = StepFixture()
    outcome = fixture.tell(pb.Annotate(note="n"), id="one")
    ((_, written, *_),) = outcome.kind("events")
    kept = [
        outcome.reply.events[0].data,
        fixture.tell(pb.Annotate(note="n"), id="one").reply.events[0].data,
        fixture.tell(Query(limit=1)).result.events[0].data,
        fixture.tell(pb.Withdraw(), expected=-1).reply.events[0].data,
    ]
    assert set(kept) == {written}
    fixture.tell(pb.Deposit(amount=1), pb.Deposit(amount=1))
    assert fixture.tell(Query(limit=1)).result.events[0].data == written


# ---- partitions


@given(st.text(min_size=1, max_size=8).filter(lambda root: min(root) >= " "), st.integers(2, 7), st.integers(0, 6))
@settings(max_examples=100, deadline=None)
def test_invariant_6_misrouted_records_are_forwarded_not_handled(root: str, partitions: int, partition: int) -> None:
    """A record that lies in the wrong partition goes to its own as it is; nothing else is written or stored."""
    partition %= partitions
    right = partition_of(root.encode(), partitions)
    fixture = StepFixture(partition=partition, partitions=partitions)
    record = fixture.record(pb.Deposit(amount=1), root, headers={"x-own": b"\xff"})
    outcome = fixture.run(record)
    if right == partition:
        assert (outcome.written.accepted, outcome.written.forwarded) == (1, 0)
        assert {output[3] for output in outcome.outputs if output[0] != "headrace.replies"} == {partition}
        return
    ((topic, value, key, to, headers),) = outcome.outputs
    assert (topic, value, key, to) == (record.topic, record.value, record.key, right)
    assert dict(headers or []) == record.headers
    assert outcome.written.forwarded == 1
    assert (fixture.store.snapshots, fixture.store.results) == ({}, {})


def test_invariant_6_a_forwarded_record_is_handled_once_it_is_where_it_belongs() -> None:
    wrong, right = StepFixture(partition=0, partitions=2), StepFixture(partition=1, partitions=2)
    ((topic, value, key, partition, headers),) = wrong.tell(pb.Deposit(amount=1)).outputs
    assert isinstance(key, bytes)
    outcome = right.run(Record(topic, partition, 0, NOW, key, value, raw(headers or [])))
    assert outcome.reply.status == Reply.ACCEPTED
    assert outcome.events == [pb.Deposited(amount=1, balance=1)]


# ---- editions


@pytest.mark.parametrize("edition", ["main", "trial"])
@given(st.lists(st.tuples(COMMANDS, ROOTS, st.booleans()), max_size=10))
@settings(max_examples=30, deadline=None)
def test_invariant_8_main_never_sees_an_edition(edition: str, told: list[tuple[Message, str, bool]]) -> None:
    """All that a step writes goes to topics of its own edition, or to the replies; also dead and misrouted records."""
    fixture = StepFixture(edition=edition, partition=0, partitions=2, check_purity=True)
    outcome = fixture.run(*(fixture.record(c, root, reply_to=ANSWER if asks else None) for c, root, asks in told))
    own = {f"{edition}.account.{kind}" for kind in ("events", "snapshots", "dead-letters", "commands")}
    assert {output[0] for output in outcome.outputs} <= own | {"headrace.replies"}
    sources = {header(o, "ce_source") for o in outcome.outputs if o[4] and not o[0].endswith("commands")}
    assert sources <= {f"/{edition}/account"}


# ---- purity


@given(st.lists(st.tuples(COMMANDS, ROOTS), max_size=12))
@settings(max_examples=60, deadline=None)
def test_invariant_9_a_replay_gives_the_same_records(told: list[tuple[Message, str]]) -> None:
    """Time, chance and ids come from the record, so deciding again, here or after a restart, writes the same bytes."""
    fixture = StepFixture(check_purity=True)
    records = [fixture.record(command, root) for command, root in told]
    first = fixture.handle(*records)
    fixture.step.rolled_back()
    again = fixture.handle(*records)
    fixture.restart()
    assert [without_traceback(o) for o in first] == [without_traceback(o) for o in again]
    assert [without_traceback(o) for o in first] == [without_traceback(o) for o in fixture.handle(*records)]


def without_traceback(output: Any) -> Any:
    return output if not output[0].endswith("dead-letters") else (*output[:1], *output[2:])


class Dice(Aggregate[pb.Account]):
    domain = "dice"

    @handles
    def roll(self, state: pb.Account, command: pb.Annotate, context: Context) -> list[pb.Annotated]:
        return [
            pb.Annotated(by=context.new_id(), luck=context.random.random(), at=context.now.isoformat()),
            pb.Annotated(by=context.new_id(), luck=context.random.random(), note=f"{context.root}/{context.sequence}"),
        ]

    @applies
    def rolled(self, state: pb.Account, event: pb.Annotated) -> None:
        state.count += 1


def roll(**more: Any) -> list[pb.Annotated]:
    outcome = StepFixture(Dice).tell(pb.Annotate(), **more)
    return [pb.Annotated.FromString(value or b"") for _, value, *_ in outcome.kind("events")]


def test_invariant_9_ids_chance_and_time_come_from_the_context() -> None:
    first = roll(id="one", time=NOW)
    assert first == roll(id="one", time=NOW)
    assert first[0].by != first[1].by, "each id is another"
    assert first[0].luck != first[1].luck
    assert first[0].at == "2023-11-14T22:13:20+00:00"
    assert first[1].note == "r/-1"
    other = roll(id="two", time=NOW)
    assert {e.by for e in first}.isdisjoint(e.by for e in other)
    assert {e.luck for e in first}.isdisjoint(e.luck for e in other)
    elsewhere = roll(id="one", time=NOW, root="s")
    assert {e.by for e in first}.isdisjoint(e.by for e in elsewhere), "an id names one command of one root only"
    assert {e.luck for e in first}.isdisjoint(e.luck for e in elsewhere)
    assert roll(id="one", time=NOW + 1)[0].at == "2023-11-14T22:13:20.001000+00:00"


def test_invariant_9_a_handler_that_changes_its_state_is_caught() -> None:
    """Also when it says no at the same time."""
    fixture = StepFixture(check_purity=True)
    fixture.tell(pb.Deposit(amount=5))
    (dead_letter,) = fixture.tell(pb.Burst(how="mutate")).dead
    assert dead_letter.error == "Accounts.burst changed the state it was given"
    assert fixture.tell(pb.Deposit(amount=1)).events == [pb.Deposited(amount=1, balance=6)]
