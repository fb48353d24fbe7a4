"""What a partition has to wait for before it counts as restored. Nothing is read here: the restorer is a fake."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from headrace.schemas.changelog import POSITIONS
from headrace.schemas.headrace_v1_pb2 import Positions
from headrace.streams.admin.identity import Identity
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime import restoration
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.partition import Partition, PartitionState, RestoreJob
from headrace.streams.runtime.positions import PositionFinder
from headrace.streams.settings import Settings
from headrace.streams.state.restore import Restorer, StaleRestore, Task, take_history
from headrace.streams.state.rocksdb import PartitionStore
from headrace.streams.state.topic_reader import Ends
from headrace.streams.steps.store import Staged, StoreFailed
from tests.support import deadlines
from tests.support.bank import accounts

SECONDS = 10.0
COMMANDS = TopicPartition("main.account.commands", 0)
INPUTS = [f"main.account.{kind}" for kind in ("commands", "facts", "inbox")]


class Reads:
    """Restores of the history, each of which ends when it is told to; those of changelogs do unless they are held."""

    def __init__(self) -> None:
        self.begun, self.end = threading.Semaphore(0), threading.Semaphore(0)
        self.changelog_begun, self.changelog_end = threading.Semaphore(0), threading.Event()
        self.changelog_end.set()
        self.history_failure: StoreFailed | None = None
        """What the next restore of a history ends with."""
        self.events, self.changelog = 0, Staged()
        """The end of the events topic, and what the changelog holds."""


class FakeConsumer:
    """The group's, which holds partitions and reads nothing."""

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        """Nothing to do."""

    def pause(self, places: list[TopicPartition]) -> None:
        """Nothing to do."""


class FakeInputs:
    """Remembers from where it reads which partitions."""

    def __init__(self) -> None:
        self.flowing: dict[int, int] = {}

    def start(self, number: int, offsets: dict[str, int]) -> None:
        assert set(offsets) == set(INPUTS)
        (self.flowing[number],) = set(offsets.values())

    def stop(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.flowing.pop(number, None)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Instead of those that read from Kafka."""
    found = Reads()

    class FakeRestorer:
        def __init__(self, *_: Any) -> None:
            """As the real one."""

        def end_offsets(self, tasks: Iterable[Task]) -> Ends:
            return {task.id: (0, found.events if task.topic.endswith(".events") else 0) for task in tasks}

        def restore(self, tasks: Any, ends: Any, take: Callable[..., None]) -> int:
            if take is take_history:
                found.begun.release()
                assert found.end.acquire(timeout=SECONDS)
                if (failure := found.history_failure) is not None:
                    found.history_failure = None
                    raise failure
            else:
                found.changelog_begun.release()
                assert found.changelog_end.wait(SECONDS)
            for task in tasks:
                with task.store() as store:
                    if take is not take_history:
                        store.edition(task.edition).put(found.changelog, {})
            return 0

    monkeypatch.setattr(restoration, "Restorer", FakeRestorer)
    monkeypatch.setattr(
        PositionFinder, "find", lambda _, stored, identity: {n: dict.fromkeys(INPUTS, 5) for n in stored}
    )
    monkeypatch.setattr(restoration, "identify", lambda _, topics: Identity("c", {t: f"id of {t}" for t in topics}))
    return found


@pytest.fixture
def inputs() -> FakeInputs:
    return FakeInputs()


@pytest.fixture
def assignment(reads: Reads, inputs: Any, tmp_path: Path) -> Iterator[Assignment]:
    """Of the bank's accounts."""
    settings = Settings(bootstrap="nowhere:1")
    config = ComponentConfig(accounts.topology, "account", settings, tmp_path, ["main"], 2, 1, {}, 1_000_000)
    stop = threading.Event()
    made = Assignment(config, inputs, Metrics(), stop)
    yield made
    reads.end.release(10)
    stop.set()
    made.close()


def test_a_history_that_waits_to_be_restored_is_not_once_it_is_asked_for_anew(
    assignment: Assignment, reads: Reads
) -> None:
    """It would begin with ends that the store may be ahead of by now."""
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    assert reads.begun.acquire(timeout=SECONDS)
    for _ in range(3):
        assignment.restore([0])
    reads.end.release()
    assert reads.begun.acquire(timeout=SECONDS)
    reads.end.release()
    (partition,) = assignment.partitions.values()
    assert partition.history.wait(SECONDS)
    assert not reads.begun.acquire(timeout=0.1)


def test_a_store_that_is_ahead_of_a_topic_is_emptied_before_it_is_read(assignment: Assignment, reads: Reads) -> None:
    """The topics were deleted and made again: the end of both is 0."""
    store = PartitionStore(assignment.config.folder / "0")
    store.edition("main").put(Staged(snapshots={b"r": b"old"}), {"main.account.events": 7})
    store.close()
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    (partition,) = assignment.partitions.values()
    assert reads.begun.acquire(timeout=SECONDS)
    assert partition.store is not None
    assert partition.store.checkpoint("main.account.events") == 0
    assert partition.store.edition("main").snapshot(b"r") is None


def test_a_store_in_use_is_never_emptied(assignment: Assignment, reads: Reads) -> None:
    """The history's restore may find that the store is ahead of what was the end when it was asked for."""
    store = PartitionStore(assignment.config.folder / "0")
    store.edition("main").put(Staged(snapshots={b"r": b"here"}), {"main.account.events": 7})
    restorer = Restorer(assignment.config.settings, threading.Event())
    task = Task(lambda: nullcontext(store), "main", "main.account.events", 0)
    assert restorer.restore([task], {("main.account.events", 0): (0, 5)}, take_history) == 0
    assert store.checkpoint("main.account.events") == 7
    assert store.edition("main").snapshot(b"r") == b"here"
    store.close()


def started(assignment: Assignment) -> Partition:
    """The partition, once it is READY."""
    deadline = time.monotonic() + deadlines.seconds(SECONDS)
    while not assignment.ready:
        assert time.monotonic() < deadline, "the partition was not ready in time"
        assignment.start_restored()
        time.sleep(0.005)
    (partition,) = assignment.partitions.values()
    return partition


def test_not_even_by_a_job_that_restores_its_history(assignment: Assignment, reads: Reads) -> None:
    """The job is the latest, and the end that it knows is behind the store; but the store is in use."""
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    assert reads.begun.acquire(timeout=SECONDS)
    partition = started(assignment)
    assert partition.store is not None
    partition.store.edition("main").put(Staged(snapshots={b"r": b"here"}), {"main.account.snapshots": 7})
    job = RestoreJob(partition, partition.generation)
    ends = {(f"main.account.{kind}", 0): (0, 5) for kind in ("snapshots", "events")}
    assert not job.discard_foreign(ends, Identity("other"))
    assert partition.store.edition("main").snapshot(b"r") == b"here"


def changelog(positions: Positions) -> Staged:
    """A root's state, and the positions of the component."""
    return Staged(entries={POSITIONS: positions.SerializeToString()}, snapshots={b"r": b"a state"})


def test_history_comes_first_where_an_earlier_release_kept_no_recorded_times(
    assignment: Assignment, reads: Reads
) -> None:
    """Else the next event could be recorded before the last one."""
    reads.events = 3
    reads.changelog = changelog(Positions(partitions=2))
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    assert reads.begun.acquire(timeout=SECONDS)
    assert list(assignment.restoration.restored()) == []
    reads.end.release()
    started(assignment)


def test_history_comes_later_where_the_recorded_time_is_known(assignment: Assignment, reads: Reads) -> None:
    reads.events = 3
    reads.changelog = changelog(Positions(partitions=2, recorded=5))
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    partition = started(assignment)
    assert not partition.history.is_set()
    (step,) = set(partition.steps.values())
    assert step.recorded == 6


def test_no_moment_of_a_first_assignment_looks_ready(assignment: Assignment, reads: Reads) -> None:
    """Another thread may ask at any moment; here it asks whenever the consumer is called."""
    seen: list[bool] = []

    class Watched(FakeConsumer):
        def __getattribute__(self, name: str) -> Any:
            seen.append(assignment.ready)
            return super().__getattribute__(name)

    consumer: Any = Watched()
    reads.changelog_end.clear()
    assignment.add(consumer, [COMMANDS])
    assert len(seen) >= 2
    assert not any([*seen, assignment.ready])
    reads.changelog_end.set()
    started(assignment)


def test_input_flows_from_where_the_latest_restore_found_it(
    assignment: Assignment, reads: Reads, monkeypatch: pytest.MonkeyPatch, inputs: FakeInputs
) -> None:
    """A restore that was done before a doubt, and not started yet, knows an older position."""
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    assert reads.begun.acquire(timeout=SECONDS)  # its changelog is in the store
    monkeypatch.setattr(PositionFinder, "find", lambda *_: {0: dict.fromkeys(INPUTS, 6)})
    assignment.restore([0])
    partition = started(assignment)
    assert inputs.flowing == {0: 6}
    assert partition.offsets == dict.fromkeys(INPUTS, 6)


def test_a_partition_that_is_restored_anew_has_neither_steps_nor_input(
    assignment: Assignment, reads: Reads, inputs: FakeInputs
) -> None:
    """What its steps remember may be of a transaction that was not committed."""
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    steps = dict(started(assignment).steps)
    assert set(steps) == set(INPUTS)
    assignment.restore([0])
    (partition,) = assignment.partitions.values()
    assert (partition.state, partition.steps, inputs.flowing) == (PartitionState.RESTORING, {}, {})
    assert not assignment.ready
    assert set(started(assignment).steps.values()).isdisjoint(steps.values())


@pytest.mark.parametrize("how", ["restored anew", "taken away"])
def test_a_stale_job_can_do_nothing(how: str, assignment: Assignment, reads: Reads) -> None:
    """Neither read or write the store, nor empty it, nor say that the history is all there."""
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    assert reads.begun.acquire(timeout=SECONDS)
    (partition,) = assignment.partitions.values()
    stale = RestoreJob(partition, partition.generation)
    if how == "taken away":
        assignment.remove(consumer, [COMMANDS])
        assert partition.state is PartitionState.CLOSED
    else:
        assignment.restore([0])
    assert not stale.current
    with pytest.raises(StaleRestore), stale.store():
        pass
    with pytest.raises(StaleRestore):
        stale.discard_foreign({}, Identity())
    stale.complete_history()
    assert not partition.history.is_set()


def test_history_that_was_on_its_way_before_a_doubt_is_not_all_of_it(assignment: Assignment, reads: Reads) -> None:
    """A doubtful transaction may have written events that a restore in progress does not read."""
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    assert reads.begun.acquire(timeout=SECONDS)
    assignment.restore([0])
    reads.end.release()
    assert reads.begun.acquire(timeout=SECONDS), "the history was not read again after the doubt"
    (partition,) = assignment.partitions.values()
    assert not partition.history.is_set()
    reads.end.release()
    assert partition.history.wait(SECONDS)


def test_a_partition_that_is_taken_away_does_not_hold_up_the_restore_of_others(
    assignment: Assignment, reads: Reads, inputs: FakeInputs
) -> None:
    """It starts over without that one."""
    other = TopicPartition(COMMANDS.topic, 1)
    consumer: Any = FakeConsumer()
    reads.changelog_end.clear()
    assignment.add(consumer, [COMMANDS, other])
    assert reads.changelog_begun.acquire(timeout=SECONDS)
    assignment.remove(consumer, [other])
    reads.changelog_end.set()
    assert started(assignment).number == 0
    assert reads.changelog_begun.acquire(timeout=SECONDS)
    assert inputs.flowing == {0: 5}


def test_a_history_that_was_complete_before_a_doubt_is_read_again(assignment: Assignment, reads: Reads) -> None:
    """It may lack what the doubtful transaction wrote."""
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    (partition,) = assignment.partitions.values()
    reads.end.release()
    assert partition.history.wait(SECONDS)
    assignment.restore([0])
    assert not partition.history.is_set()
    reads.end.release()
    assert partition.history.wait(SECONDS)


def test_a_store_that_is_damaged_while_its_history_is_restored_is_made_anew(
    assignment: Assignment, reads: Reads
) -> None:
    """Not tried again for ever, while whoever needs the history waits."""
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    partition = started(assignment)
    assert partition.store is not None
    partition.store.edition("main").put(Staged(snapshots={b"r": b"old"}), {})
    reads.history_failure = StoreFailed("it is damaged", str(partition.folder), damaged=True)
    reads.end.release(2)
    deadline = time.monotonic() + deadlines.seconds(SECONDS)
    while not partition.history.is_set():
        assert time.monotonic() < deadline, "the history was not restored in time"
        assignment.start_restored()
        time.sleep(0.005)
    assert partition.rebuilt == 1
    assert partition.store.edition("main").snapshot(b"r") is None


def test_a_disk_that_is_full_while_history_is_restored_ends_the_worker(assignment: Assignment, reads: Reads) -> None:
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    partition = started(assignment)
    reads.history_failure = StoreFailed("it is full", str(partition.folder))
    reads.end.release()
    deadline = time.monotonic() + deadlines.seconds(SECONDS)

    def wait() -> None:
        while time.monotonic() < deadline:
            assignment.start_restored()
            time.sleep(0.005)

    with pytest.raises(StoreFailed, match="it is full"):
        wait()


def test_a_store_that_cannot_be_made_anew_ends_the_worker(
    assignment: Assignment, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the thread that restores does not end without a word."""

    def damaged(job: RestoreJob, *_: Any) -> bool:
        with job.store() as store:
            assert isinstance(store, PartitionStore)
            raise StoreFailed("it is damaged", str(store.folder), damaged=True)

    def full(store: PartitionStore) -> None:
        raise StoreFailed("the disk is full", str(store.folder))

    monkeypatch.setattr(RestoreJob, "discard_foreign", damaged)
    monkeypatch.setattr(PartitionStore, "wipe", full)
    consumer: Any = FakeConsumer()
    assignment.add(consumer, [COMMANDS])
    with pytest.raises(StoreFailed, match="the disk is full"):
        started(assignment)
