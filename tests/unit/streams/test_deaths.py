"""When a record counts as one at which the worker has ended, and what a processor does with such records."""

import time

import pytest

from headrace.schemas.record import Record
from headrace.streams.runtime.partition import Interrupted
from headrace.streams.runtime.suspects import Suspect, Suspects
from headrace.streams.steps.errors import SnapshotTooLarge
from headrace.streams.steps.store import Staged, StoreFailed
from tests.support.processor_bench import COMMANDS, DOUBT, FACTS, TOO_LARGE, Bench, record


class Deadly:
    """A bench whose process ends at some record, and comes back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.bench = Bench(monkeypatch)

    @property
    def left(self) -> list[Suspect]:
        """What a successor would find."""
        return Suspects(bytearray(self.bench.memory), [COMMANDS, FACTS]).found

    def raise_at(self, offset: int, error: BaseException) -> None:
        def handle(record: Record) -> None:
            if record.offset == offset:
                raise error
            self.bench.kafka.note("handle", str(record.offset))

        self._monkeypatch.setattr(self.bench.step(), "handle", handle)

    def restart(self) -> None:
        offsets = {number: dict(partition.offsets) for number, partition in self.bench.partitions.items()}
        self.bench = Bench(self._monkeypatch, memory=self.bench.memory)
        for number, partition in self.bench.partitions.items():
            partition.offsets = offsets[number]


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> Deadly:
    return Deadly(monkeypatch)


def handled(bench: Bench) -> list[str]:
    """Handled and refused offsets, in their transactions."""
    words = [note.split()[:2] for note in bench.kafka.taken()]
    return [" ".join(word) for word in words if word[0] in ("begin", "handle", "refuse")]


def test_the_record_at_which_the_process_ended_is_alone_in_its_transaction_and_refused_the_third_time(
    deadly: Deadly,
) -> None:
    deadly.raise_at(1, MemoryError())
    with pytest.raises(MemoryError):
        deadly.bench.process(0, 1, 2)
    for deaths in (1, 2):
        deadly.restart()
        assert [one.deaths for one in deadly.bench.suspects.found] == [deaths]
        deadly.raise_at(1, MemoryError())
        with pytest.raises(MemoryError):
            deadly.bench.its.process_input([record(0), record(1), record(2)])
        assert handled(deadly.bench) == (["begin", "handle 0", "begin"] if deaths == 1 else ["begin"])
    deadly.restart()
    deadly.bench.its.process_input([record(1), record(2)])
    assert handled(deadly.bench) == ["begin", "refuse 1", "begin", "handle 0:2"]
    assert deadly.left == []


@pytest.mark.parametrize("error", [StoreFailed("gone", "/x"), Interrupted(), TOO_LARGE, SnapshotTooLarge(), DOUBT])
def test_what_is_not_the_handlers_doing_does_not_count(error: BaseException, deadly: Deadly) -> None:
    deadly.bench.kafka.fail = {"handle": [None, error]}
    deadly.bench.process(0, 1)
    assert deadly.left == []


def test_brokers_that_are_waited_for_do_not_count(deadly: Deadly, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[Suspect]] = []
    monkeypatch.setattr(deadly.bench.kafka, "commit", lambda *_: found.append(deadly.left))
    deadly.bench.process(0, 1)
    assert found == [[]]


def test_what_ends_while_states_are_written_may_be_any_record_of_the_batch(
    deadly: Deadly, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[list[Suspect]] = []

    def finish(now: int) -> Staged:
        found.append(deadly.left)
        return Staged()

    monkeypatch.setattr(deadly.bench.step(), "finish", finish)
    deadly.bench.partitions[1].offsets[FACTS] = 3
    deadly.bench.its.process([record(0), record(7), record(5, 1, FACTS)])
    deadly.bench.process(8)
    assert found == [[Suspect(COMMANDS, 0, 0, 8, 1), Suspect(FACTS, 1, 3, 6, 1)], [Suspect(COMMANDS, 0, 8, 9, 1)]]


def test_for_how_long_a_record_is_at_work(deadly: Deadly, monkeypatch: pytest.MonkeyPatch) -> None:
    now, seen = [50.0], list[float]()
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def handle(_: Record) -> None:
        now[0] += 0.5
        seen.append(deadly.bench.its.at_work_for)

    monkeypatch.setattr(deadly.bench.step(), "handle", handle)
    assert deadly.bench.its.at_work_for == 0
    deadly.bench.process(0, 1)
    now[0] += 100
    assert seen == [0.5, 0.5]
    assert deadly.bench.its.at_work_for == 0


def test_many_suspects_are_handled_in_one_go_but_not_for_longer_than_a_batch(
    deadly: Deadly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the worker would not end in time when it is told to."""
    deadly.bench.suspects.begin({(COMMANDS, 0): (0, 10)})
    deadly.restart()
    now = [50.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    batch = [record(number) for number in range(12)]
    assert deadly.bench.its.process(batch[:4])
    assert deadly.bench.kafka.taken().count("begin") == 4
    monkeypatch.setattr(deadly.bench.step(), "handle", lambda _: now.append(now.pop() + 1))
    assert not deadly.bench.its.process(batch[4:])
    notes = deadly.bench.kafka.taken()
    assert (notes.count("begin"), notes[-1]) == (3, "rewind [0]")
    assert deadly.bench.partitions[0].offsets[COMMANDS] == 7
