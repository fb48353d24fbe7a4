"""What a component reads, and what it makes of what Kafka's client says. The client is a fake that holds messages."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from headrace.schemas.headers import UNREADABLE
from headrace.schemas.record import Record
from headrace.streams.clock import now_ms
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime import inputs as module
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.inputs import Inputs
from headrace.streams.settings import Settings
from headrace.streams.state.messages import to_record
from tests.support.bank import accounts

COMMANDS, FACTS = "main.account.commands", "main.account.facts"


class FakeConsumer:
    """Gives out what lies `ready`, and notes what it is asked to read."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.ready: list[Message] = []
        self.reading: dict[tuple[str, int], int] = {}
        self.high: dict[tuple[str, int], int] = {}
        self.polled: list[float] = []
        self.wanted: list[tuple[int, float]] = []
        self.asked = 0
        self.away = self.closed = False

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        self.reading |= {(place.topic, place.partition): place.offset for place in places}

    def incremental_unassign(self, places: list[TopicPartition]) -> None:
        for place in places:
            del self.reading[place.topic, place.partition]

    def poll(self, timeout: float) -> Message | None:
        self.polled.append(timeout)
        return self.ready.pop(0) if self.ready else None

    def consume(self, most: int, timeout: float) -> list[Message]:
        self.wanted.append((most, timeout))
        found, self.ready = self.ready[:most], self.ready[most:]
        return found

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(*place, offset) for place, offset in self.reading.items()]

    def position(self, places: list[TopicPartition]) -> list[TopicPartition]:
        return places

    def get_watermark_offsets(self, place: TopicPartition, *, cached: bool) -> tuple[int, int]:
        assert cached, "a broker would be asked for each partition"
        return 0, self.high.get((place.topic, place.partition), -1001)

    def list_topics(self, topic: str, timeout: float) -> None:
        self.asked += 1
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def close(self) -> None:
        self.closed = True


class Log:
    """Notes the warnings."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, event: str, *, error: str = "", **about: Any) -> None:
        where = [about.get(name) for name in ("topic", "partition", "offset", "records")]
        self.lines.append(error or " ".join(map(str, [event, *where])))


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(time, "monotonic", found)
    return found


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    found = Log()
    monkeypatch.setattr(module, "log", found)
    return found


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def inputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: Clock, log: Log, metrics: Metrics) -> Inputs:
    monkeypatch.setattr(module, "Consumer", FakeConsumer)
    settings = Settings(bootstrap="nowhere:1", batch=3)
    return Inputs(
        ComponentConfig(accounts.topology, "account", settings, tmp_path, ["main"], 2, 1, {}, 1_000_000), metrics
    )


def kafka(inputs: Inputs) -> FakeConsumer:
    found: Any = inputs._kafka
    assert isinstance(found, FakeConsumer)
    return found


def message(offset: int, *, topic: str = COMMANDS, partition: int = 0, error: int | None = None) -> Message:
    found = None if error is None else KafkaError(error)
    return Message(topic, partition, offset, b"key", b"value", [("ce_id", b"7")], found, (1, 99))


def polled(inputs: Inputs, *messages: Message) -> list[int | None]:
    kafka(inputs).ready = list(messages)
    return [message.offset() for message in inputs.poll(0.5)]


def lag(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("headrace_lag_records", {"domain": "account"})


def test_inputs_are_read_from_where_they_are_handled_up_to_until_they_are_stopped(inputs: Inputs) -> None:
    inputs.start(0, {COMMANDS: 5, FACTS: 7})
    inputs.start(1, {COMMANDS: 1})
    assert kafka(inputs).reading == {(COMMANDS, 0): 5, (FACTS, 0): 7, (COMMANDS, 1): 1}
    inputs.stop([0, 9])
    assert kafka(inputs).reading == {(COMMANDS, 1): 1}
    inputs.stop([0])
    inputs.close()
    assert kafka(inputs).closed


def test_a_batch_is_as_large_as_the_settings_say_and_waits_for_its_first_record_alone(inputs: Inputs) -> None:
    inputs.start(0, {COMMANDS: 0})
    assert polled(inputs, *map(message, range(5))) == [0, 1, 2]
    assert polled(inputs) == []
    assert (kafka(inputs).polled, kafka(inputs).wanted) == ([0.5, 0.5], [(2, 0)])


def test_what_was_fetched_of_a_stopped_partition_is_dropped(inputs: Inputs) -> None:
    inputs.start(1, {COMMANDS: 0})
    assert polled(inputs, message(3), message(4, partition=1)) == [4]


def test_ends_are_known_where_they_are_further_than_what_is_handled(inputs: Inputs) -> None:
    """A transaction's marker is the last thing on the log, and no record."""
    inputs.start(0, {COMMANDS: 0})
    inputs.start(1, {COMMANDS: 0})
    end = KafkaError._PARTITION_EOF
    assert polled(inputs, message(9, error=end), message(4, partition=1, error=end), message(3)) == [3]
    assert inputs.ended({0: {COMMANDS: 8}, 1: {COMMANDS: 4}}) == {(COMMANDS, 0): 9}
    assert inputs.ended({0: {COMMANDS: 9}, 1: {COMMANDS: 3}}) == {(COMMANDS, 1): 4}
    assert inputs.ended({0: {FACTS: 8}}) == {}
    inputs.stop([0])
    assert inputs.ended({0: {COMMANDS: 8}, 1: {COMMANDS: 3}}) == {(COMMANDS, 1): 4}, "read anew, it is not known yet"


def test_the_end_is_no_trouble(inputs: Inputs, log: Log) -> None:
    polled(inputs, message(9, error=KafkaError._PARTITION_EOF))
    assert (inputs.unreadable, inputs.out_of_range, log.lines) == ([], set(), [])


@pytest.mark.parametrize("code", [KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG])
def test_what_the_client_cannot_read_is_kept_by_its_place(code: int, inputs: Inputs, log: Log) -> None:
    inputs.start(0, {COMMANDS: 0})
    assert polled(inputs, message(6, topic=FACTS, partition=1, error=code), message(7)) == [7]
    (record,) = inputs.unreadable
    assert record[:3] == (FACTS, 1, 6)
    assert abs(record.timestamp - now_ms()) < 60_000
    assert (record.key, record.value) == (None, None)
    assert f"it is in {FACTS}/1/6" in record.headers[UNREADABLE].decode()
    assert len(log.lines) == 1
    assert inputs.out_of_range == set()


def test_a_partition_whose_next_offset_is_gone_is_named_until_it_is_read_anew(inputs: Inputs, log: Log) -> None:
    polled(inputs, message(-1001, partition=1, error=KafkaError._AUTO_OFFSET_RESET))
    assert (inputs.out_of_range, inputs.unreadable, len(log.lines)) == ({(COMMANDS, 1)}, [], 1)
    inputs.stop([1])
    assert inputs.out_of_range == set()


def test_the_same_trouble_is_logged_every_half_minute(inputs: Inputs, log: Log, clock: Clock) -> None:
    for seconds, lines in ((0, 1), (30, 1), (1, 2), (29, 2), (2, 3)):
        clock.now += seconds
        inputs.report(KafkaError(KafkaError._TRANSPORT))
        assert len(log.lines) == lines
    assert not inputs.brokers_away


def test_brokers_that_were_away_are_asked_each_second_whether_they_are_back(inputs: Inputs, clock: Clock) -> None:
    polled(inputs)
    assert kafka(inputs).asked == 0, "they are not away"
    kafka(inputs).config["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert inputs.brokers_away
    kafka(inputs).away = True
    for seconds, asked, back in ((0.9, 0, False), (0.2, 1, False), (0.9, 1, False), (0.1, 2, True), (1, 2, True)):
        clock.now += seconds
        kafka(inputs).away = not back
        polled(inputs)
        assert kafka(inputs).asked == asked
        assert inputs.brokers_away is not back


def test_lag_is_what_is_on_the_log_and_not_read_markers_left_out(
    inputs: Inputs, metrics: Metrics, clock: Clock
) -> None:
    inputs.start(0, {COMMANDS: 5, FACTS: 7})
    inputs.start(1, {COMMANDS: 2, FACTS: OFFSET_BEGINNING})
    end = message(9, error=KafkaError._PARTITION_EOF)
    kafka(inputs).high = {(COMMANDS, 0): 10, (FACTS, 0): 6, (COMMANDS, 1): 4, (FACTS, 1): 50}
    polled(inputs)
    assert lag(metrics) == 5 + 2 + 50, "before the first record too"
    polled(inputs, end)
    clock.now += 4.9
    polled(inputs)
    assert lag(metrics) == 57, "looked at every five seconds"
    clock.now += 0.1
    polled(inputs)
    assert lag(metrics) == 1 + 2 + 50
    kafka(inputs).high = {(COMMANDS, 1): 3}
    clock.now += 5
    polled(inputs)
    assert lag(metrics) == 1, "an end that is not known yet counts for nothing"
    inputs.start(1, {COMMANDS: 0, FACTS: 0})
    kafka(inputs).high = {(COMMANDS, 1): 0, (FACTS, 1): 1}
    clock.now += 5
    polled(inputs)
    assert lag(metrics) == 1


def test_a_transaction_that_is_left_open_is_named_once_per_its_longest_time(
    inputs: Inputs, log: Log, clock: Clock
) -> None:
    inputs.start(0, {COMMANDS: 5, FACTS: 7})
    kafka(inputs).high = {(COMMANDS, 0): 8, (FACTS, 0): 7}
    kafka(inputs).reading[COMMANDS, 0] = 6
    ends = message(6, error=KafkaError._PARTITION_EOF), message(7, topic=FACTS, error=KafkaError._PARTITION_EOF)
    polled(inputs, *ends)
    said = "a transaction is open on an input, and holds back what lies behind it"
    for seconds, times in ((5.1, 0), (25.0, 0), (5.1, 1), (25.0, 1), (5.1, 2)):
        clock.now += seconds
        polled(inputs)
        assert log.lines == [f"{said} {COMMANDS} 0 6 2"] * times
    polled(inputs, message(8, error=KafkaError._PARTITION_EOF))
    clock.now += 100
    polled(inputs)
    assert len(log.lines) == 2, "it has ended"


def test_messages_become_records() -> None:
    assert to_record(message(4, partition=1)) == Record(COMMANDS, 1, 4, 99, b"key", b"value", {"ce_id": b"7"})
    assert to_record(Message(COMMANDS, 0, 0, None, None, None, None, (1, 0))) == Record(
        COMMANDS, 0, 0, 0, None, None, {}
    )


def test_the_reader_commits_nothing_and_passes_over_nothing(inputs: Inputs) -> None:
    expected: Mapping[str, Any] = {
        "group.id": "headrace.account.inputs",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
    }
    assert kafka(inputs).config.items() >= expected.items()
