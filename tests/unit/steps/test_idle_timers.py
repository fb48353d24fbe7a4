"""Idle costs nothing, whatever has been: what was brought or cancelled leaves traces in a store, slow to pass over."""

from collections.abc import Iterable
from datetime import timedelta

from headrace import Names, Schedule
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
        self.timers.start(root, Schedule(timedelta(milliseconds=milliseconds), Withdraw()), now, "cause")
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
