"""The log that a rebuild is measured on is the engine's own, and documents that differ are told of."""

from collections.abc import Iterator
from typing import Any

import pytest

from headrace import Names
from headrace.bench import event_log, projections
from headrace.bench.bare_projection import COMPONENT
from headrace.bench.cards import PlayerCard, cards
from headrace.examples.poker import Player
from headrace.examples.poker import poker_pb2 as pb
from headrace.schemas.documents import DocumentCodec
from headrace.schemas.headers import CAUSATION, CORRELATION, ID, TIME
from headrace.schemas.record import Record
from headrace.streams.settings import Settings
from headrace.streams.steps.batch import Output
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.registry import make_step
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import raw
from tests.support.step_fixture import StepFixture

SETTINGS = Settings(bootstrap="nowhere", partitions=1, prefix="")
COMMANDS = (
    pb.RegisterPlayer(name="somebody 0"),
    pb.DepositFunds(amount=10),
    pb.ReserveFunds(key="t", amount=1),
    pb.ReleaseFunds(key="t"),
)


def form(output: Output) -> list[tuple[str, object]]:
    """Names of headers in order, and values of those that are not of one command."""
    own = (ID, CORRELATION, CAUSATION, TIME)
    return [(name, None if name in own else raw([(name, value)])[name]) for name, value in output[4] or []]


def by_type(outputs: Iterator[Output] | list[Output]) -> dict[bytes, Output]:
    return {raw(output[4] or [])["ce_type"]: output for output in outputs}


def test_the_log_is_as_the_engine_writes_it() -> None:
    player = StepFixture(Player)
    written = by_type(
        [output for command in COMMANDS for output in player.tell(command, root="player-000000").kind("events")]
    )
    made = by_type(event_log.events(SETTINGS, 1, 4, 1))
    assert written.keys() == made.keys()
    for name, own in made.items():
        theirs = written[name]
        assert own[0] == theirs[0]
        assert own[3] == theirs[3]
        assert [n for n, _ in form(own)] == [n for n, _ in form(theirs)]
        unlike = {n for (n, a), (_, b) in zip(form(own), form(theirs), strict=True) if a != b}
        assert unlike <= {"ce_sequence"}
        assert str(own[2]) == f"player-000000|{int(raw(own[4] or [])['ce_sequence']):020d}"


def test_the_same_call_makes_the_same_events() -> None:
    first, again = (list(event_log.events(SETTINGS, 5, 4, 2)) for _ in range(2))
    assert first == again
    roots = [raw(headers or [])["ce_subject"] for *_, headers in first]
    assert roots[:5] == [b"player-000000", b"player-000001"] * 2 + [b"player-000000"]
    assert len(first) == len({key for _, _, key, _, _ in first}) == 20


def test_the_projector_has_a_document_of_each_player() -> None:
    store = MemoryStore()
    step = make_step(cards, COMPONENT, store, StepContext(Names(), "main", 0, 1, 1))
    log: Any = event_log.events(SETTINGS, 3, 8, 2)
    for offset, (topic, value, key, partition, headers) in enumerate(log):
        step.handle(Record(topic, partition, offset, 0, key.encode(), value, raw(headers)))
    store.put(step.finish(0))
    assert step.committed().accepted == 24
    codec = DocumentCodec(PlayerCard)
    found = {name: codec.decode(data) for name, data in store.documents.items()}
    assert sorted(found) == [b"player-000000", b"player-000001", b"player-000002"]
    assert found[b"player-000002"] == PlayerCard("somebody 2", 70, 20, 2, {})


def test_documents_that_differ_are_told_of() -> None:
    card: tuple[Any, ...] = (b"{}", 0, [])
    projections.compare({b"a": card}, {b"a": card})
    with pytest.raises(RuntimeError, match=r"1 documents of 1 differ from the bare loop's; b is None"):
        projections.compare({b"a": card}, {b"a": card, b"b": card})
    with pytest.raises(RuntimeError, match=r"1 documents of 1 differ.*a is .*'x'"):
        projections.compare({b"a": (b"x", 0, [])}, {b"a": card})
