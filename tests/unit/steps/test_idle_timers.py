"""Idle costs nothing, whatever has been: what was brought or cancelled leaves traces in a store, slow to pass over."""

from collections.abc import Iterable
from datetime import timedelta

import pytest

from headrace import Names, Schedule
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.timers import Timers
from headrace.testing.memory_store import MemoryStore
from tests.support.bank.messages_pb2 import Withdraw


class CountingStore(MemoryStore):
    """Counts looks at entries, and how many of them were passed."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.starts: list[bytes] = []

    def entries(self, prefix: bytes, start: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
        self.looks += 1
        self.starts.append(start)
        return super().entries(prefix, start)


class Clock:
    """Time-outs of one partition, and the batches that change them."""

    def __init__(self) -> None:
        self.store = CountingStore()
        self.batch = Batch(self.store)
        self.timers = Timers(self.store, self.batch, Names().topic("main", "watch", "inbox"), 0, "/main/watch")

    def start(self, root: bytes, now: int, milliseconds: int) -> None:
        item = Schedule(timedelta(milliseconds=milliseconds), Withdraw())
        self.timers.start(root, item, Record("main.watch.inbox", 0, 0, now, root, b"", {}), "cause")
        self.commit()

    def commit(self) -> None:
        self.store.put(self.batch.staged)
        self.batch.clear()

    def due(self, now: int) -> list[bytes | None]:
        return [record.key for record in self.timers.due(now)]

    def bring(self, now: int) -> list[bytes | None]:
        records = list(self.timers.due(now))
        for record in records:
            assert self.timers.take(record)
        self.commit()
        return [record.key for record in records]


def test_no_look_is_taken_before_something_is_due() -> None:
    clock = Clock()
    clock.start(b"a", 0, 1000)
    assert clock.due(1) == []
    looks = clock.store.looks
    assert [clock.due(now) for now in range(2, 1000)] == [[]] * 998
    assert clock.store.looks == looks
    assert clock.bring(1000) == [b"a"]
    assert clock.due(1001) == []
    looks = clock.store.looks
    assert [clock.due(now) for now in range(1002, 2000)] == [[]] * 998
    assert clock.store.looks == looks, "there are none at all"


def test_what_comes_earlier_is_found() -> None:
    clock = Clock()
    clock.start(b"late", 0, 5000)
    assert clock.due(1) == []
    clock.start(b"soon", 0, 10)
    assert clock.bring(10) == [b"soon"]
    assert clock.due(11) == []
    clock.start(b"now", 11, 0)
    assert clock.bring(11) == [b"now"]
    assert clock.bring(5000) == [b"late"]


def test_what_was_brought_is_passed_over_once() -> None:
    clock = Clock()
    for number in range(50):
        clock.start(b"root-%d" % number, 0, number)
    for now in range(50):
        assert clock.bring(now) == [b"root-%d" % now]
    assert clock.store.starts[-1] > clock.store.starts[0]


def test_what_was_not_committed_comes_again() -> None:
    clock = Clock()
    clock.start(b"a", 0, 10)
    assert clock.due(10) == [b"a"]
    assert clock.due(11) == [b"a"]


@pytest.mark.parametrize(("catch_up", "expected"), [(False, [1000, 61_000, 62_000]), (True, [1000, 2000, 3000])])
def test_periods_that_were_missed_come_once(catch_up: bool, expected: list[int]) -> None:
    """A process that reminds itself each second was away for a minute."""
    clock = Clock()
    clock.start(b"a", 0, 1000)
    came = []
    for now in (60_000, 60_001, 61_000, 62_000):
        for record in list(clock.timers.due(now)):
            assert clock.timers.take(record)
            came.append(record.timestamp)
            clock.timers.start(b"a", Schedule(timedelta(seconds=1), Withdraw(), catch_up=catch_up), record, "cause")
            clock.commit()
    assert came[:3] == expected


def test_what_an_old_event_schedules_comes_once_and_at_once() -> None:
    clock = Clock()
    assert clock.due(60_000) == []
    clock.start(b"a", 0, 1000)
    assert clock.bring(60_001) == [b"a"]
