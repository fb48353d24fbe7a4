"""Records that cannot be handled: each goes to the dead letters whole, its sender is told, its batch goes on."""

from collections.abc import Callable
from typing import Any

import pytest

from headrace.schemas.headers import CONTENT_TYPE, CORRELATION, EXPECTED, ID, REPLY_TO, SOURCE, SPECVERSION, TYPE
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Query
from headrace.schemas.record import Record
from headrace.streams.steps.errors import SnapshotTooLarge
from tests.support.bank import messages_pb2 as pb
from tests.support.step_fixture import ANSWER, NOW, Reply, StepFixture, without

Bad = Callable[[StepFixture], Record]


def header(name: str, value: bytes | None) -> Bad:
    return lambda fixture: fixture.record(pb.Deposit(amount=1), headers={name: value})


def burst(how: str) -> Bad:
    return lambda fixture: fixture.record(pb.Burst(how=how))


def missing(name: str) -> Bad:
    return lambda fixture: without(fixture.record(pb.Deposit(amount=1)), name)


def field(**fields: Any) -> Bad:
    return lambda fixture: fixture.record(pb.Deposit(amount=1), **fields)


# what is wrong, how such a record is made, error class, part of the text
TABLE: list[tuple[str, Bad, str, str]] = [
    ("bytes that do not parse", field(value=b"\xff\xff"), "DecodeError", "bank.v1.Deposit as application/protobuf"),
    ("no JSON", lambda d: header(CONTENT_TYPE, b"application/json")(d), "DecodeError", "as application/json"),
    ("unknown content type", header(CONTENT_TYPE, b"text/plain"), "DecodeError", "this content type is unknown"),
    ("content type not text", header(CONTENT_TYPE, b"\xff"), "UnicodeDecodeError", ""),
    ("unknown type", header(TYPE, b"bank.v1.Nothing"), "LookupError", "handles no bank.v1.Nothing; it handles: bank"),
    ("type not text", header(TYPE, b"\xff"), "UnicodeDecodeError", ""),
    ("an event for a command", header(TYPE, b"bank.v1.Deposited"), "LookupError", "handles no bank.v1.Deposited"),
    ("no type", missing(TYPE), "RecordError", "header ce_type is missing"),
    ("no id", missing(ID), "RecordError", "header ce_id is missing"),
    ("no source", missing(SOURCE), "RecordError", "header ce_source is missing"),
    ("no version", missing(SPECVERSION), "RecordError", "header ce_specversion is missing"),
    ("empty id", header(ID, b""), "RecordError", "header ce_id is missing"),
    ("null id", header(ID, None), "RecordError", "header ce_id is missing"),
    ("null type", header(TYPE, None), "RecordError", "header ce_type is missing"),
    ("bad version", header(SPECVERSION, b"0.3"), "RecordError", "ce_specversion is b'0.3'"),
    ("no key", field(key=None), "RecordError", "the record has no key"),
    ("empty key", field(key=b""), "RecordError", "the record has no key"),
    ("control characters in the key", field(key=b"a\nb"), "RecordError", "without control characters"),
    ("NUL in the key", field(key=b"a\0b"), "RecordError", "without control characters"),
    ("long key", field(key=b"x" * 1025), "RecordError", "at most 1024 bytes"),
    ("key not text", field(key=b"\xc3\x28"), "RecordError", "is not UTF-8"),
    ("NUL in the id", header(ID, b"a\0b"), "RecordError", "must not hold a NUL"),
    ("id not text", header(ID, b"\xff"), "UnicodeDecodeError", ""),
    ("NUL in the correlation", header(CORRELATION, b"a\0b"), "RecordError", "must not hold a NUL"),
    ("correlation not text", header(CORRELATION, b"\xff"), "UnicodeDecodeError", ""),
    ("expected sequence no number", header(EXPECTED, b"three"), "RecordError", "ce_expectedsequence is b'three'"),
    ("expected sequence empty", header(EXPECTED, b""), "RecordError", "must be a whole number"),
    ("expected sequence too low", header(EXPECTED, b"-2"), "RecordError", "must be a whole number, -1 or more"),
    ("expected sequence endless", header(EXPECTED, b"9" * 5000), "RecordError", "must be a whole number"),
    ("expected sequence odd", header(EXPECTED, b"1_0"), "RecordError", "must be a whole number"),
    ("handler raises", burst("raise"), "ZeroDivisionError", "as told"),
    ("wrong return type", burst("type"), "HandlerError", "Accounts.burst returned str"),
    ("undeclared event", burst("stranger"), "HandlerError", "Accounts.burst returned Stranger"),
    ("mutating handler", burst("mutate"), "HandlerError", "Accounts.burst changed the state it was given"),
    ("applies raises", burst("apply"), "RuntimeError", "this event cannot be applied"),
    ("event too large", lambda d: d.record(pb.Swell(bytes=2_000_000)), "TooLarge", "above the limit of 1048588"),
    ("query without reply", lambda d: d.record(Query(), reply_to=None), "RecordError", "needs ce_replyto"),
    ("query that does not parse", lambda d: d.record(Query(), value=b"\xff"), "DecodeError", "headrace.v1.Query"),
]


@pytest.mark.parametrize(("make", "error", "text"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_bad_input_becomes_a_dead_letter(make: Bad, error: str, text: str) -> None:
    """Invariant 7: the dead letter carries the input whole, the reply says why, and the batch goes on."""
    fixture = StepFixture(check_purity=True)
    fixture.tell(pb.Deposit(amount=10))
    bad = make(fixture)
    before, after = (fixture.record(pb.Deposit(amount=amount), reply_to=None) for amount in (1, 2))
    outcome = fixture.run(before, bad, after)

    (dead_letter,) = outcome.dead
    assert_whole(dead_letter, bad)
    assert (dead_letter.error_class, dead_letter.component) == (error, "aggregate:account")
    assert text in dead_letter.error
    assert (dead_letter.attempts, dead_letter.first_failed, dead_letter.last_failed) == (1, NOW, NOW)
    (dead,) = outcome.kind("dead-letters")
    assert dead[0] == "main.account.dead-letters"
    assert dead[2] == bad.key

    asked = REPLY_TO in bad.headers
    assert len(outcome.replies) == asked
    for reply in outcome.replies:
        assert reply.status == Reply.FAILED
        assert reply.sequence == -1
        assert text in reply.reason
        assert "main.account.dead-letters" in reply.reason
        assert reply.command_id.encode() == (bad.headers.get(ID) or b"") or error == "UnicodeDecodeError"

    assert outcome.events == [pb.Deposited(amount=1, balance=11), pb.Deposited(amount=2, balance=13)]
    assert fixture.state() == pb.Account(balance=13, count=3)
    assert fixture.snapshot().sequence == 2
    assert (outcome.written.failed, outcome.written.accepted, outcome.written.events) == (1, 2, 2)


def assert_whole(dead_letter: DeadLetter, record: Record) -> None:
    assert (dead_letter.topic, dead_letter.partition, dead_letter.offset) == (
        record.topic,
        record.partition,
        record.offset,
    )
    assert dead_letter.timestamp == record.timestamp
    assert (None if dead_letter.key_missing else dead_letter.key) == record.key
    assert (None if dead_letter.value_missing else dead_letter.value) == record.value
    assert {h.key: h.value for h in dead_letter.headers} == {k: v or b"" for k, v in record.headers.items()}


def test_a_record_with_nothing_at_all() -> None:
    fixture = StepFixture()
    empty = Record(fixture.topic, 0, 0, NOW, None, None, {})
    outcome = fixture.run(empty)
    assert_whole(outcome.dead[0], empty)
    assert outcome.replies == []
    assert outcome.dead[0].key_missing
    assert outcome.dead[0].value_missing


def test_no_value_is_a_message_without_fields() -> None:
    fixture = StepFixture()
    assert fixture.run(fixture.record(pb.Deposit(amount=1), value=None)).events == [pb.Deposited()]


@pytest.mark.parametrize(
    "target",
    [
        b"main.account.events/0",
        b"headrace.replies/2",
        b"headrace.replies/-1",
        b"headrace.replies/",
        b"headrace.replies/x",
        b"headrace.replies/" + b"9" * 5000,
        b"headrace.replies",
        b"other.headrace.replies/0",
        b"\xff/0",
        b"",
    ],
)
def test_answers_go_nowhere_but_to_the_replies_topic(target: bytes) -> None:
    """A foreign topic or a partition out of range is refused before anything is decided."""
    fixture = StepFixture()
    bad = fixture.record(pb.Deposit(amount=1), headers={REPLY_TO: target})
    outcome = fixture.run(bad, fixture.record(pb.Deposit(amount=2)))
    (dead_letter,) = outcome.dead
    assert_whole(dead_letter, bad)
    assert dead_letter.error_class == "RecordError"
    assert "answers go to headrace.replies/0 … headrace.replies/1" in dead_letter.error
    assert outcome.events == [pb.Deposited(amount=2, balance=2)]
    assert {output[0] for output in outcome.outputs} == {
        f"main.account.{kind}" for kind in ("dead-letters", "events", "snapshots")
    } | {"headrace.replies"}


@pytest.mark.parametrize("time", [-1, -(2**62), 0, 253402300800000, 2**62])
def test_times_that_no_calendar_knows_harm_nobody(time: int) -> None:
    """A foreign producer sets the timestamp of its records; whatever it says, the batch goes on and nothing is lost."""
    fixture = StepFixture()
    outcome = fixture.run(
        fixture.record(pb.Deposit(amount=1), time=time),
        fixture.record(pb.Annotate(note="n"), time=time),
        fixture.record(pb.Burst(how="raise"), time=time),
        fixture.record(pb.Deposit(amount=2)),
    )
    assert outcome.events[0] == pb.Deposited(amount=1, balance=1)
    assert outcome.events[-1] == pb.Deposited(amount=2, balance=3)
    assert len(outcome.events) + len(outcome.dead) == 4
    assert fixture.snapshot().sequence == len(outcome.events) - 1


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "error", [ValueError("\ud800"), RuntimeError("\ud800"), Unspeakable(), ValueError("x" * 3_000_000)], ids=type
)
def test_an_error_whose_text_cannot_be_kept_is_kept_all_the_same(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture = StepFixture()
    command = fixture.step._deciders.command

    def fail_touch(record: Record) -> Any:
        if record.headers[TYPE] == b"bank.v1.Touch":
            raise error
        return command(record)

    monkeypatch.setattr(fixture.step._deciders, "command", fail_touch)
    outcome = fixture.tell(pb.Touch(), pb.Deposit(amount=1))
    assert outcome.dead[0].error_class == type(error).__name__
    assert outcome.dead[0].error
    assert len(outcome.dead[0].error) < 20_000
    assert outcome.replies[0].status == Reply.FAILED
    assert outcome.replies[1].status == Reply.ACCEPTED


def test_details_are_for_faults_not_for_bad_requests() -> None:
    fixture = StepFixture()
    outcome = fixture.tell(pb.Burst(how="raise"), pb.Burst(how="type"), pb.Swell(bytes=2_000_000))
    fault, contract, large = outcome.dead
    assert "in burst" in fault.detail
    assert "HandlerError" in contract.detail
    assert large.detail == ""
    assert outcome.replies[2].code == "too-large"


# ---- states that handlers and appliers leave half changed


@pytest.mark.parametrize("stored", [True, False], ids=["state from the store", "state from this batch"])
@pytest.mark.parametrize("how", ["apply", "mutate", "raise", "stranger"])
def test_a_failed_command_leaves_the_state_as_it_was(how: str, stored: bool) -> None:
    """The snapshot is the fold of what was stored, nothing of the failed command is, and later commands are fine."""
    fixture = StepFixture(check_purity=True)
    first = fixture.record(pb.Transfer(amounts=[5, 6]))
    if stored:
        fixture.run(first)
        fixture.restart()
    outcome = fixture.run(
        *([] if stored else [first]), fixture.record(pb.Burst(how=how)), fixture.record(pb.Deposit(amount=1))
    )
    assert outcome.events[-1] == pb.Deposited(amount=1, balance=12)
    assert fixture.state() == pb.Account(balance=12, count=3)
    assert fixture.snapshot().sequence == 2
    assert len(list(fixture.store.history(b"r", 0, 9))) == 3


def test_an_event_too_large_stops_those_beside_it() -> None:
    """Of the events of one command either all are written or none is."""
    fixture = StepFixture(max_bytes=10_000)
    assert fixture.tell(pb.Swell(bytes=1_000, times=2)).written.events == 2
    outcome = fixture.tell(pb.Swell(bytes=8_000, times=2))
    assert outcome.events == []
    assert outcome.reply.code == "too-large"
    assert fixture.snapshot().sequence == 1


# ---- snapshots that outgrow the broker's limit


def test_a_state_too_large_fails_its_own_command_only() -> None:
    """Found when the batch is finished; done again with care, the batch loses just the commands that are too much."""
    fixture = StepFixture(max_bytes=10_000)
    batch = [
        fixture.record(pb.Swell(bytes=4_000)),
        fixture.record(pb.Swell(bytes=5_000)),
        fixture.record(pb.Deposit(amount=1)),
        fixture.record(pb.Swell(bytes=5_000), root="other"),
    ]
    fixture.handle(*batch)
    with pytest.raises(SnapshotTooLarge):
        fixture.step.finish(NOW)
    fixture.step.rolled_back()
    fixture.step.enforce_state_size = True
    outcome = fixture.run(*batch)
    assert [r.status for r in outcome.replies] == [Reply.ACCEPTED, Reply.FAILED, Reply.ACCEPTED, Reply.ACCEPTED]
    assert outcome.replies[1].code == "too-large"
    assert "a state of" in outcome.dead[0].error
    assert fixture.state() == pb.Account(balance=1, count=2, ballast=b"x" * 4_000)
    assert len(fixture.state("other").ballast) == 5_000


@pytest.mark.parametrize("size", range(7_860, 7_960, 4))
def test_with_care_a_batch_always_ends(size: int) -> None:
    """However near to the limit a state comes: what care lets through, the end of the batch does too."""
    fixture = StepFixture(max_bytes=10_000)
    fixture.step.enforce_state_size = True
    fixture.tell(pb.Swell(bytes=size), pb.Deposit(amount=1))


def test_a_reply_too_large_leaves_its_events_out() -> None:
    fixture = StepFixture(max_bytes=10_000)
    fixture.step.enforce_state_size = True
    outcome = fixture.tell(*[pb.Deposit(amount=1)] * 3, pb.Transfer(amounts=[1] * 400))
    assert outcome.written.events == 403
    reply = outcome.replies[-1]
    assert (reply.status, reply.sequence, list(reply.events)) == (Reply.ACCEPTED, 402, [])
    assert "events left out" in reply.reason


def test_an_answer_is_given_where_it_was_asked_for() -> None:
    fixture = StepFixture()
    outcome = fixture.run(
        fixture.record(pb.Deposit(amount=1), reply_to="headrace.replies/1"),
        fixture.record(pb.Deposit(amount=2), reply_to=ANSWER),
    )
    assert [(key, partition) for _, _, key, partition, _ in outcome.kind("replies")] == [(b"c1", 1), (b"c2", 0)]
