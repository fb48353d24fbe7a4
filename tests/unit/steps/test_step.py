"""What the step writes for good commands and queries, byte for byte where others rely on it."""

from datetime import UTC, datetime

import pytest

from headrace.schemas.codecs import encode
from headrace.schemas.headers import CONTENT_TYPE, CORRELATION, TRACEPARENT
from headrace.schemas.headrace_v1_pb2 import Query
from headrace.schemas.stored_event import unpack
from tests.support.bank import messages_pb2 as pb
from tests.support.step_fixture import NOW, Reply, StepFixture, header


def test_an_accepted_command() -> None:
    fixture = StepFixture(edition="trial")
    outcome = fixture.tell(pb.Transfer(amounts=[5, 6]), headers={CORRELATION: b"visit", TRACEPARENT: b"00-ab-cd-01"})
    assert [output[0] for output in outcome.outputs] == [
        "trial.account.events",
        "trial.account.events",
        "headrace.replies",
        "trial.account.snapshots",
        "trial.account.snapshots",
    ]
    topic, value, key, partition, headers = outcome.outputs[1]
    assert (topic, key, partition) == ("trial.account.events", "r|00000000000000000001", 0)
    assert value == pb.Deposited(amount=6, balance=11).SerializeToString()
    assert headers == [
        ("ce_specversion", "1.0"),
        ("ce_source", "/trial/account"),
        ("ce_type", "bank.v1.Deposited"),
        ("content-type", "application/protobuf"),
        ("ce_id", "r:1"),
        ("ce_sequence", "1"),
        ("ce_subject", b"r"),
        ("ce_time", "2023-11-14T22:13:20.000Z"),
        ("ce_correlationid", b"visit"),
        ("ce_causationid", b"c1"),
        ("ce_traceparent", b"00-ab-cd-01"),
    ]
    reply = outcome.reply
    assert (reply.status, reply.command_id, reply.root, reply.sequence) == (Reply.ACCEPTED, "c1", "r", 1)
    assert (reply.correlation_id, reply.already_processed) == ("visit", False)
    assert [(e.type, e.sequence, e.causation_id) for e in reply.events] == [
        ("bank.v1.Deposited", 0, "c1"),
        ("bank.v1.Deposited", 1, "c1"),
    ]
    assert [e.time for e in reply.events] == ["2023-11-14T22:13:20.000Z"] * 2


@pytest.mark.parametrize("correlation", [None, b""])
def test_without_correlation_the_commands_own_id_is_it(correlation: bytes | None) -> None:
    fixture = StepFixture()
    outcome = fixture.tell(pb.Annotate(note="n"), headers={CORRELATION: correlation}, id="one")
    assert outcome.reply.correlation_id == "one"
    assert outcome.reply.events[0].correlation_id == "one"
    assert header(outcome.kind("events")[0], CORRELATION) == "one"
    repeated = fixture.tell(pb.Annotate(note="n"), headers={CORRELATION: correlation}, id="one")
    assert repeated.reply.correlation_id == "one"


def test_a_command_without_events_is_accepted() -> None:
    fixture = StepFixture()
    outcome = fixture.tell(pb.Touch(), pb.Deposit(amount=1), pb.Touch())
    assert [(r.status, r.sequence, len(r.events)) for r in outcome.replies] == [
        (Reply.ACCEPTED, -1, 0),
        (Reply.ACCEPTED, 0, 1),
        (Reply.ACCEPTED, 0, 0),
    ]
    assert outcome.written.accepted == 3


def test_a_root_that_only_said_no_has_no_snapshot() -> None:
    fixture = StepFixture()
    fixture.tell(pb.Withdraw(amount=1), pb.Touch())
    assert fixture.store.snapshot(b"r") is None


def test_a_rejection() -> None:
    fixture = StepFixture()
    outcome = fixture.tell(pb.Open(owner="Ann"), pb.Open(owner="Bob"))
    refused = outcome.replies[1]
    assert (refused.status, refused.reason, refused.code) == (Reply.REJECTED, "owned by Ann already", "taken")
    assert (refused.sequence, refused.retryable, list(refused.events)) == (0, False, [])
    assert outcome.dead == []
    assert outcome.written.rejected == 1


def test_a_rejection_nobody_waits_for_is_a_dead_letter() -> None:
    """Invariant 7: nothing disappears."""
    fixture = StepFixture()
    outcome = fixture.tell(pb.Withdraw(amount=1), reply_to=None)
    (dead_letter,) = outcome.dead
    assert (dead_letter.error_class, dead_letter.error) == ("Rejected", "balance is 0, 1 asked for")
    assert dead_letter.detail == ""
    assert outcome.replies == []


def test_one_snapshot_a_touched_root() -> None:
    """A thousand commands of two roots in one batch write two snapshots, and one record for all answers."""
    fixture = StepFixture()
    batch = [fixture.record(pb.Deposit(amount=1), root=f"r{n % 2}") for n in range(1000)]
    outcome = fixture.run(*batch)
    assert len(outcome.events) == 1000
    assert [output[2] for output in outcome.kind("snapshots")][:2] == [b"r0", b"r1"]
    assert len(outcome.kind("snapshots")) == 3
    last = outcome.outputs[-1][2]
    assert isinstance(last, bytes)
    assert last.startswith(b"\0answers|1700000000000|")


def test_the_context_is_what_the_record_says() -> None:
    fixture = StepFixture()
    fixture.tell(pb.Deposit(amount=1))
    (event,) = fixture.tell(pb.Annotate(note="n"), id="one", time=NOW + 123).events
    assert isinstance(event, pb.Annotated)
    assert event.at == datetime.fromtimestamp((NOW + 123) / 1000, UTC).isoformat()


def test_json_and_avro_commands_lead_to_the_same_events() -> None:
    command = pb.Deposit(amount=7)
    for content_type in ("application/json", "application/avro", "application/x-protobuf", "application/json; v=1"):
        fixture = StepFixture()
        plain = {"application/x-protobuf": "application/protobuf"}.get(content_type, content_type.partition(";")[0])
        record = fixture.record(command, value=encode(command, plain), headers={CONTENT_TYPE: content_type.encode()})
        assert fixture.run(record).events == [pb.Deposited(amount=7, balance=7)]


def test_each_event_has_the_time_of_its_command() -> None:
    fixture = StepFixture()
    outcome = fixture.run(*(fixture.record(pb.Deposit(amount=1), time=NOW + n) for n in (0, 7, 7, 0)))
    assert [header(output, "ce_time")[-5:] for output in outcome.kind("events")] == [".000Z", ".007Z", ".007Z", ".000Z"]


# ---- queries


def test_a_query_sees_all_that_was_sent_before_it() -> None:
    fixture = StepFixture()
    fixture.tell(pb.Transfer(amounts=[1, 2]))
    batch = [fixture.record(pb.Deposit(amount=3)), fixture.record(Query(state=True, from_sequence=1, limit=10))]
    result = fixture.run(*batch).kind("replies")[-1]
    assert header(result, "ce_type") == "headrace.v1.QueryResult"
    assert header(result, "ce_id") == "c3"
    found = fixture.tell(Query(state=True, from_sequence=1, limit=10)).result
    assert found.FromString(result[1] or b"") == found
    assert (found.root, found.sequence, found.state_type) == ("r", 2, "bank.v1.Account")
    assert pb.Account.FromString(found.state) == pb.Account(balance=6, count=3)
    assert [e.sequence for e in found.events] == [1, 2]
    assert pb.Deposited.FromString(found.events[1].data) == pb.Deposited(amount=3, balance=6)


@pytest.mark.parametrize("committed", [0, 2, 5])
@pytest.mark.parametrize("first", [-3, 0, 2, 4, 5, 9])
@pytest.mark.parametrize("limit", [-1, 0, 1, 3, 100])
def test_a_query_takes_events_from_the_store_and_from_its_batch(committed: int, first: int, limit: int) -> None:
    fixture = StepFixture()
    for amount in range(committed):
        fixture.tell(pb.Deposit(amount=amount))
    for amount in range(committed, 5):
        fixture.handle(fixture.record(pb.Deposit(amount=amount)))
    result = fixture.run(fixture.record(Query(from_sequence=first, limit=limit))).result
    wanted = list(range(max(0, first), 5))[: max(0, limit)]
    assert [e.sequence for e in result.events] == wanted
    assert [pb.Deposited.FromString(e.data).amount for e in result.events] == wanted
    assert result.state == b""


def test_a_query_for_an_unknown_root() -> None:
    fixture = StepFixture()
    outcome = fixture.tell(Query(state=True, limit=5))
    assert (outcome.result.sequence, outcome.result.state, list(outcome.result.events)) == (-1, b"", [])
    assert outcome.written.queries == 1
    assert [output[0] for output in outcome.outputs] == ["headrace.replies"]


def test_a_query_result_holds_as_many_events_as_fit() -> None:
    fixture = StepFixture(max_bytes=10_000)
    fixture.step.enforce_state_size = True
    fixture.tell(pb.Swell(bytes=1_000, times=4))
    fixture.tell(*(pb.Annotate(note="n" * 2_000) for _ in range(4)))
    part = fixture.tell(Query(limit=100)).result
    assert 0 < len(part.events) < 8
    rest = fixture.tell(Query(limit=100, from_sequence=len(part.events))).result
    assert rest.events[0].sequence == len(part.events)
    big = StepFixture(max_bytes=5_000, store=fixture.store)
    assert "too large for one record" in big.tell(Query(state=True)).result.reason


# ---- what stays in memory


def test_live_states_are_bounded_and_come_back_from_the_store() -> None:
    fixture = StepFixture(live_states=3)
    for round_ in range(3):
        for number in range(10):
            fixture.tell(pb.Deposit(amount=1), root=f"r{number}")
        assert len(fixture.step._cache.live) == 3
        assert [fixture.state(f"r{number}").balance for number in range(10)] == [round_ + 1] * 10


def test_states_that_the_batch_used_stay() -> None:
    fixture = StepFixture(live_states=2)
    for roots in (["a"], ["b"], ["a", "c"]):
        fixture.run(*(fixture.record(pb.Deposit(amount=1), root=root) for root in roots))
    assert list(fixture.step._cache.live) == [b"a", b"c"]


def test_history_is_kept_as_it_was_written() -> None:
    fixture = StepFixture()
    fixture.tell(pb.Annotate(note="a\0b\0c"), id="one", headers={CORRELATION: b"visit"})
    (stored,) = map(unpack, fixture.store.history(b"r", 0, 0))
    assert (stored.schema, stored.causation, stored.correlation) == (b"bank.v1.Annotated", b"one", b"visit")
    assert (stored.time, stored.fact, stored.content_type) == (b"2023-11-14T22:13:20.000Z", b"", b"")
    assert pb.Annotated.FromString(stored.data).note == "a\0b\0c"


def test_history_is_read_from_one_sequence_to_another() -> None:
    fixture = StepFixture()
    fixture.tell(*(pb.Deposit(amount=n) for n in range(5)))

    def amounts(first: int, last: int) -> list[int]:
        return [pb.Deposited.FromString(unpack(v).data).amount for v in fixture.store.history(b"r", first, last)]

    assert (amounts(1, 3), amounts(0, 0), amounts(4, 99), amounts(3, 2)) == ([1, 2, 3], [0], [4], [])
    assert list(fixture.store.history(b"unknown", 0, 9)) == []


def test_what_a_batch_came_to() -> None:
    fixture = StepFixture(partitions=2, partition=1)  # r's partition is 1, x's is 0
    outcome = fixture.run(
        fixture.record(pb.Transfer(amounts=[1, 2, 3]), id="one"),
        fixture.record(pb.Transfer(amounts=[1, 2, 3]), id="one"),
        fixture.record(pb.Withdraw(amount=100)),
        fixture.record(pb.Burst(how="raise")),
        fixture.record(pb.Deposit(amount=1), root="x"),
        fixture.record(Query()),
    )
    assert {name: count for name, count in outcome.written._asdict().items() if count} == {
        "accepted": 1,
        "rejected": 1,
        "failed": 1,
        "repeated": 1,
        "forwarded": 1,
        "queries": 1,
        "events": 3,
    }
    assert fixture.tell(pb.Touch()).written.accepted == 1, "the next batch counts anew"
