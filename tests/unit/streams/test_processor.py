"""In which order a batch is processed. Nothing is sent here: the transaction is a fake that notes its calls."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from headrace.schemas.record import Record
from headrace.streams.observability.metrics import Metrics
from headrace.streams.observability.tracing import Tracing
from headrace.streams.runtime import processor as processor_module
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.partition import Partition
from headrace.streams.runtime.processor import Processor
from headrace.streams.settings import Settings
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.step import Step
from headrace.testing.memory_store import MemoryStore
from headrace.topology.names import Names
from tests.support import bank

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
        self.partitions = {number: Partition(config, number, threading.Event()) for number in (0, 1)}
        for number, partition in self.partitions.items():
            step = NotedStep(number, notes, looks_ahead=looks_ahead)
            partition.steps = {COMMANDS: step, FACTS: step}
            partition.stores = {step: _NoStore()}  # type: ignore[dict-item]
            partition.offsets = {COMMANDS: 0, FACTS: 0}


class _NoStore:
    def put(self, *_: Any) -> None:
        """Nothing to keep."""


def processed(records: Sequence[Record], monkeypatch: pytest.MonkeyPatch, *, looks_ahead: bool) -> list[str]:
    """What happened, in order, when these records were processed in one batch."""
    notes: list[str] = []
    monkeypatch.setattr(processor_module, "Transaction", lambda *_: FakeTransaction(notes))
    settings: Any = Settings(bootstrap="nowhere:1")
    config = ComponentConfig(bank.topology, "account", settings, settings.state_dir, ["main"], 2, 1, {}, 1_000_000)
    assignment: Any = FakeAssignment(config, notes, looks_ahead=looks_ahead)
    membership: Any = type("Membership", (), {"kafka": None})
    processor = Processor(config, "id", assignment, membership, Metrics(), Tracing(""), lambda _: None)
    processor.in_doubt = False
    processor.process_input(records)
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
