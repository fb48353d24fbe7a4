"""Stores brought to the end of their topics. What the topics hold is given; nothing is read from brokers."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from headrace.schemas.changelog import POSITIONS
from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.headers import CAUSATION, CONTENT_TYPE, CORRELATION, FACT, TIME, TYPE
from headrace.schemas.headrace_v1_pb2 import Positions, Snapshot
from headrace.schemas.stored_event import StoredEvent, event_key, recorded_of
from headrace.streams.settings import Settings
from headrace.streams.state import restore as module
from headrace.streams.state.restore import Restorer, StaleRestore, Task, take_changelog, take_history
from headrace.streams.state.rocksdb import PartitionStore
from headrace.streams.state.topic_reader import Batch, Ends
from headrace.streams.steps.store import Head, Staged

SNAPSHOTS, EVENTS = "main.account.snapshots", "main.account.events"
QUEUED = b"\0park|r"


class Log:
    """Gives out these batches, and notes from where to where it was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[Batch] = []
        self.asked: Ends = {}
        self.between: list[Any] = []
        """What happens before each batch."""
        self.remaining: list[int] = []
        self.errors: list[list[str]] = []
        self.now = 100.0
        self.stop = threading.Event()
        self.restorer = Restorer(Settings(bootstrap="nowhere:1", transaction_timeout=5), self.stop)
        monkeypatch.setattr(module, "read_to_end", self._read)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(module.log, "error", lambda _, partitions: self.errors.append(partitions))

    def _read(self, _: Settings, unread: Ends, config: dict[str, Any]) -> Iterator[Batch]:
        assert config["group_id"] == "headrace.restore"
        self.asked = dict(unread)
        for batch in self.batches:
            if self.between:
                self.between.pop(0)()
            self.remaining.append(self.restorer.remaining)
            yield batch
        self.remaining.append(self.restorer.remaining)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    return Log(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PartitionStore]:
    found = PartitionStore(tmp_path / "0")
    yield found
    found.close()


def task(store: PartitionStore, topic: str = SNAPSHOTS, partition: int = 0) -> Task:
    return Task(lambda: nullcontext(store), "main", topic, partition)


def snapshot(offset: int, key: bytes, value: bytes | None) -> Message:
    return Message(SNAPSHOTS, 0, offset, key, value)


def test_a_changelog_is_read_from_the_checkpoint_to_the_end_that_was_asked_for(store: PartitionStore, log: Log) -> None:
    store.edition("main").restore_changelog([(b"gone", b"1")], {SNAPSHOTS: 3})
    log.batches = [
        {(SNAPSHOTS, 0): [snapshot(3, b"r", b"2"), snapshot(5, b"gone", None)]},
        {},
        {(SNAPSHOTS, 0): [snapshot(7, QUEUED, b"3")]},
    ]
    assert log.restorer.restore([task(store)], {(SNAPSHOTS, 0): (1, 9)}, take_changelog) == 3
    assert log.asked == {(SNAPSHOTS, 0): (3, 9)}
    edition = store.edition("main")
    assert (edition.snapshot(b"r"), edition.snapshot(b"gone"), edition.entry(QUEUED)) == (b"2", None, b"3")
    assert store.checkpoint(SNAPSHOTS) == 8
    assert log.remaining == [6, 4, 4, 3], "offsets without a record are left over"
    assert (log.restorer.remaining, log.restorer.records) == (0, 3)
    log.batches = [{(SNAPSHOTS, 0): [snapshot(8, b"r", b"4"), snapshot(9, b"r", b"5")]}]
    log.restorer.restore([task(store)], {(SNAPSHOTS, 0): (0, 9)}, take_changelog)
    assert log.remaining[-2:] == [1, 0], "more came than was asked for"
    assert log.restorer.records == 5


def test_what_retention_took_is_not_waited_for(store: PartitionStore, log: Log) -> None:
    other = task(store, EVENTS, 1)
    log.restorer.restore([task(store), other], {(SNAPSHOTS, 0): (4, 9), (EVENTS, 1): (6, 2)}, take_changelog)
    assert log.asked == {(SNAPSHOTS, 0): (4, 9), (EVENTS, 1): (6, 2)}
    assert log.remaining == [5], "nothing is left of what is read beyond its end"


def test_history_is_kept_as_it_came(store: PartitionStore, log: Log) -> None:
    headers = [(TYPE, b"T"), (TIME, b"t"), (CAUSATION, b"ca"), (CORRELATION, b"co"), (FACT, b"f")]
    events: list[tuple[bytes | None, Any]] = [
        (b"x", [*headers, (CONTENT_TYPE, b"application/json")]),
        (b"y", [(TYPE, b"T"), (CONTENT_TYPE, PROTOBUF.encode())]),
        (b"z", [(TYPE, b"T")]),
        (None, []),
    ]
    messages = [
        Message(EVENTS, 0, n, event_key("r|s", min(n, 2)).encode(), value, its, None, (1, 5))
        for n, (value, its) in enumerate(events)
    ]
    log.batches = [{(EVENTS, 0): messages}]
    assert log.restorer.restore([task(store, EVENTS)], {(EVENTS, 0): (0, 4)}, take_history) == 4
    history = list(store.edition("main").history(b"r|s", 0, 1))
    whole = StoredEvent(b"T", b"5", b"t", b"ca", b"co", b"f", b"application/json", b"x")
    bare = StoredEvent(b"T", b"5", b"", b"", b"", b"", b"", b"y")
    assert history == [whole.pack(), bare.pack()]
    with pytest.raises(LookupError, match="2 to 2"):  # it was erased
        store.edition("main").history(b"r|s", 2, 2)
    assert store.checkpoint(EVENTS) == 4


def test_a_restore_ends_when_the_worker_does(store: PartitionStore, log: Log) -> None:
    log.batches = [{(SNAPSHOTS, 0): [snapshot(n, b"r", b"2")]} for n in range(2)]
    log.between = [lambda: None, log.stop.set]
    assert log.restorer.restore([task(store)], {(SNAPSHOTS, 0): (0, 9)}, take_changelog) == 1
    assert log.restorer.remaining == 0


def test_a_restore_that_waits_ends_once_it_is_stale(store: PartitionStore, log: Log) -> None:
    stale: list[bool] = []

    def taken() -> AbstractContextManager[PartitionStore]:
        if stale:
            raise StaleRestore("taken away")
        return nullcontext(store)

    log.batches, log.between = [{}, {}], [lambda: None, lambda: stale.append(True)]
    with pytest.raises(StaleRestore):
        log.restorer.restore([Task(taken, "main", SNAPSHOTS, 0)], {(SNAPSHOTS, 0): (0, 9)}, take_changelog)
    assert log.restorer.remaining == 0


def test_a_transaction_that_does_not_end_is_named_again_and_again(store: PartitionStore, log: Log) -> None:
    """Twenty seconds: after that it has ended, or never will."""

    def later(seconds: float) -> Any:
        def move() -> None:
            log.now += seconds

        return move

    record: Batch = {(SNAPSHOTS, 0): [snapshot(1, b"r", b"2")]}
    log.between = [later(20), later(0.5), later(20), later(0.5), later(15), later(15)]
    log.batches = [{}, {}, {}, {}, record, {}]
    log.restorer.restore([task(store)], {(SNAPSHOTS, 0): (0, 9)}, take_changelog)
    assert log.errors == [[f"{SNAPSHOTS}/0"]] * 2, "and what came since is no reason to"


def test_ends_are_asked_for_all_tasks(store: PartitionStore, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "end_offsets", lambda _, ids: dict.fromkeys(ids, (1, 2)))
    asked = log.restorer.end_offsets([task(store), task(store, EVENTS, 3)])
    assert asked == {(SNAPSHOTS, 0): (1, 2), (EVENTS, 3): (1, 2)}


def test_recorded_times_never_decrease_whatever_the_timestamps_are(store: PartitionStore) -> None:
    """Those of a log that was copied, or written with other clocks; also if it is read in parts."""
    edition = store.edition("main")

    def take(sequence: int, timestamp: int) -> None:
        key = event_key("r", sequence).encode()
        take_history(edition, [Message(EVENTS, 0, sequence, key, b"", [(TYPE, b"T")], None, (1, timestamp))], {})

    for sequence, timestamp in enumerate((50, 40, 60, 10)):
        take(sequence, timestamp)
    assert [recorded_of(value) for value in edition.history(b"r", 0, 3)] == [50, 50, 60, 60]
    edition.put(Staged(snapshots={b"r": Snapshot(sequence=3).SerializeToString()}), {})
    assert [edition.last_at(b"r", moment) for moment in (49, 50, 59, 60, 61)] == [-1, 1, 1, 3, 3]
    assert edition.recorded == 60
    positions = Positions(recorded=70).SerializeToString()
    edition.put(Staged(entries={POSITIONS: positions}), {})
    assert edition.recorded == 70


def test_the_last_event_at_a_moment_needs_no_history_where_the_snapshot_is_older(store: PartitionStore) -> None:
    edition = store.edition("main")
    snapshot = Snapshot(sequence=3, recorded=60, first=2)
    edition.put(Staged(snapshots={b"r": snapshot.SerializeToString()}), {})
    assert [edition.last_at(b"r", moment) for moment in (60, 61)] == [3, 3]
    assert edition.head(b"r") == Head(2, 3, snapshot)
    assert (edition.head(b"none"), edition.last(b"none"), edition.first(b"none")) == (Head(-1, -1, None), -1, -1)
    with pytest.raises(LookupError, match="event 3 of r is not in the log"):
        edition.last_at(b"r", 59)
