"""In which order a batch is processed. Nothing is sent here: the transaction is a fake that notes its calls."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from headrace.schemas.record import Record
from headrace.streams.observability.metrics import Metrics
from headrace.streams.observability.tracing import Tracing
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.partition import Partition
from headrace.streams.runtime.processor import Processor
from headrace.streams.runtime.suspects import SIZE, Suspects
from headrace.streams.runtime.transaction import CommitOutcomeUnknown
from headrace.streams.settings import Settings
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.step import Step
from headrace.testing.memory_store import MemoryStore
from headrace.topology.names import Names
from tests.support.bank import accounts

COMMANDS, FACTS = "main.account.commands", "main.account.facts"


class FakeTransaction:
    """Notes the calls."""

    def __init__(self, notes: list[str]) -> None:
        self.offsets: dict[tuple[str, int], int] = {}
        self._notes = notes

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: self._notes.append(name)


class NotedStep(Step):
    """Notes what it is shown, and what it handles."""

    def __init__(self, partition: int, notes: list[str], *, looks_ahead: bool) -> None:
        super().__init__(
            "noted", "account", MemoryStore(), StepContext(Names(), "main", partition, 2, reply_partitions=1)
        )
        self.looks_ahead, self._partition, self._notes = looks_ahead, partition, notes

    def ahead(self, records: Sequence[Record]) -> None:
        self._notes.append(f"{self._partition} sees {[record.offset for record in records]}")

    def attempt(self, record: Record) -> None:
        self._notes.append(f"{self._partition} handles {record.offset}")


class FakeAssignment:
    """Two partitions with a step each, which reads commands and facts."""

    def __init__(self, config: ComponentConfig, notes: list[str], *, looks_ahead: bool) -> None:
        self._notes = notes
        self.partitions = {number: Partition(config, number, threading.Event()) for number in (0, 1)}
        for number, partition in self.partitions.items():
            step = NotedStep(number, notes, looks_ahead=looks_ahead)
            partition.steps = {COMMANDS: step, FACTS: step}
            partition.stores = {step: _NoStore()}  # type: ignore[dict-item]
            partition.offsets = {COMMANDS: 0, FACTS: 0}

    def rewind(self, numbers: set[int]) -> None:
        self._notes.append(f"rewind {sorted(numbers)}")


class _NoStore:
    def put(self, *_: Any) -> None:
        """Nothing to keep."""


def made(notes: list[str], monkeypatch: pytest.MonkeyPatch, *, looks_ahead: bool, **settings_: Any) -> Processor:
    """A processor whose calls are noted."""
    transaction: Any = FakeTransaction(notes)
    settings: Any = Settings(bootstrap="nowhere:1", **settings_)
    config = ComponentConfig(accounts.topology, "account", settings, settings.state_dir, ["main"], 2, 1, {}, 1_000_000)
    assignment: Any = FakeAssignment(config, notes, looks_ahead=looks_ahead)
    membership: Any = type("Membership", (), {"kafka": None})
    suspects = Suspects(bytearray(SIZE), [COMMANDS, FACTS])
    processor = Processor(config, transaction, assignment, membership, suspects, Metrics(), Tracing(""), lambda _: None)
    processor.in_doubt = False
    return processor


def processed(
    records: Sequence[Record], monkeypatch: pytest.MonkeyPatch, *, looks_ahead: bool, **settings: Any
) -> list[str]:
    """What happened, in order, when these records were processed in one batch."""
    notes: list[str] = []
    made(notes, monkeypatch, looks_ahead=looks_ahead, **settings).process_input(records)
    return notes


def record(topic: str, partition: int, offset: int) -> Record:
    return Record(topic, partition, offset, 0, b"root", b"", {})


BATCH = [record(COMMANDS, 0, 0), record(COMMANDS, 1, 0), record(FACTS, 0, 7), record(COMMANDS, 0, 1)]
HANDLED = ["begin", "0 handles 0", "1 handles 0", "0 handles 7", "0 handles 1"]


def test_a_step_sees_its_whole_batch_before_the_transaction_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = processed(BATCH, monkeypatch, looks_ahead=True)
    assert notes[:7] == ["0 sees [0, 7, 1]", "1 sees [0]", *HANDLED]
    assert notes[-1] == "commit"


def test_a_step_that_does_not_look_ahead_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = processed(BATCH, monkeypatch, looks_ahead=False)
    assert notes[:5] == HANDLED
    assert notes[-1] == "commit"


# ---- batches that take their time


class Clock:
    """Moves on with each look, by a second or as told."""

    def __init__(self, step: float = 1.0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_a_batch_ends_by_time_and_the_rest_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the brokers would end its transaction, and it would come again and last as long, for ever."""
    monkeypatch.setattr(time, "perf_counter", Clock())
    records = [record(COMMANDS, number % 2, number // 2) for number in range(6)]
    notes = processed(records, monkeypatch, looks_ahead=False, transaction_timeout=6.0)
    assert notes == ["begin", "0 handles 0", "1 handles 0", "send", "send", "commit", "rewind [0, 1]"]


def test_after_a_doubt_less_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be done in its time is tried smaller, down to one; then it grows again."""
    records = [record(COMMANDS, 0, number) for number in range(4)]
    notes: list[str] = []
    processor = made(notes, monkeypatch, looks_ahead=False)
    doubts = [True, True, True, False, False]

    class Doubtful(FakeTransaction):
        def commit(self, *_: Any) -> None:
            if doubts.pop(0):
                raise CommitOutcomeUnknown("too late")

    processor._transaction = Doubtful(notes)  # type: ignore[assignment]
    handled = []
    for _ in range(5):
        notes.clear()
        processor.in_doubt = False
        processor.process_input(records)
        handled.append(sum("handles" in note for note in notes))
    assert handled == [4, 2, 1, 1, 2]


def test_a_record_that_outlasts_its_transaction_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be tried for ever, and nothing behind it."""
    monkeypatch.setattr(time, "perf_counter", Clock(step=3.0))
    notes: list[str] = []
    processor = made(notes, monkeypatch, looks_ahead=False, transaction_timeout=2.0)
    slow, behind = record(COMMANDS, 0, 0), record(COMMANDS, 0, 1)

    class Late(FakeTransaction):
        def commit(self, *_: Any) -> None:
            if "0 handles 0" in notes:
                raise CommitOutcomeUnknown("too late")

    processor._transaction = Late(notes)  # type: ignore[assignment]
    for _ in range(3):
        notes.clear()
        processor.in_doubt = False
        processor.process_input([slow])
    assert "0 handles 0" not in notes
    notes.clear()
    processor.process_input([behind])
    assert "0 handles 1" in notes


@pytest.mark.parametrize("what", ["brokers away", "process frozen"])
def test_no_record_is_refused_for_what_others_took(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers that were away while it was committed, or a machine that slept while it was handled."""
    clock = Clock(step=0.0)
    monkeypatch.setattr(time, "perf_counter", clock)
    notes: list[str] = []
    processor = made(notes, monkeypatch, looks_ahead=False, transaction_timeout=2.0)

    class Away(FakeTransaction):
        def begin(self) -> None:
            clock.step = 20.0 if what == "process frozen" else 0.0

        def commit(self, *_: Any) -> None:
            clock.step = 0.0
            clock.now += 20.0
            raise CommitOutcomeUnknown("no answer")

    times = 1 if what == "process frozen" else 3
    for transaction in [*(Away(notes) for _ in range(times)), FakeTransaction(notes)]:
        processor._transaction = transaction  # type: ignore[assignment]
        processor.in_doubt = False
        processor.process_input([record(COMMANDS, 0, 0)])
    assert [note for note in notes if "handles" in note] == ["0 handles 0"] * (times + 1)
