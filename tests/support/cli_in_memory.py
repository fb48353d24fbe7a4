"""The workflow domain in memory, with what the command line reads and writes of Kafka taken from there."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace import Topology
from headrace.schemas.record import Record
from headrace.streams.admin import dead_letters
from headrace.streams.admin import trace as tracks
from headrace.testing import TopologyDriver
from tests.support.bank import reactions

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Message:
    """A record as the client library gives it."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def topic(self) -> str:
        return self._record.topic

    def partition(self) -> int:
        return self._record.partition

    def offset(self) -> int:
        return self._record.offset

    def key(self) -> bytes | None:
        return self._record.key

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self._record.headers.items())

    def value(self) -> bytes | None:
        return self._record.value

    def timestamp(self) -> tuple[int, int]:
        return 1, self._record.timestamp


def furnish(monkeypatch: pytest.MonkeyPatch, topology: Topology = reactions.topology) -> TopologyDriver:
    """A driver that `headrace` sees as its deployment; HEADRACE_TOPOLOGY is the caller's to set."""
    driver = TopologyDriver(topology, start=NOW)

    def read(_: Any, topic: str) -> Iterator[Message]:
        return (Message(record) for record in driver.records(topic))

    class Producer:
        def __init__(self, config: dict[str, Any]) -> None:
            assert config["enable.idempotence"]

        def produce(
            self, topic: str, value: Any, key: Any, partition: int, headers: Any, on_delivery: Callable[..., None]
        ) -> None:
            if topic.endswith("dead-letters"):
                driver._runtime.write(topic, value, key, partition, headers)
            else:
                driver.produce(topic, key, value, headers, partition)
            on_delivery(None, None)

        def flush(self, timeout: float) -> int:
            return 0

    monkeypatch.setattr(dead_letters, "read", read)
    monkeypatch.setattr(tracks, "read", read)
    monkeypatch.setattr(dead_letters, "Producer", Producer)
    monkeypatch.setenv("HEADRACE_BOOTSTRAP", "127.0.0.1:1")
    return driver
