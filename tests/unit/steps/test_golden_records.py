"""Records are byte for byte those that were kept, and the stores that belong to them are taken over.

`tests/data/records.json` holds all that the in-memory driver wrote for the commands below, when inboxes took the place
of topics for rejections: per record topic, partition, timestamp, key, value and headers, bytes in hexadecimal. A change
to the format shows here; only one that is meant, and in the changelog, is a reason to write the file anew.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from headrace import Names
from headrace.schemas.changelog import QUEUE
from headrace.schemas.headers import FACT, TYPE
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Reply, Snapshot
from headrace.schemas.record import Record
from headrace.streams.state.restore import take_history
from headrace.streams.state.rocksdb import PartitionStore
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.registry import make_step
from headrace.testing import TopologyDriver
from headrace.testing.request import request
from tests.support.bank import reactions
from tests.support.bank.messages_pb2 import Account, Annotate, Deposit, Stash

GOLDEN: dict[str, list[list[Any]]] = json.loads((Path(__file__).parents[2] / "data/records.json").read_text())
START = datetime(2026, 1, 1, tzinfo=UTC)
REPLIES = "headrace.replies/0"


def tell(driver: TopologyDriver, command: Message, root: str, name: str, correlation: str, **more: Any) -> None:
    domain = "book" if isinstance(command, Annotate) else "purse"
    topic, now = driver.topic(domain, "commands"), driver.clock.milliseconds
    trip = correlation or None
    record = request(topic, command, root, time=now, reply_to=REPLIES, command_id=name, correlation_id=trip, **more)
    driver.produce(topic, record.key, record.value, record.headers.items())


def sagas(driver: TopologyDriver) -> None:
    for amount in (1, 2, 7, 70, 71, 72, 73, 15, 16, 17):
        tell(driver, Deposit(amount=amount), f"p{amount}", f"c{amount}", f"trip-{amount}")
    tell(driver, Deposit(amount=1), "p1", "c1", "trip-1")
    tell(driver, Deposit(amount=3), "p1", "c1b", "", expected_sequence=0)
    tell(driver, Deposit(amount=3), "p1", "c1c", "", expected_sequence=9)


def time_outs(driver: TopologyDriver) -> None:
    tell(driver, Deposit(amount=40), "treasury", "t0", "first")
    tell(driver, Deposit(amount=100), "q", "t1", "second")
    tell(driver, Deposit(amount=7), "r", "t2", "third")
    driver.clock.advance(timedelta(seconds=1))
    tell(driver, Annotate(note="x"), "n", "t3", "first")
    tell(driver, Deposit(amount=50), "s", "t4", "fourth")
    driver.clock.advance(timedelta(seconds=10))


def facts(driver: TopologyDriver) -> None:
    for amount, external in ((5, "x1"), (5, "x1"), (-5, "x2")):
        topic, now = driver.topic("purse", "facts"), driver.clock.milliseconds
        fact = Stash(pocket="a", amount=amount)
        record = request(topic, fact, "f", time=now, command_id=f"f-{external}", reply_to=REPLIES)
        driver.produce(topic, record.key, record.value, [*record.headers.items(), (FACT, external)])


def a_dead_event_and_one_behind_it(driver: TopologyDriver) -> None:
    tell(driver, Deposit(amount=13), "w", "w1", "")
    tell(driver, Deposit(amount=5), "w", "w2", "")


Part = Callable[[TopologyDriver], None]
PLAYS: dict[str, list[Part]] = {"topology": [sagas, facts, a_dead_event_and_one_behind_it], "timed": [time_outs, facts]}


def rows(driver: TopologyDriver) -> Iterator[list[Any]]:
    topics = {row[0] for rows in GOLDEN.values() for row in rows}
    for topic in sorted(topics):
        for r in driver.records(topic):
            key, value = (None if data is None else data.hex() for data in (r.key, r.value))
            yield [r.topic, r.partition, r.timestamp, key, value, [[k, v.hex()] for k, v in r.headers.items()]]


def comparable(row: list[Any]) -> list[Any]:
    """Without tracebacks, which name lines of the code, and with the entries of maps in order."""
    topic, partition, time, key, value, headers = row
    headers = list(headers.items()) if isinstance(headers, dict) else headers
    dead_letter = topic.endswith("dead-letters") and dict(headers)[TYPE] == b"headrace.v1.DeadLetter".hex()
    if value and (dead_letter or bytes.fromhex(key or "").startswith(QUEUE)):
        found = DeadLetter.FromString(bytes.fromhex(value))
        found.detail = ""
        value = found.SerializeToString().hex()
    elif value and topic.endswith("snapshots") and not (key or "").startswith("00"):
        snapshot = Snapshot.FromString(bytes.fromhex(value))
        snapshot.state = Account.FromString(snapshot.state).SerializeToString(deterministic=True)
        value = snapshot.SerializeToString().hex()
    return [topic, partition, time, key, value, [list(header) for header in headers]]


@pytest.mark.parametrize("name", PLAYS)
def test_records_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions.Keeper, "broken", True)
    driver = TopologyDriver(getattr(reactions, name), start=START, partitions=4)
    for part in PLAYS[name]:
        part(driver)
    assert [comparable(row) for row in rows(driver)] == [comparable(row) for row in GOLDEN[name]]


class Read:
    """A record as Kafka's client gives it."""

    def __init__(self, row: list[Any]) -> None:
        self.row = row

    def key(self) -> bytes:
        return bytes.fromhex(self.row[3])

    def value(self) -> bytes | None:
        return None if self.row[4] is None else bytes.fromhex(self.row[4])

    def timestamp(self) -> tuple[int, int]:
        return 1, self.row[2]

    def headers(self) -> list[tuple[str, bytes]]:
        return [(name, bytes.fromhex(data)) for name, data in self.row[5].items()]


def of(name: str, topic: str, partition: int) -> list[Any]:
    return [Read(row) for row in GOLDEN[name] if row[0] == topic and row[1] == partition]


@pytest.mark.parametrize("partition", range(4))
def test_a_store_and_topics_of_before_are_taken_over(partition: int, tmp_path: Path) -> None:
    """Commands that were handled before are repetitions, with their first answers; new ones go on where it ended."""
    store = PartitionStore(tmp_path / "store")
    view = store.edition("main")
    changelog = of("topology", "main.purse.snapshots", partition)
    view.restore_changelog([(one.key(), one.value()) for one in changelog], {})
    take_history(view, of("topology", "main.purse.events", partition), {})
    step = make_step(reactions.topology, "purse", view, StepContext(Names(), "main", partition, 4, reply_partitions=1))
    before: dict[str, Reply] = {}
    for row in GOLDEN["topology"]:
        if row[0] == Names().replies:
            reply = Reply.FromString(bytes.fromhex(row[4]))
            before.setdefault(reply.command_id, reply)
    commands = of("topology", "main.purse.commands", partition)
    for one in commands:
        record = Record(one.row[0], partition, 0, one.row[2], one.key(), one.value(), dict(one.headers()))
        step.handle(record)
    replies = [Reply.FromString(output[1] or b"") for output in step.outputs if output[0] == Names().replies]
    assert len(replies) == len(commands) == step.batch.written().repeated
    for reply in replies:
        first = before[reply.command_id]
        assert reply.already_processed
        assert (reply.status, reply.reason, list(reply.events)) == (first.status, first.reason, list(first.events))
    store.close()
