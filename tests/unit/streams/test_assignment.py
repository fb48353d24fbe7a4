"""What a partition has to wait for before it counts as restored. Nothing is read here: the restorer is a fake."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from headrace.streams.runtime import assignment as module
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.partition import ComponentConfig
from headrace.streams.settings import Settings
from headrace.streams.state.restore import Restorer, Task, take_history
from headrace.streams.state.rocksdb import PartitionStore
from headrace.streams.steps.store import Staged
from tests.support import bank

SECONDS = 10.0
COMMANDS = TopicPartition("main.account.commands", 0)


class Reads:
    """Restores of the history, each of which ends when it is told to."""

    def __init__(self) -> None:
        self.begun, self.end = threading.Semaphore(0), threading.Semaphore(0)


class FakeConsumer:
    """Has one partition."""

    def assignment(self) -> list[TopicPartition]:
        return [COMMANDS]

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        """Nothing to do."""

    def pause(self, places: list[TopicPartition]) -> None:
        """Nothing to do."""


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Instead of those that read from Kafka."""
    found = Reads()

    class FakeRestorer:
        def __init__(self, *_: Any) -> None:
            """As the real one."""

        def end_offsets(self, tasks: Iterable[Task]) -> dict[tuple[str, int], tuple[int, int]]:
            return {(task.topic, task.partition): (0, 0) for task in tasks}

        def restore(self, tasks: Any, ends: Any, take: Callable[..., None]) -> int:
            if take is take_history:
                found.begun.release()
                assert found.end.acquire(timeout=SECONDS)
            return 0

    monkeypatch.setattr(module, "Restorer", FakeRestorer)
    monkeypatch.setattr(Assignment, "_ask", lambda *_: [TopicPartition(COMMANDS.topic, 0, 5)])
    return found


@pytest.fixture
def assignment(reads: Reads, tmp_path: Path) -> Iterator[Assignment]:
    """Of the bank's accounts."""
    settings = Settings(bootstrap="nowhere:1")
    plan = ComponentConfig(bank.topology, "account", settings, tmp_path, ["main"], 1, 1, {}, 1_000_000)
    made = Assignment(plan)
    yield made
    reads.end.release(10)
    made.close()


def test_a_history_that_waits_to_be_restored_is_not_once_it_is_asked_for_anew(
    assignment: Assignment, reads: Reads
) -> None:
    """It would begin with ends that the store may be ahead of by now."""
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    assert reads.begun.acquire(timeout=SECONDS)
    for _ in range(3):
        assignment.renew(consumer)
    reads.end.release()
    assert reads.begun.acquire(timeout=SECONDS)
    reads.end.release()
    (shard,) = assignment.shards.values()
    assert shard.history.wait(SECONDS)
    assert not reads.begun.acquire(timeout=0.1)


def test_a_store_that_is_ahead_of_a_topic_is_emptied_before_it_is_read(assignment: Assignment, reads: Reads) -> None:
    """The topics were deleted and made again: the end of both is 0."""
    store = PartitionStore(assignment.plan.folder / "0")
    store.edition("main").put(Staged(snapshots={b"r": b"old"}), {"main.account.events": 7})
    store.close()
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    (shard,) = assignment.shards.values()
    assert reads.begun.acquire(timeout=SECONDS)
    assert shard.open().checkpoint("main.account.events") == 0
    assert shard.open().edition("main").snapshot(b"r") is None


def test_a_store_in_use_is_never_emptied(assignment: Assignment, reads: Reads) -> None:
    """The history's restore may find that the store is ahead of what was the end when it was asked for."""
    store = PartitionStore(assignment.plan.folder / "0")
    store.edition("main").put(Staged(snapshots={b"r": b"here"}), {"main.account.events": 7})
    restorer = Restorer(assignment.plan.settings, threading.Event())
    task = Task(store, store.edition("main"), "main.account.events", 0)
    assert restorer.restore([task], {("main.account.events", 0): (0, 5)}, take_history) == 0
    assert store.checkpoint("main.account.events") == 7
    assert store.edition("main").snapshot(b"r") == b"here"
    store.close()


def test_history_that_was_on_its_way_before_a_doubt_is_not_all_of_it(assignment: Assignment, reads: Reads) -> None:
    """A doubtful transaction may have written events that a restore in progress does not read."""
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    assert reads.begun.acquire(timeout=SECONDS)
    assignment.renew(consumer)
    reads.end.release()
    assert reads.begun.acquire(timeout=SECONDS), "the history was not read again after the doubt"
    (shard,) = assignment.shards.values()
    assert not shard.history.is_set()
    reads.end.release()
    assert shard.history.wait(SECONDS)
