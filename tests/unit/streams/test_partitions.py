"""Partitions that come, go and are damaged. Their restores are taken as done when a test says so."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from headrace.schemas.headrace_v1_pb2 import Positions
from headrace.streams.admin.identity import Identity
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime import partitions as module
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.partition import Interrupted, Partition, PartitionState, RestoreJob
from headrace.streams.runtime.restoration import Restored
from headrace.streams.settings import Settings
from headrace.streams.state.rocksdb import PartitionStore
from headrace.streams.steps.store import StoreFailed
from tests.support.bank import accounts

COMMANDS = "main.account.commands"
INPUTS = [f"main.account.{kind}" for kind in ("commands", "facts", "inbox")]
HERE = Identity("here", {COMMANDS: "c1"})


class FakeRestoration:
    """Keeps the jobs, which are done once a test calls `done`."""

    def __init__(self, *_: object) -> None:
        self.jobs: list[RestoreJob] = []
        self.failure: Exception | None = None
        self.broken: StoreFailed | None = None
        self.closed = False
        self._done: list[Restored] = []

    def begin(self, jobs: list[RestoreJob]) -> None:
        self.jobs += jobs

    def done(self, offset: int = 5) -> None:
        for job in self.jobs:
            if job.current:
                with job.store():
                    self._done.append(Restored(job, dict.fromkeys(INPUTS, offset), HERE))
        self.jobs = []

    def restored(self) -> Iterator[Restored]:
        while self._done:
            yield self._done.pop(0)

    def close(self) -> None:
        self.closed = True


class FakeInputs:
    """What is read, from where."""

    def __init__(self) -> None:
        self.flowing: dict[int, dict[str, int]] = {}

    def start(self, number: int, offsets: dict[str, int]) -> None:
        assert number not in self.flowing, "it would be read from where it is"
        self.flowing[number] = dict(offsets)

    def stop(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.flowing.pop(number, None)


class FakeConsumer:
    """The group's: notes how partitions are given to it, and which it does not read."""

    def __init__(self) -> None:
        self.held: list[tuple[str, int, int]] = []
        self.paused: list[int] = []
        self.how = ""

    def _hold(self, how: str, places: list[TopicPartition]) -> None:
        self.how = how
        self.held += [(place.topic, place.partition, place.offset) for place in places]

    def assign(self, places: list[TopicPartition]) -> None:
        self._hold("assign", places)

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        self._hold("incremental_assign", places)

    def pause(self, places: list[TopicPartition]) -> None:
        self.paused += [place.partition for place in places]


class Worker:
    """An assignment of the bank's accounts, of which there are three partitions, and what is around it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.inputs, self.metrics, self.stop = FakeInputs(), Metrics(), threading.Event()
        self.consumer: Any = FakeConsumer()
        found = Settings(bootstrap="nowhere:1", **settings)
        config = ComponentConfig(accounts.topology, "account", found, folder, ["main"], 3, 1, {}, 1_000_000)
        inputs: Any = self.inputs
        self.its = Assignment(config, inputs, self.metrics, self.stop)
        restoration: Any = self.its.restoration
        self.restoration: FakeRestoration = restoration

    def add(self, *numbers: int) -> None:
        self.its.add(self.consumer, [TopicPartition(COMMANDS, number) for number in numbers])

    def remove(self, *numbers: int) -> None:
        self.its.remove(self.consumer, [TopicPartition(COMMANDS, number) for number in numbers])

    def start(self, offset: int = 5) -> list[int]:
        self.restoration.done(offset)
        return [partition.number for partition in self.its.start_restored()]

    def remade(self) -> float:
        return self.metrics.registry.get_sample_value("headrace_stores_made_anew_total", {"domain": "account"}) or 0.0


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Restoration", FakeRestoration)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    found = Worker(tmp_path)
    yield found
    found.its.close()


def test_partitions_are_held_restored_and_started(worker: Worker) -> None:
    assert not worker.its.ready
    worker.add(0, 2)
    assert worker.consumer.held == [(COMMANDS, 0, 0), (COMMANDS, 2, 0)]
    assert (worker.consumer.paused, worker.consumer.how) == ([0, 2], "incremental_assign")
    assert (worker.its.ready, worker.inputs.flowing) == (False, {})
    assert worker.start() == [0, 2]
    assert worker.its.ready
    assert worker.inputs.flowing == {0: dict.fromkeys(INPUTS, 5), 2: dict.fromkeys(INPUTS, 5)}
    worker.add(1)
    assert (worker.its.ready, list(worker.its.ready_partitions())) == (False, [0, 2])
    assert worker.start() == [1]
    partition = worker.its.partitions[1]
    worker.remove(1, 2)
    assert (list(worker.its.partitions), list(worker.inputs.flowing), worker.its.ready) == ([0], [0], True)
    assert partition.state is PartitionState.CLOSED
    worker.its.remove_all()
    assert (worker.its.partitions, worker.inputs.flowing, worker.its.ready) == ({}, {}, False)


def test_a_worker_without_partitions_is_ready_once_it_is_told(worker: Worker) -> None:
    worker.add()
    assert worker.its.ready
    assert worker.consumer.paused == []
    worker.its.close()
    assert worker.restoration.closed
    assert not worker.its.ready


def test_the_older_protocol_gives_all_partitions_at_once(tmp_path: Path) -> None:
    worker = Worker(tmp_path, group_protocol="classic")
    worker.add(0)
    assert worker.consumer.how == "assign"
    worker.its.close()


def test_partitions_that_were_added_to_the_topic_are_not_served(worker: Worker) -> None:
    """Roots are laid out for three."""
    worker.add(1, 2, 3, 4)
    assert worker.consumer.paused == [1, 2, 3, 4]
    assert worker.start() == [1, 2]
    assert (worker.its.added, worker.its.ready) == ({3, 4}, False)
    worker.remove(4)
    assert (worker.its.added, worker.its.ready) == ({3}, False)
    worker.remove(3, 1)
    assert (worker.its.added, worker.its.ready) == (set(), True)


def test_partitions_are_rewound_to_where_they_are_handled_up_to(worker: Worker) -> None:
    worker.add(0, 1)
    worker.start()
    worker.its.restore([1])
    worker.its.partitions[0].offsets[COMMANDS] = 7
    worker.its.rewind({0, 1, 2})
    assert worker.inputs.flowing == {0: {**dict.fromkeys(INPUTS, 5), COMMANDS: 7}}


def test_a_restore_that_needs_a_person_ends_the_worker(worker: Worker) -> None:
    worker.add(0)
    worker.restoration.failure = LookupError("look")
    with pytest.raises(LookupError, match="look"):
        worker.start()


# ---- stores that are damaged


def damaged(partition: Partition, *, damaged: bool = True) -> StoreFailed:
    return StoreFailed("bad block", str(partition.folder), damaged=damaged)


def test_a_damaged_store_is_made_anew_and_all_partitions_restored_but_not_for_ever(worker: Worker) -> None:
    """After three times it is no accident."""
    worker.add(0, 1)
    worker.start()
    first, second = worker.its.partitions.values()
    for partition in (first, second):
        assert partition.store is not None
        partition.store.edition("main").restore_changelog([(b"r", b"1")], {})
    for times in (1, 2, 3):
        worker.its.repair(damaged(second))
        assert (worker.remade(), second.rebuilt, first.rebuilt) == (times, times, 0)
        assert (worker.its.ready_partitions(), worker.inputs.flowing) == ({}, {})
        assert worker.start() == [0, 1]
    assert snapshot(first) == b"1"
    assert snapshot(second) is None
    error = damaged(second)
    with pytest.raises(StoreFailed) as raised:
        worker.its.repair(error)
    assert raised.value is error
    assert worker.its.ready
    worker.its.repair(damaged(first))
    assert worker.remade() == 4


def snapshot(partition: Partition) -> bytes | None:
    assert partition.store is not None
    return partition.store.edition("main").snapshot(b"r")


def test_what_would_not_help_is_not_done(worker: Worker) -> None:
    """A full disk, and a store that is none of these."""
    worker.add(0)
    with pytest.raises(StoreFailed):
        worker.its.repair(damaged(worker.its.partitions[0]))
    worker.start()
    partition = worker.its.partitions[0]
    with pytest.raises(StoreFailed):
        worker.its.repair(damaged(partition, damaged=False))
    with pytest.raises(StoreFailed):
        worker.its.repair(damaged(Partition(worker.its.config, 7, worker.stop)))
    assert (worker.remade(), partition.rebuilt, worker.its.ready) == (0, 0, True)


# ---- one partition


def test_a_partition_works_on_a_store_as_the_settings_say(tmp_path: Path) -> None:
    worker = Worker(tmp_path, results_kept=2.5)
    worker.add(0)
    worker.start()
    partition = worker.its.partitions[0]
    (step,) = partition.stores
    assert partition.stores[step].keep_results == 2500
    assert partition.steps == dict.fromkeys(INPUTS, step)
    assert step.of_the_process == (StoreFailed, MemoryError)
    assert partition.identity == HERE
    worker.its.close()
    reopened = PartitionStore(tmp_path / "0")  # it is closed
    reopened.close()


def test_history_is_waited_for_until_the_worker_stops(worker: Worker) -> None:
    worker.add(0)
    worker.start()
    (store,) = worker.its.partitions[0].stores.values()
    worker.stop.set()
    with pytest.raises(Interrupted):
        store.complete_history()
    worker.its.partitions[0].history.set()
    store.complete_history()


def test_positions_are_of_the_inputs_of_the_step_and_of_this_partition(worker: Worker) -> None:
    worker.add(0)
    worker.start()
    partition = worker.its.partitions[0]
    (step,) = partition.stores
    partition.steps["another"] = object()  # type: ignore[assignment]
    positions = read(partition.positions(step, {(COMMANDS, 0): 9, (COMMANDS, 1): 11}))
    assert positions == {**dict.fromkeys(INPUTS, 5), COMMANDS: 9}


def read(value: bytes) -> dict[str, int]:
    found = Positions.FromString(value)
    assert (found.cluster, found.partitions) == ("here", 3)
    return {position.topic: position.offset for position in found.inputs}
