"""The driver of whole topologies: commands in, records out, a clock to set."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace import Names, Topology
from headrace.schemas.headers import ID, SOURCE, SPECVERSION, TYPE
from headrace.streams.in_memory.runtime import _ENDLESS, MemoryRuntime
from headrace.testing import TopologyDriver
from headrace.topology.partitioner import partition_of
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import Accounts, Fields

START = datetime(2024, 1, 1, tzinfo=UTC)
BANK = Topology(Accounts)
GOOD = {SPECVERSION: b"1.0", ID: b"own", SOURCE: b"/elsewhere", TYPE: b"bank.v1.Deposit"}
COMMANDS = "main.account.commands"


@pytest.fixture
def driver() -> TopologyDriver:
    return TopologyDriver(BANK, start=START)


def test_a_command_and_what_it_leads_to(driver: TopologyDriver) -> None:
    reply = driver.execute(pb.Transfer(amounts=[5, 6]), "r", correlation_id="visit")
    assert reply.accepted
    assert (reply.status, reply.sequence, reply.reason) == ("accepted", 1, "")
    assert reply.messages == [pb.Deposited(amount=5, balance=5), pb.Deposited(amount=6, balance=11)]
    assert reply.correlation_id == "visit"
    assert driver.messages("r", "account") == reply.messages
    assert driver.state("r", "account") == pb.Account(balance=11, count=2)
    assert driver.messages("other", "account") == []
    assert driver.state("other", "account") is None
    refused = driver.execute(pb.Withdraw(amount=99), "r")
    assert not refused.accepted
    assert (refused.status, refused.code, refused.retryable) == ("rejected", "funds", False)
    failed = driver.execute(pb.Burst(how="raise"), "r")
    assert (failed.status, failed.code) == ("failed", "failed")
    (dead_letter,) = driver.dead_letters("account")
    assert (dead_letter.error_class, dead_letter.topic) == ("ZeroDivisionError", COMMANDS)


def test_records_have_partitions_and_offsets_as_in_kafka(driver: TopologyDriver) -> None:
    roots = [f"r{number}" for number in range(20)]
    for root in roots:
        driver.execute(pb.Transfer(amounts=[1, 2]), root)
    for topic in (COMMANDS, "main.account.events", "main.account.snapshots", "headrace.replies"):
        places: dict[int, list[int]] = {}
        for record in driver.records(topic):
            assert record.topic == topic
            places.setdefault(record.partition, []).append(record.offset)
        assert all(offsets == list(range(len(offsets))) for offsets in places.values())
        assert len(places) == (1 if topic == "headrace.replies" else 4)
    for record in driver.records("main.account.events"):
        key, _, number = (record.key or b"").rpartition(b"|")
        assert record.partition == partition_of(key, 4)
        assert record.headers["ce_sequence"] == str(int(number)).encode()
    assert driver.records("main.nothing.events") == []


def test_the_clock_moves_only_when_told(driver: TopologyDriver) -> None:
    def at() -> Any:
        return driver.execute(pb.Annotate(), "r").messages[0].at

    assert at() == at() == "2024-01-01T00:00:00+00:00"
    driver.clock.advance(timedelta(days=1, milliseconds=1.5))
    assert driver.clock.now == datetime(2024, 1, 2, 0, 0, 0, 1000, UTC)
    assert at() == "2024-01-02T00:00:00.001000+00:00"
    driver.clock.set(START - timedelta(hours=1))
    assert at() == "2023-12-31T23:00:00+00:00"
    events = driver.records("main.account.events")
    assert events[-1].headers["ce_time"] == b"2023-12-31T23:00:00.000Z"
    assert [event.timestamp - events[0].timestamp for event in events] == [
        0,
        1,
        24 * 60 * 60 * 1000 + 1,
        24 * 60 * 60 * 1000 + 2,
    ]
    with pytest.raises(ValueError, match="names no time zone"):
        driver.clock.set(datetime(2024, 1, 1))


def test_duplicates_and_expected_sequences(driver: TopologyDriver) -> None:
    first = driver.execute(pb.Deposit(amount=5), "r", command_id="same")
    again = driver.execute(pb.Deposit(amount=5), "r", command_id="same")
    assert again.already_processed
    assert (again.events, again.sequence) == (first.events, 0)
    assert driver.execute(pb.Deposit(amount=5), "other", command_id="same").sequence == 0
    conflict = driver.execute(pb.Withdraw(amount=1), "r", expected_sequence=-1)
    assert (conflict.code, conflict.retryable, conflict.events) == ("sequence-conflict", True, first.events)
    assert driver.state("r", "account").balance == 5


def test_raw_records(driver: TopologyDriver) -> None:
    driver.produce(COMMANDS, b"r", pb.Deposit(amount=5).SerializeToString(), GOOD.items())
    assert driver.messages("r", "account") == [pb.Deposited(amount=5, balance=5)]
    assert driver.records("headrace.replies") == []
    driver.produce(COMMANDS, None, None)
    driver.produce(COMMANDS, b"r", b"\xff", {**GOOD, ID: b"two"}.items())
    nothing, malformed = driver.dead_letters("account")
    assert (nothing.key_missing, nothing.value_missing, nothing.error_class) == (True, True, "RecordError")
    assert (malformed.key, malformed.value, malformed.offset) == (b"r", b"\xff", driver.records(COMMANDS)[-1].offset)
    with pytest.raises(LookupError, match=r"nothing reads 'main\.account\.events'; input topics are: main\.account\."):
        driver.produce("main.account.events", b"r", b"")


def test_invariant_6_misrouted_records_are_forwarded_then_handled(driver: TopologyDriver) -> None:
    right = partition_of(b"r", 4)
    wrong = (right + 1) % 4
    driver.produce(COMMANDS, b"r", pb.Deposit(amount=5).SerializeToString(), GOOD.items(), partition=wrong)
    assert [r.partition for r in driver.records(COMMANDS)] == [wrong, right]
    assert driver.records(COMMANDS)[0].headers == driver.records(COMMANDS)[1].headers
    assert {r.partition for r in driver.records("main.account.events")} == {right}
    assert driver.state("r", "account").balance == 5


def test_invariant_8_two_editions_write_to_their_own_topics() -> None:
    drivers = {edition: TopologyDriver(BANK, start=START, edition=edition) for edition in ("main", "trial")}
    for driver in drivers.values():
        driver.execute(pb.Deposit(amount=5), "r")
        driver.execute(pb.Burst(how="raise"), "r")
    for edition, driver in drivers.items():
        other = "trial" if edition == "main" else "main"
        for kind in ("commands", "events", "snapshots", "dead-letters"):
            assert driver.records(f"{edition}.account.{kind}")
            assert not driver.records(f"{other}.account.{kind}")
    sent = drivers["main"].records(COMMANDS)[0]
    with pytest.raises(LookupError, match="nothing reads"):
        drivers["trial"].produce(sent.topic, sent.key, sent.value, sent.headers.items())


def test_a_prefix_stands_before_all_topics() -> None:
    driver = TopologyDriver(BANK, start=START, names=Names("acme."), partitions=1)
    assert driver.execute(pb.Deposit(amount=5), "r").accepted
    assert driver.topic("account", "events") == "acme.main.account.events"
    assert len(driver.records("acme.main.account.events")) == 1
    assert len(driver.records("acme.headrace.replies")) == 1


def test_each_run_writes_the_same_records() -> None:
    """Deterministic: no clock, no chance, counted ids."""

    def run() -> Any:
        driver = TopologyDriver(BANK, start=START)
        for number in range(30):
            driver.execute(pb.Annotate(note=str(number)), f"r{number % 3}")
            driver.execute(pb.Withdraw(amount=1), f"r{number % 3}")
            driver.clock.advance(timedelta(seconds=1))
        return [driver.records(driver.topic("account", kind)) for kind in ("commands", "events", "snapshots")]

    assert run() == run()


def test_several_domains_are_told_apart() -> None:
    driver = TopologyDriver(Topology(Accounts, Fields), start=START)
    assert driver.execute(pb.Annotate(note="n"), "r").accepted
    assert driver.execute(pb.Deposit(amount=5), "r", domain="fields").messages == [pb.Deposited(balance=5)]
    assert driver.state("r", "account").count == 1
    assert driver.state("r", "fields") == pb.Account(balance=5)
    with pytest.raises(LookupError, match="is handled by account, fields; name the domain"):
        driver.execute(pb.Deposit(amount=5), "r")
    with pytest.raises(LookupError, match=r"no aggregate handles bank\.v1\.Opened"):
        driver.execute(pb.Opened(), "r")
    with pytest.raises(LookupError, match="unknown domain 'nowhere'"):
        driver.dead_letters("nowhere")


def test_a_state_that_outgrows_its_record_fails_its_command(driver: TopologyDriver) -> None:
    assert driver.execute(pb.Swell(bytes=600_000), "r").accepted
    assert driver.execute(pb.Swell(bytes=600_000), "r").code == "too-large"
    assert driver.execute(pb.Deposit(amount=1), "r").accepted
    assert len(driver.state("r", "account").ballast) == 600_000


def test_handlers_that_change_their_state_are_caught(driver: TopologyDriver) -> None:
    assert "changed the state it was given" in driver.execute(pb.Burst(how="mutate"), "r").reason


def test_components_that_answer_each_other_for_ever_are_stopped(
    driver: TopologyDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryRuntime, "_handle", lambda runtime, name, partition, record: runtime._due.append(record))
    with pytest.raises(RuntimeError, match=f"one input led to {_ENDLESS} records and no end"):
        driver.produce(COMMANDS, b"r", pb.Deposit(amount=5).SerializeToString(), GOOD.items())


@pytest.mark.parametrize("root", ["", "a\nb", "ä", "x" * 1025])
def test_any_root_is_answered(driver: TopologyDriver, root: str) -> None:
    assert driver.execute(pb.Deposit(amount=5), root).accepted == (root == "ä")


def test_the_past_is_read_by_sequence_and_by_time(driver: TopologyDriver) -> None:
    for amount in (1, 2, 3):
        driver.execute(pb.Deposit(amount=amount), "r")
        driver.clock.advance(timedelta(seconds=1))
    assert [driver.state("r", as_of=at).balance for at in (0, 1, 2, 9)] == [1, 3, 6, 6]
    assert [len(driver.events("r", as_of=at)) for at in (-1, 0, 9)] == [0, 1, 3]
    assert (driver.state("r", as_of=-1), driver.state("nobody", as_of=5)) == (None, None)
    times = [START + timedelta(seconds=seconds) for seconds in (-1, 0, 1.5, 9)]
    assert [len(driver.events("r", as_of=time)) for time in times] == [0, 1, 2, 3]
    assert [event.sequence for event in driver.events("r", 1, as_of=times[2])] == [1]
    with pytest.raises(ValueError, match="names no time zone"):
        driver.state("r", as_of=datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="as_of=-2; sequences begin with 0"):
        driver.events("r", as_of=-2)


def test_the_present_is_the_present_while_the_clock_stands(driver: TopologyDriver) -> None:
    """Batches are recorded a millisecond after each other."""
    for _ in range(5):
        driver.execute(pb.Deposit(amount=1), "r")
    assert driver.state("r", as_of=driver.clock.now).balance == 5
