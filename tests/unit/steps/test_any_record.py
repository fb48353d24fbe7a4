"""Any record, on any input of any component: it is accounted for, and the next one is handled.

`make fuzz` tries 100,000 cases (FUZZ_CASES); a test run only some.
"""

import os
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace import Names
from headrace.schemas import codecs
from headrace.schemas.headers import (
    ATTEMPTS,
    CONTENT_TYPE,
    CORRELATION,
    ENGINE_ONLY,
    EXPECTED,
    ID,
    REPLY_TO,
    SOURCE,
    SPECVERSION,
    SUBJECT,
    SYNC_MODE,
    TIME,
    TRACEPARENT,
    TYPE,
)
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Query, QueryResult, Rejection
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Output, Written
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.dead_letters import to_record
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.store import Staged
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import raw
from headrace.topology.topology import Topology
from tests.support.bank import accounts, reactions
from tests.support.bank import messages_pb2 as pb

CASES = int(os.environ.get("FUZZ_CASES", "0")) or 300
COMPONENTS = {
    "account": accounts.topology,
    "purse": reactions.topology,
    "keeper": reactions.topology,
    "warden": reactions.timed,
    "warden-feed": reactions.timed,
    "cards-v1": reactions.projected,
    "pockets-v1": reactions.projected,
    "pockets-v1-feed": reactions.projected,
}
OUTCOMES = [name for name in Written._fields if name not in ("events", "sends", "compensations")]
ROOM = 100_000
"""Bytes that a record's outputs have together at most, beyond what the record itself has."""

odd = st.one_of(st.binary(max_size=12), st.text(max_size=8).map(str.encode), st.just(b"x" * 3000), st.just(b"a\0b"))
types = st.sampled_from(
    [f"bank.v1.{name}" for name in pb.DESCRIPTOR.message_types_by_name]
    + [f"headrace.v1.{name}" for name in ("Query", "QueryResult", "Reply", "Rejection", "DeadLetter", "Aborted")]
).map(str.encode)
places = st.sampled_from([b"headrace.replies/0", b"headrace.replies/99", b"main.warden.inbox/0", b"main.purse.inbox/0"])
values = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.integers(-99, 99).map(lambda n: pb.Deposit(amount=n).SerializeToString()),
    st.builds(Query, state=st.booleans(), from_sequence=st.integers(-5, 5), limit=st.integers(-5, 2**31 - 1)).map(
        Query.SerializeToString
    ),
    st.builds(
        Rejection,
        command_type=st.just("bank.v1.Touch"),
        command=st.binary(max_size=4),
        cause=st.just("/main/purse/p:0"),
    ).map(Rejection.SerializeToString),
    st.builds(QueryResult, root=st.sampled_from(["p", "treasury"]), sequence=st.integers(-1, 5)).map(
        QueryResult.SerializeToString
    ),
)
GOOD: dict[str, st.SearchStrategy[bytes]] = {
    SPECVERSION: st.just(b"1.0"),
    ID: st.sampled_from([b"1", b"2", b"p:0", b"/main/purse/p:0>keeper/0", b"/main/purse/p:0?warden/0"]),
    SOURCE: st.sampled_from([b"/main/purse", b"/main/book", b"/main/client/x"]),
    TYPE: types,
    SUBJECT: st.just(b"p"),
    CORRELATION: st.sampled_from([b"p", b"trip"]),
    CONTENT_TYPE: st.sampled_from([codecs.PROTOBUF, codecs.JSON, codecs.AVRO, "text/html"]).map(str.encode),
    REPLY_TO: places,
    EXPECTED: st.integers(-3, 9).map(lambda n: str(n).encode()),
    TIME: st.just(b"2026-01-01T00:00:00Z"),
    TRACEPARENT: st.just(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    SYNC_MODE: st.just(b"none"),
}
headers = st.fixed_dictionaries(
    {name: st.one_of(good, good, good, odd) for name, good in list(GOOD.items())[:4]},
    optional={
        **{name: st.one_of(good, good, odd) for name, good in list(GOOD.items())[4:]},
        **{name: st.one_of(odd, places, st.just(b"1")) for name in sorted(ENGINE_ONLY)},
    },
)
keys = st.one_of(st.sampled_from([b"p", b"trip", b"p|00000000000000000000"]), st.none(), odd)
records = st.tuples(st.integers(0, 2), keys, values, st.one_of(headers, headers, headers, st.just({})))


@pytest.mark.parametrize("name", COMPONENTS)
def test_it_is_accounted_for_and_the_next_one_is_handled(name: str) -> None:
    topology = COMPONENTS[name]

    @settings(max_examples=max(1, CASES // len(COMPONENTS)), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(records, max_size=6))
    def check(found: list[tuple[int, bytes | None, bytes | None, dict[str, bytes]]]) -> None:
        play(topology, name, found)

    check()


class Player:
    """A step whose every record is a batch of its own."""

    def __init__(self, topology: Topology, name: str) -> None:
        self.name, self.store = name, MemoryStore()
        self.inputs = list(dict.fromkeys([*topology.inputs(name, Names(), "main"), f"main.{name}.inbox"]))
        self.aggregate = name in topology.aggregates
        self.step = make_step(topology, name, self.store, StepContext(Names(), "main", 0, 1, reply_partitions=2))

    def handle(self, record: Record) -> tuple[list[Output], Written, Staged]:
        self.step.handle(record)
        outputs = list(self.step.outputs)
        self.step.outputs.clear()
        staged = self.step.finish(2000)
        self.store.put(staged)
        self.step.outputs.clear()
        return outputs, self.step.committed(), staged

    def check(self, record: Record) -> None:
        outputs, written, staged = self.handle(record)
        done = [outcome for outcome in OUTCOMES if getattr(written, outcome)]
        if self.aggregate:
            assert done, f"{record} led to {outputs}, and was not counted"
        else:  # a saga passes over what it does not react to, and then nothing at all has come of it
            assert done or not (outputs or staged.entries or staged.results or staged.history or staged.documents)
        for topic, data, _, _, more in outputs:
            if topic == f"main.{self.name}.dead-letters" and raw(more or [])[TYPE] == b"headrace.v1.DeadLetter":
                found = to_record(DeadLetter.FromString(data or b""))
                if found.offset == record.offset:
                    assert (found.topic, found.key, found.value) == (record.topic, record.key, record.value)
                    assert found.headers.items() >= {k: v for k, v in record.headers.items() if k != ATTEMPTS}.items()
        size = sum(len(data or b"") + sum(map(len, raw(more or []).values())) for _, data, _, _, more in outputs)
        assert size < ROOM + 20 * (len(record.value or b"") + sum(map(len, record.headers.values())))

    def check_next(self, offset: int) -> None:
        """A good record of another root is handled as ever."""
        value: Message
        kind, value = ("Annotate", pb.Annotate(note="n")) if self.aggregate else ("Deposited", pb.Deposited(amount=1))
        if self.name.startswith("pockets"):
            kind, value = "Stashed", pb.Stashed(pocket="new", amount=1)
        about = {SPECVERSION: b"1.0", ID: b"new:0", SOURCE: b"/main/purse", TYPE: f"bank.v1.{kind}".encode()}
        if self.name == "purse":
            about[TYPE], value = b"bank.v1.Deposit", pb.Deposit(amount=1)
        about |= {SUBJECT: b"new", CORRELATION: b"new"}
        outputs, written, staged = self.handle(
            Record(self.inputs[0], 0, offset, 1000, b"new", value.SerializeToString(), about)
        )
        assert outputs or staged.documents
        assert written.accepted == 1 or written.forwarded == 1
        assert written.failed == 0


def play(topology: Topology, name: str, found: list[tuple[int, Any, Any, dict[str, bytes]]]) -> None:
    player = Player(topology, name)
    for offset, (which, key, value, about) in enumerate(found):
        player.check(Record(player.inputs[which % len(player.inputs)], 0, offset, 1000, key, value, about))
    player.check_next(len(found))
