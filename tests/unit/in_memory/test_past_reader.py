"""A history of a whole deployment is what its topics hold, up to a point."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace import History
from headrace.streams.client import past_reader
from headrace.streams.settings import Settings
from headrace.testing import TopologyDriver
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import topology
from tests.support.cli_in_memory import Message

SETTINGS = Settings(bootstrap="127.0.0.1:1")
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> TopologyDriver:
    driver = TopologyDriver(topology, start=START)

    def read(settings: Any, topic: str) -> Iterator[Message]:
        return map(Message, driver.records(topic))

    monkeypatch.setattr(past_reader, "read", read)
    for amount in (1, 2):
        for root in "abc":
            assert driver.execute(pb.Deposit(amount=amount), root).accepted
        driver.clock.advance(timedelta(minutes=1))
    return driver


def test_all_events_are_read(driver: TopologyDriver) -> None:
    found = History.read(SETTINGS, topology)
    assert found.events == driver.history({"account": ["a", "b", "c"]}).events


@pytest.mark.parametrize("as_of", [0, START + timedelta(seconds=59)])
def test_events_up_to_a_point_are_read(driver: TopologyDriver, as_of: Any) -> None:
    found = History.read(SETTINGS, topology, as_of=as_of)
    assert found.events == driver.history({"account": ["a", "b", "c"]}).up_to(0).events


def test_a_log_with_a_gap_is_refused(driver: TopologyDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    later = [Message(record) for record in driver.records(driver.topic("account", "events"))[3:]]
    monkeypatch.setattr(past_reader, "read", lambda settings, topic: later)
    with pytest.raises(LookupError, match=r"account [abc]: the log has 1 events, and not all before them"):
        History.read(SETTINGS, topology)
