"""What a saga and a process manager do with records that wait, that are settled, that are not theirs; and a feed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace import Cascade, Names, Send
from headrace.schemas.headers import (
    CASCADE,
    CORRELATION,
    DISCARD,
    EXPECTED,
    ID,
    ORIGIN,
    PATH,
    REPLAY_OF,
    SOURCE,
    SUBJECT,
    TIME,
    TRACEPARENT,
    TYPE,
)
from headrace.schemas.headrace_v1_pb2 import Rejection, Reply, Settled, Snapshot
from headrace.schemas.ids import IssuerRef
from headrace.schemas.record import Record, RecordError
from headrace.streams.steps import compensation, contexts
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.errors import HandlerError, HopLimit
from headrace.streams.steps.sender import Sender
from tests.support.bank import messages_pb2 as pb
from tests.support.bank import reactions
from tests.unit.steps.test_refused_events import CASES, IDS, REFUSED, Played, event
from tests.unit.steps.test_single_steps import rejection

WARDEN = "main.warden.inbox"
NONE: Mapping[str, bytes] = {}


def settling(record: Record, name: str, *, discard: bool = False) -> Record:
    """The record sent again, or given up."""
    again = {REPLAY_OF: f"{record.topic}/0/{record.offset}".encode(), ORIGIN: record.topic.encode()}
    more = {DISCARD: b"1"} if discard else {}
    return record._replace(topic=f"main.{name}.inbox", offset=90, headers={**record.headers, **again, **more})


def settled(played: Played, name: str) -> list[str]:
    """What the batch says of dead letters, and no more."""
    assert {output[0] for output in played.step.outputs} <= {f"main.{name}.dead-letters"}
    return [Settled.FromString(output[1] or b"").outcome for output in played.step.outputs]


@pytest.mark.parametrize(("topology", "name", "source", "written"), CASES, ids=IDS)
def test_nothing_but_an_event_that_leads_to_something_is_waited_for(
    topology: Any, name: str, source: str, written: str
) -> None:
    others = event(source, 0)._replace(headers={**event(source, 0).headers, TYPE: b"bank.v1.Closed\xff"})
    for refused in (others, settling(event("main.purse.events", 0), name) if name == "keeper" else rejection()):
        played = Played(topology, name)
        played.step.refuse(refused, REFUSED)
        played.commit("")
        played.step.handle(event(source, 1))
        assert played.commit(written) == 1


@pytest.mark.parametrize(("topology", "name", "source", "written"), CASES, ids=IDS)
def test_dead_events_are_settled_in_their_order(topology: Any, name: str, source: str, written: str) -> None:
    played = Played(topology, name)
    first, second, third = (event(source, number) for number in range(3))
    played.step.refuse(first, REFUSED)
    played.step.handle(second)
    played.commit("")
    for discard in (True, False):
        played.step.handle(settling(second, name, discard=discard))
        assert settled(played, name) == [], "it waits for its turn"
        played.commit("")
    played.step.handle(settling(third, name, discard=True))
    assert settled(played, name) == ["discarded"], "it does not wait"
    played.commit("")
    played.step.handle(settling(first, name, discard=True))
    assert sum(output[0] == written for output in played.step.outputs) == 1, "only the second one is handled"
    played.commit("")
    played.step.handle(third)
    assert played.commit(written) == 1, "nothing is waited for any more"


def test_a_state_is_what_was_committed_when_the_next_record_fails() -> None:
    played = Played(reactions.timed, "warden")
    played.step.handle(event(WARDEN, 1))
    played.commit("")
    played.step.handle(event(WARDEN, 2)._replace(value=b"\xff"))
    played.step.rolled_back()
    for broken in (False, True):
        played.step.handle(event(WARDEN, 3 + broken)._replace(value=b"\xff" if broken else event(WARDEN, 3).value))
    played.commit("")
    snapshot = Snapshot.FromString(played.store.snapshot(b"root") or b"")
    assert (snapshot.sequence, pb.Account.FromString(snapshot.state).count) == (1, 2)


def test_a_time_out_that_is_refused_does_not_come_again() -> None:
    played = Played(reactions.timed, "warden")
    played.step.handle(event(WARDEN, 1))
    played.commit("")
    at = event(WARDEN, 1).timestamp + 1500
    assert list(played.step.due(at - 1)) == []
    (due,) = played.step.due(at)
    assert (due.offset, due.timestamp, due.key, due.headers[TYPE]) == (-1, at, b"root", b"bank.v1.Withdraw")
    played.step.refuse(due, REFUSED)
    played.commit("")
    assert list(played.step.due(at + 10_000)) == []
    played.step.handle(event(WARDEN, 3))
    played.commit("")
    (due,) = played.step.due(at)
    played.step.fire(due)
    assert played.step.batch.written().timeouts == 1
    played.commit("")
    played.step.handle(event(WARDEN, 2))
    assert played.commit("main.warden.events") == 1, "a time-out is no event that is waited for"


# ---- a feed


def feed() -> Played:
    return Played(reactions.timed, "warden-feed")


def test_a_feed_sends_events_to_where_their_process_is() -> None:
    played = feed()
    its = event("main.purse.events", 4)
    played.step.handle(its)
    without = its._replace(headers={name: value for name, value in its.headers.items() if name != CORRELATION})
    played.step.handle(without)
    assert played.step.outputs == [
        (WARDEN, its.value, b"root", 0, list(its.headers.items())),
        (WARDEN, its.value, b"root:4", 0, list(without.headers.items())),
    ]
    assert played.step.batch.written().forwarded == 2
    played.step.outputs.clear()
    played.step.handle(its._replace(headers={**its.headers, TYPE: b"bank.v1.Closed"}))
    assert played.step.outputs == []
    played.step.handle(its._replace(headers={**its.headers, ID: b""}))
    assert [output[0] for output in played.step.outputs] == ["main.warden-feed.dead-letters"]


# ---- commands of sagas and process managers


def sender(cascade: Cascade = Cascade.COMPENSATE, **changed: Any) -> Sender:
    context = StepContext(Names(), "main", 0, 4, reply_partitions=1, **changed)
    routes = {"book": {"bank.v1.Annotate"}}
    return Sender("keeper", context, Envelope("keeper", context), routes, cascade)


def sent(send: object, its: Sender | None = None, headers: Mapping[str, bytes] = NONE) -> dict[str, Any]:
    """Headers of the command, for an event with these headers besides its own."""
    record = event("main.purse.events", 7)
    record = record._replace(headers={**record.headers, **headers})
    topic, value, key, _, found = (its or sender()).command("here", record, send, 2, IssuerRef("purse", "r"))
    assert (topic, value, key) == ("main.book.inbox", pb.Annotate(note="n").SerializeToString(), "b")
    return dict(found or [])


NOTE = Send("book", "b", pb.Annotate(note="n"))


def test_a_command_says_where_it_is_from() -> None:
    found = sent(NOTE)
    assert found[ID] == "/main/purse/root:7>keeper/2"
    assert (found[TIME], found[CORRELATION], found[PATH]) == ("2023-11-14T22:13:20.000Z", b"root", b"keeper>")
    assert {EXPECTED, CASCADE, TRACEPARENT}.isdisjoint(found)
    found = sent(NOTE, headers={CORRELATION: b"", TIME: b"then", PATH: b"a>", TRACEPARENT: b"tr"})
    assert (found[TIME], found[CORRELATION], found[PATH], found[TRACEPARENT]) == (
        b"then",
        b"root:7",
        b"a>keeper>",
        b"tr",
    )
    assert sent(Send("book", "b", pb.Annotate(note="n"), expected_sequence=0))[EXPECTED] == "0"
    assert sent(NOTE, sender(Cascade.FAIL_FAST))[CASCADE] == "fail-fast"


def test_a_path_ends_at_the_limit() -> None:
    its = sender(hop_limit=3)
    assert sent(NOTE, its, {PATH: b"a>b>"})[PATH] == b"a>b>keeper>"
    with pytest.raises(HopLimit, match="3 hops led here and no end: a>b>c>keeper"):
        sent(NOTE, its, {PATH: b"a>b>c>"})


def test_what_is_no_command_is_not_sent() -> None:
    with pytest.raises(HandlerError, match="here yielded Annotate; a reaction yields Send"):
        sent(pb.Annotate())


# ---- contexts and rejections


def test_a_reaction_is_told_when_its_event_was() -> None:
    record = event("main.purse.events", 7)
    found = contexts.event_context(record, b"root", "main")
    assert (found.root, found.sequence, found.event_id, found.correlation_id) == (
        "root",
        7,
        "/main/purse/root:7",
        "root",
    )
    assert found.now == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    bare = {name: record.headers[name] for name in (ID, SOURCE)} | {TIME: b"2024-05-01T12:00:00Z"}
    found = contexts.process_context(record._replace(headers=bare), b"root", "main", {})
    assert (found.sequence, found.correlation_id, found.now) == (-1, "", datetime(2024, 5, 1, 12, tzinfo=UTC))
    about = contexts.context(record._replace(headers={ID: b"c"}), b"root", 3, "main")
    assert (about.command_id, about.correlation_id, about.sequence) == ("c", "c", 3)
    assert about.now == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cause", "sequence"), [("/main/purse/r:4", 4), ("/main/purse/s:4", -1), ("/main/book/r:4", -1), ("x", -1)]
)
def test_a_rejection_is_of_an_event_of_this_root(cause: str, sequence: int) -> None:
    assert compensation.sequence_of(cause, "/main/purse", b"r") == sequence


def test_whoever_sent_a_command_is_told_of_its_rejection_in_its_inbox() -> None:
    headers = {ID: b"c", SOURCE: b"/main/keeper", TYPE: b"T", "ce_rejectto": b"purse:r", PATH: b"keeper>"}
    record = Record("main.book.inbox", 0, 1, 0, b"b", b"v", headers)
    context = StepContext(Names(), "main", 0, 4, reply_partitions=1, counts={"main.purse.inbox": 1})
    reply = Reply(root="b", command_id="c", reason="no", code="x", retryable=True)
    topic, value, key, partition, found = compensation.notice(record, reply, "aggregate:book", context, "/main/book")
    assert (topic, key, partition) == ("main.purse.inbox", "r", 0)
    told = Rejection.FromString(value or b"")
    assert (told.issuer, told.command, told.reason, told.code, told.retryable) == ("keeper", b"v", "no", "x", True)
    about = dict(found or [])
    assert (about[ID], about[SUBJECT], about[PATH], about[CORRELATION]) == ("rejection/c", "r", b"keeper>", b"c")
    assert TRACEPARENT not in about
    for address, why in ((b"purse", "must be COMPONENT:ROOT"), (b"Purse:r", "must be"), (b"book:r", "has no topic")):
        with pytest.raises(RecordError, match=why):
            compensation.notice(record._replace(headers={**headers, "ce_rejectto": address}), reply, "a", context, "/s")
    open_context = StepContext(Names(), "main", 0, 4, reply_partitions=1)
    record = record._replace(headers={**headers, "ce_rejectto": b"book:r"})
    assert compensation.notice(record, reply, "a", open_context, "/s")[0] == "main.book.inbox"
