"""Whoever waits for documents is told of each event of the command, once, and nobody else is."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.message import Message

from headrace import Aggregate, Names
from headrace.schemas.awaited import Awaited, unpack
from headrace.schemas.headers import AWAITED, CAUSATION, ID, REPLY_TO, SEQUENCE, SYNC_MODE, TYPE, Headers
from headrace.schemas.headrace_v1_pb2 import Projected
from headrace.schemas.record import Record
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.errors import HandlerError
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.step import Step
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import raw
from headrace.topology.topology import REPLIES_KEPT
from tests.support.bank import messages_pb2 as pb
from tests.support.bank import reactions
from tests.support.bank.accounts import Accounts, Purse
from tests.support.step_fixture import ANSWER, StepFixture

CONTEXT = StepContext(Names(), "main", 0, partitions=1, reply_partitions=2)


def events(
    *commands: Message,
    sync: bytes | None = b"simple",
    reply_to: str | None = ANSWER,
    aggregate: type[Aggregate[Any]] = Accounts,
) -> Iterator[Record]:
    """Events as the aggregate writes them for commands."""
    fixture = StepFixture(aggregate)
    for command in commands:
        headers = {} if sync is None else {SYNC_MODE: sync}
        record = fixture.record(command, reply_to=reply_to, headers=headers)
        for number, output in enumerate(fixture.run(record).kind("events")):
            topic, value, key, partition, written = output
            assert isinstance(key, str)
            yield Record(topic, partition, number, record.timestamp, key.encode(), value, raw(written or []))


def step(component: str) -> Step:
    return make_step(reactions.projected, component, MemoryStore(), CONTEXT)


def acknowledged(one: Step, *records: Record, now: int | None = None) -> list[tuple[str, int, int, bool]]:
    """What a batch acknowledges: component, sequence, documents, whether it failed."""
    for record in records:
        one.handle(record)
    one.finish(now if now is not None else records[0].timestamp)
    found = []
    for topic, value, key, partition, headers in one.outputs:
        if is_acknowledgement(headers):
            assert (topic, partition) == ("headrace.replies", 0)
            assert isinstance(key, bytes)
            said = Projected.FromString(value or b"")
            found.append((said.component, said.sequence, said.documents, said.failed))
    one.outputs.clear()
    one.committed()
    return found


def is_acknowledgement(headers: Headers | None) -> bool:
    return dict(headers or []).get(TYPE) == "headrace.v1.Projected"


def inbox(record: Record, document_id: str) -> Record:
    return record._replace(topic="main.pockets-v1.inbox", key=document_id.encode())


@pytest.mark.parametrize("number", [b"", b"x", b"-7", b"9" * 30])
def test_an_event_without_a_sound_sequence_changes_its_document_all_the_same(number: bytes) -> None:
    cards = step("cards-v1")
    (event,) = events(pb.Deposit(amount=1))
    assert acknowledged(cards, event._replace(headers={**event.headers, SEQUENCE: number})) == [
        ("cards-v1", -1, 1, False)
    ]
    cards.handle(event)
    assert cards.finish(0).documents
    assert cards.committed().failed == 0


def test_only_an_event_whose_sender_waits_says_so() -> None:
    (waits,) = events(pb.Deposit(amount=1))
    assert (waits.headers[SYNC_MODE], waits.headers[REPLY_TO]) == (b"simple", ANSWER.encode())
    for without in (
        *events(pb.Deposit(amount=1), sync=None),
        *events(pb.Deposit(amount=1), sync=b"decision"),
        *events(pb.Deposit(amount=1), reply_to=None),
    ):
        assert not {SYNC_MODE, REPLY_TO} & without.headers.keys()
        assert acknowledged(step("cards-v1"), without) == []


def test_a_projector_acknowledges_what_it_has_and_what_it_passes_over() -> None:
    found = list(events(pb.Transfer(amounts=[1, 2])))
    assert acknowledged(step("cards-v1"), *found) == [("cards-v1", 0, 1, False), ("cards-v1", 1, 1, False)]
    assert acknowledged(step("cards-v1"), *events(pb.Swell(bytes=1))) == [("cards-v1", 0, 0, False)]


def test_a_dead_event_and_those_behind_it_are_acknowledged_as_failed() -> None:
    one = step("cards-v1")
    fixture = list(events(pb.Annotate(note="poison")))
    assert acknowledged(one, *fixture) == [("cards-v1", 0, 0, True)]
    assert acknowledged(one, *events(pb.Deposit(amount=1))) == [("cards-v1", 0, 0, True)]


@pytest.mark.parametrize("component", ["cards-v1", "pockets-v1-feed"])
def test_a_record_that_is_refused_unhandled_is_acknowledged_as_failed(component: str) -> None:
    """As one that has ended its worker: whoever waits for it would wait in vain."""
    one = step(component)
    (read,) = events(pb.Stash(pocket="x", amount=1) if "pockets" in component else pb.Deposit(amount=1))
    one.refuse(read, HandlerError("the worker has ended"))
    assert acknowledged(one, *events(pb.Swell(bytes=1))) == [(component, 0, 0, True), (component, 0, 0, False)]


@pytest.mark.parametrize("component", ["cards-v1", "pockets-v1-feed"])
def test_an_event_with_an_incomplete_envelope_is_acknowledged_as_failed(component: str) -> None:
    (read,) = events(pb.Stash(pocket="x", amount=1) if "pockets" in component else pb.Deposit(amount=1))
    incomplete = read._replace(headers={name: value for name, value in read.headers.items() if name != ID})
    assert acknowledged(step(component), incomplete) == [(component, 0, 0, True)]


def test_a_feed_says_how_many_documents_an_event_concerns() -> None:
    (stashed,) = events(pb.Stash(pocket="x/y", amount=1))
    assert acknowledged(step("pockets-v1-feed"), stashed) == [("pockets-v1-feed", 0, 2, False)]
    both = inbox(stashed, "x"), inbox(stashed, "y")
    assert acknowledged(step("pockets-v1"), *both) == [("pockets-v1", 0, 1, False)] * 2
    assert acknowledged(step("pockets-v1-feed"), *events(pb.Deposit(amount=1))) == [("pockets-v1-feed", 0, 0, False)]


def test_nobody_waits_any_more_for_events_that_are_older_than_replies_are_kept() -> None:
    (event,) = events(pb.Deposit(amount=1))
    assert acknowledged(step("cards-v1"), event, now=event.timestamp + REPLIES_KEPT - 1)
    assert not acknowledged(step("cards-v1"), event, now=event.timestamp + REPLIES_KEPT)


def test_a_document_says_who_waits_for_it() -> None:
    """All whose events have changed it in the batch; nobody whose event is dead, or has changed nothing."""
    one = step("cards-v1")
    found = [*events(pb.Deposit(amount=1)), *events(pb.Swell(bytes=1)), *events(pb.Deposit(amount=2))]
    silent, dead = [*events(pb.Deposit(amount=4), sync=None), *events(pb.Annotate(note="poison"))]
    for record in (*found, silent, dead):
        one.handle(record)
    one.finish(found[0].timestamp)
    (headers,) = (headers for topic, *_, headers in one.outputs if topic.endswith(".documents"))
    waiting = [Awaited(ANSWER, record.headers[CAUSATION].decode(), 0) for record in (found[0], found[2])]
    assert unpack(raw(headers or [])[AWAITED]) == waiting
    one.outputs.clear()
    one.committed()
    one.handle(silent)
    one.finish(silent.timestamp)
    assert AWAITED not in dict(one.outputs[0][4] or [])


@pytest.mark.parametrize("header", [None, b"", b"[", b"{}", b'[["a","b"]]', b'[["a","b","c"]]', b"\xff"])
def test_a_header_that_nobody_of_headrace_wrote_names_nobody(header: bytes | None) -> None:
    assert unpack(header) == []


@pytest.mark.parametrize("target", ["", "headrace.replies/9", "main.account.inbox/0", "nonsense"])
def test_a_target_that_is_none_is_passed_over(target: str) -> None:
    (event,) = events(pb.Deposit(amount=1))
    elsewhere = event._replace(headers={**event.headers, REPLY_TO: target.encode()})
    assert acknowledged(step("cards-v1"), elsewhere) == []


def test_what_follows_from_an_event_wants_no_acknowledgement() -> None:
    """A saga's command is somebody else's."""
    keeper = make_step(reactions.topology, "keeper", MemoryStore(), CONTEXT)
    (deposited,) = events(pb.Deposit(amount=2), aggregate=Purse)
    assert SYNC_MODE in deposited.headers
    keeper.handle(deposited)
    keeper.finish(deposited.timestamp)
    sent = [raw(headers or []) for topic, *_, headers in keeper.outputs if topic == "main.book.inbox"]
    assert sent
    assert not any({SYNC_MODE, REPLY_TO} & headers.keys() for headers in sent)
