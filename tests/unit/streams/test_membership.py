"""The member of the group, with a consumer that does nothing but note what it is asked for."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, TopicPartition

from headrace.streams.runtime import membership as module
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.membership import Membership
from headrace.streams.settings import Settings
from tests.support.bank import accounts

COMMANDS = TopicPartition("main.account.commands", 0)
FATAL = KafkaError(KafkaError._FATAL)


class FakeConsumer:
    """A consumer whose group does what the test says."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.ready: list[Message] = []
        self.polled: list[float] = []
        self.closed = False

    def subscribe(self, topics: list[str], **on: Callable[..., None]) -> None:
        self.topics, self.on = topics, on

    def poll(self, timeout: float) -> Message | None:
        self.polled.append(timeout)
        return self.ready.pop() if self.ready else None

    def close(self) -> None:
        self.closed = True


class FakeAssignment:
    """Notes what is given and taken."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def add(self, _: object, places: list[TopicPartition]) -> None:
        self.notes.append(f"add {len(places)}")

    def remove(self, _: object, places: list[TopicPartition]) -> None:
        self.notes.append(f"remove {len(places)}")

    def remove_all(self) -> None:
        self.notes.append("remove all")


class Waits(threading.Event):
    """Notes how long it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout)
        return False


class Member:
    """A membership and what is around it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.assignment, self.stop = FakeAssignment(), Waits()
        self.reported: list[KafkaError] = []
        found = Settings(bootstrap="nowhere:1", **settings)
        config = ComponentConfig(accounts.topology, "account", found, folder, ["main"], 2, 1, {}, 1_000_000)
        assignment: Any = self.assignment
        self.its = Membership(config, assignment, self.stop, self.reported.append)

    @property
    def kafka(self) -> FakeConsumer:
        found: Any = self.its.kafka
        assert isinstance(found, FakeConsumer)
        return found


@pytest.fixture(autouse=True)
def no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Consumer", FakeConsumer)


@pytest.fixture
def member(tmp_path: Path) -> Member:
    return Member(tmp_path)


def test_the_group_shares_out_one_topic_and_the_assignment_follows(member: Member) -> None:
    assert member.kafka.topics == ["main.account.commands"]
    member.kafka.on["on_assign"](member.kafka, [COMMANDS])
    member.kafka.on["on_revoke"](member.kafka, [COMMANDS])
    assert member.assignment.notes == ["add 1", "remove 1"]


def test_trouble_is_reported_and_what_is_fatal_ends_the_consumer(member: Member) -> None:
    trouble = KafkaError(KafkaError._TRANSPORT)
    member.its.serve(0.25)
    member.kafka.ready = [Message(error=trouble), Message(error=None)]
    member.its.serve(0)
    member.its.serve(0)
    assert (member.kafka.polled, member.reported, member.its.failure) == ([0.25, 0, 0], [trouble], None)
    member.kafka.config["error_cb"](FATAL)
    assert (member.reported, member.its.failure) == ([trouble, FATAL], FATAL)


def test_a_consumer_that_failed_is_replaced_later_each_time_until_it_has_partitions(member: Member) -> None:
    for seconds in (0.1, 0.2, 0.4):
        before = member.kafka
        member.kafka.config["error_cb"](FATAL)
        member.its.join_again()
        assert (member.its.failure, before.closed, member.kafka.closed) == (None, True, False)
        assert member.kafka is not before
        assert member.stop.seconds.pop() == pytest.approx(seconds)
    assert member.assignment.notes == ["remove all"] * 3
    member.kafka.on["on_assign"](member.kafka, [COMMANDS])
    member.its.join_again()
    assert member.stop.seconds == [pytest.approx(0.1)]
    member.its.close()
    assert member.kafka.closed


@pytest.mark.parametrize(
    ("protocol", "own"),
    [
        ("consumer", {"group.protocol": "consumer", "group.remote.assignor": "range"}),
        ("classic", {"partition.assignment.strategy": "range", "session.timeout.ms": 10_000}),
    ],
)
def test_either_protocol_has_its_own_settings(protocol: str, own: dict[str, object], tmp_path: Path) -> None:
    """The brokers set the session's time of the newer one, and its clients refuse the other's settings."""
    config = Member(tmp_path, group_protocol=protocol).kafka.config
    names = {"group.protocol", "group.remote.assignor", "partition.assignment.strategy", "session.timeout.ms"}
    assert {name: value for name, value in config.items() if name in names} == own
    assert (config["group.id"], config["enable.auto.commit"]) == ("headrace.account", False)
    assert config["max.poll.interval.ms"] == 1_800_000
