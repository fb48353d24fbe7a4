"""Trust follows the topic (invariant 10): what only the engine may say counts in inboxes only.

Here an outsider may write to topics of commands and of facts, and to nothing else.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.message import Message

from headrace import ProcessManager, Saga, Schedule, Send, Topology, TopologyError, applies, reacts
from headrace.schemas.headers import ENGINE_ONLY, FACT, ORIGIN, REPLAY_OF, TYPE
from headrace.schemas.headrace_v1_pb2 import Query, Reply
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.record import Record
from headrace.testing import TopologyDriver
from headrace.testing.request import request
from tests.support.bank import reactions
from tests.support.bank.accounts import Book, Purse
from tests.support.bank.messages_pb2 import Account, Annotate, Annotated, Deposit, Deposited, Stash, Stashed, Withdraw
from tests.support.step_fixture import INBOX, Outcome, StepFixture

START = datetime(2026, 1, 1, tzinfo=UTC)
REPLIES = "headrace.replies"
PREDICTED = "/main/purse/anna:0>keeper/0"
"""The id of the command that the saga will send for anna's first event."""


@pytest.fixture
def driver() -> TopologyDriver:
    return TopologyDriver(reactions.topology, start=START)


@pytest.fixture
def timed() -> TopologyDriver:
    return TopologyDriver(reactions.timed, start=START)


def outsider(
    driver: TopologyDriver, topic: str, command: Message, root: str, id: str = "forged", **headers: str
) -> Reply | None:
    """What an outsider is answered to a record with headers of its own."""
    answered = len(driver.records(REPLIES))
    good = request(topic, command, root, time=driver.clock.milliseconds, command_id=id, reply_to=f"{REPLIES}/0")
    forged = {f"ce_{name}": value.encode() for name, value in headers.items()}
    driver.produce(topic, good.key, good.value, {**good.headers, **forged}.items())
    replies = driver.records(REPLIES)[answered:]
    return Reply.FromString(replies[0].value or b"") if replies else None


def assert_refused(outcome: Outcome, record: Record, header: str) -> None:
    """Nothing came of the record but a dead letter and an answer that names the header."""
    (dead_letter,) = outcome.dead
    assert f"header {header} counts in {INBOX} only" in dead_letter.error
    assert outcome.reply.status == Reply.FAILED
    assert header in outcome.reply.reason
    assert {h.key: h.value for h in dead_letter.headers} == dict(record.headers)
    assert dead_letter.attempts == 1
    assert {output[0].rsplit(".", 1)[1] for output in outcome.outputs} == {"dead-letters", "replies"}
    assert (outcome.written.failed, sum(outcome.written)) == (1, 1)


@pytest.mark.parametrize("header", sorted(ENGINE_ONLY))
def test_each_header_of_the_engine_is_refused_by_name_in_commands(header: str) -> None:
    fixture = StepFixture()
    for command in (Deposit(amount=1), Withdraw(amount=99), Query(state=True)):
        record = fixture.record(command, headers={header: b"1"})
        assert_refused(fixture.run(record), record, header)
    assert fixture.store.snapshot(b"r") is None


@pytest.mark.parametrize("header", sorted(ENGINE_ONLY - {FACT}))
def test_each_header_of_the_engine_is_refused_by_name_in_facts(header: str, driver: TopologyDriver) -> None:
    facts = driver.topic("purse", "facts")
    reply = outsider(driver, facts, Stash(pocket="a", amount=1), "p", factid="x", **{header[3:]: "1"})
    assert reply is not None
    assert (reply.status, header in reply.reason) == (Reply.FAILED, True)
    assert driver.messages("p", "purse") == []


def test_a_rejected_command_with_a_forged_issuer_compensates_nobody(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=5), "victim")
    for issuer in ("purse:victim", "book:victim", "warden:trip"):
        outsider(driver, driver.topic("book", "commands"), Annotate(note="revoke"), "mine", issuer, rejectto=issuer)
    assert driver.messages("victim", "purse") == [Deposited(amount=5, balance=5)]
    assert driver.counts["purse"]["compensations"] == 0


def test_no_command_is_settled_by_a_client(driver: TopologyDriver) -> None:
    """Neither does a dead letter count as settled, nor does a good command vanish."""
    driver.execute(Deposit(amount=13), "p")
    (open_one,) = driver.records(driver.topic("keeper", "dead-letters"))
    commands = driver.topic("purse", "commands")
    for more in ({}, {"discard": "1"}):
        reply = outsider(driver, commands, Deposit(amount=1), "q", replayof=open_one.headers["ce_id"].decode(), **more)
        assert reply is not None
        assert reply.status == Reply.FAILED
    assert driver.messages("q", "purse") == []
    assert len(driver.dead_letters("purse")) == 2
    assert [r.headers[TYPE] for r in driver.records(driver.topic("keeper", "dead-letters"))] == [open_one.headers[TYPE]]


def test_a_command_sent_ahead_under_a_sagas_id_swallows_nothing(driver: TopologyDriver) -> None:
    ahead = outsider(driver, driver.topic("book", "commands"), Annotate(note="mine"), "anna", PREDICTED)
    assert ahead is not None
    assert ahead.status == Reply.ACCEPTED
    driver.execute(Deposit(amount=1), "anna")
    assert [message.note for message in driver.messages("anna", "book")] == ["mine", "0"]
    assert driver.dead_letters("book") == []


def test_no_id_of_a_client_names_a_result_of_the_inbox(driver: TopologyDriver) -> None:
    """A NUL would lead from one table of results to the other."""
    driver.execute(Deposit(amount=1), "anna")
    commands = driver.topic("book", "commands")
    reply = outsider(driver, commands, driver_command(driver), "anna", f"\0{PREDICTED}")
    assert reply is not None
    assert (reply.status, reply.already_processed) == (Reply.FAILED, False)


def driver_command(driver: TopologyDriver) -> Annotate:
    """What the saga has sent."""
    (sent,) = driver.records(driver.topic("book", "inbox"))
    return Annotate.FromString(sent.value or b"")


def test_a_client_cannot_have_a_process_manager_answered(timed: TopologyDriver) -> None:
    """Else it would believe states that are not true, or wait for ever."""
    timed.execute(Deposit(amount=1), "mine")
    inbox = timed.topic("warden", "inbox")
    before = len(timed.records(inbox))
    for number, query in enumerate((Query(state=True), Query(limit=1))):
        commands = timed.topic("purse", "commands")
        assert outsider(timed, commands, query, "mine", f"q{number}", replyto=f"{inbox}/0") is None
    assert outsider(timed, timed.topic("purse", "commands"), Deposit(amount=1), "mine", replyto=f"{inbox}/0") is None
    assert len(timed.records(inbox)) == before
    assert len(timed.dead_letters("purse")) == 3
    timed.replay("purse")  # nor does it come true by being sent again
    assert len(timed.records(inbox)) == before


def test_a_rejection_is_no_command(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=5), "p")
    notice = WireRejection(command_type="bank.v1.Annotate", command=Annotate(note="no").SerializeToString())
    reply = outsider(driver, driver.topic("purse", "commands"), notice, "p")
    assert reply is not None
    assert (reply.status, "handles no headrace.v1.Rejection" in reply.reason) == (Reply.FAILED, True)
    assert len(driver.messages("p", "purse")) == 1


@pytest.mark.parametrize("header", ["ce_rejectto", "ce_path", "ce_origintopic"])
def test_what_was_forged_does_not_become_true_by_a_replay(header: str, driver: TopologyDriver) -> None:
    """A replay is checked as from the topic that its input was on, and so again each time."""
    driver.execute(Deposit(amount=5), "victim")
    value = {"ce_origintopic": driver.topic("book", "inbox")}.get(header, "purse:victim")
    outsider(driver, driver.topic("book", "commands"), Annotate(note="revoke"), "mine", **{header[3:]: value})
    for _ in range(3):
        driver.replay("book")
        (*_, dead_letter) = driver.dead_letters("book")
        assert f"header {header} counts in" in dead_letter.error
    assert driver.messages("victim", "purse") == [Deposited(amount=5, balance=5)]
    assert driver.messages("mine", "book") == []


def test_a_replayed_command_is_known_by_the_id_that_it_had_as_a_command(driver: TopologyDriver) -> None:
    """A replay that is sent twice is carried out once, and so is the command that a client sends once more."""
    fixture = StepFixture()
    lost = fixture.record(Deposit(amount=3), id="once", headers={"content-type": b"text/plain"})
    (dead_letter,) = fixture.run(lost).dead
    repaired = {**lost.headers, "content-type": b"application/protobuf"}
    replay = {**repaired, REPLAY_OF: b"main.account.commands/0/1", ORIGIN: b"main.account.commands"}
    again = lost._replace(topic=INBOX, headers=replay)
    assert [fixture.run(again).written.accepted, fixture.run(again).written.repeated] == [1, 1]
    assert fixture.run(lost._replace(headers=repaired)).reply.already_processed
    assert fixture.state().balance == 3
    assert dead_letter.topic == "main.account.commands"


@pytest.mark.parametrize("origin", [None, b"", b"main.purse.inbox", b"\xff", b"main.account.events"])
def test_a_replay_names_an_input_of_its_component(origin: bytes | None) -> None:
    fixture = StepFixture()
    headers: dict[str, bytes | None] = {REPLAY_OF: b"x", ORIGIN: origin}
    outcome = fixture.run(fixture.record(Deposit(amount=1), topic=INBOX, headers=headers))
    assert "a replay names the input that it was first on" in outcome.dead[-1].error
    assert fixture.store.snapshot(b"r") is None


@pytest.mark.parametrize("name", ["ce_id", "ce_correlationid", "ce_traceparent"])
@pytest.mark.parametrize("size", [1025, 300_000])
def test_what_is_copied_is_bounded(name: str, size: int) -> None:
    """Else records that the engine makes of it could be too large, and be made again and again."""
    fixture = StepFixture()
    outcome = fixture.tell(Deposit(amount=1), headers={name: b"x" * size})
    assert f"header {name} has {size} bytes; at most 1024 are taken" in outcome.dead[0].error
    for topic, value, key, _, headers in outcome.outputs:
        if not topic.endswith("dead-letters"):  # which holds its input whole
            assert len(value or b"") + len(key or b"") + sum(len(v or b"") for _, v in headers or ()) < 20_000
    headers_of_letter: Any = outcome.kind("dead-letters")[0][4]
    assert sum(len(value) for _, value in headers_of_letter) < 5_000


def test_a_process_manager_can_ask_for_causes_from_an_inbox(timed: TopologyDriver) -> None:
    """A client chooses its correlation id, and so addresses any process; a cause from an inbox it cannot choose."""

    class Careful(ProcessManager[Account]):
        name = "careful"

        @reacts
        def deposited(self, state: Account, event: Deposited) -> Iterator[Send[Annotate] | Schedule]:
            yield Send("book", "b", Annotate(note="asked"))
            yield Schedule(timedelta(minutes=1), Withdraw())

        @reacts(from_inbox=True)
        def noted(self, state: Account, event: Annotated | Withdraw) -> Stashed:
            return Stashed(pocket=getattr(event, "note", "later"), amount=1)

        @applies
        def stashed(self, state: Account, event: Stashed) -> None:
            state.pockets[event.pocket] = event.amount

    driver = TopologyDriver(Topology(Purse, Book, Careful), start=START)
    outsider(driver, driver.topic("book", "commands"), Annotate(note="forged"), "b", correlationid="trip")
    assert driver.state("trip", "careful") is None
    driver.execute(Deposit(amount=5), "p", correlation_id="trip")
    driver.clock.advance(timedelta(minutes=1))
    assert dict(driver.state("trip", "careful").pockets) == {"asked": 1, "later": 1}
    assert driver.counts["careful"]["ignored"] == 1


def test_a_saga_cannot_ask_for_causes() -> None:
    class Odd(Saga):
        name = "odd"
        source = "purse"

        @reacts(from_inbox=True)
        def deposited(self, event: Deposited) -> None:
            return None

    with pytest.raises(TopologyError, match=r"Odd\.deposited: from_inbox= means nothing here"):
        Topology(Purse, Odd)
