"""A processor on fakes: what it asks of Kafka, of its steps and of its stores is noted, in order."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from headrace.schemas.headrace_v1_pb2 import Positions
from headrace.schemas.record import Record
from headrace.streams.observability.metrics import Metrics
from headrace.streams.observability.tracing import Tracing
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.partition import Partition
from headrace.streams.runtime.processor import Processor
from headrace.streams.runtime.suspects import SIZE, Suspects
from headrace.streams.runtime.transaction import CommitOutcomeUnknown
from headrace.streams.settings import Settings
from headrace.streams.steps.batch import Output, Written
from headrace.streams.steps.errors import RecordTooLarge
from headrace.streams.steps.store import Staged, StoreFailed
from tests.support.bank import accounts

COMMANDS, FACTS = "main.account.commands", "main.account.facts"
SNAPSHOTS, EVENTS = "main.account.snapshots", "main.account.events"


class Kafka:
    """Stands for the transaction: notes calls, and fails as it is told to."""

    def __init__(self) -> None:
        self.offsets: dict[tuple[str, int], int] = {}
        self.notes: list[str] = []
        self.fail: dict[str, list[BaseException | None]] = {}
        """What the next calls of a name raise, if anything."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: self.note(name)

    def note(self, name: str, text: str = "") -> None:
        self.notes.append(f"{name} {text}".strip())
        if (errors := self.fail.get(name)) and (error := errors.pop(0)) is not None:
            raise error

    def commit(self, offsets: list[TopicPartition], group: object) -> None:
        assert group == "group"
        self.note("commit", " ".join(f"{o.topic.rpartition('.')[2]}/{o.partition}={o.offset}" for o in offsets))

    def send(self, outputs: Sequence[Output], track: dict[str, str], recorded: int) -> None:
        assert track == {SNAPSHOTS: "snapshots", EVENTS: "events"}
        self.note("send", " ".join(str(output[0]) for output in outputs))

    def taken(self) -> list[str]:
        found, self.notes = self.notes, []
        return found


class FakeStep:
    """Does nothing but say so; sends the offset of each record that it handles."""

    looks_ahead = False
    recorded = 0

    def __init__(self, number: int, kafka: Kafka) -> None:
        self.number, self._kafka = number, kafka
        self.outputs: list[Any] = []
        self.escalations: list[dict[str, str]] = []
        self.enforce_state_size = False

    def begin(self, now: int) -> None:
        self.recorded = now

    def handle(self, record: Record) -> None:
        self._kafka.note("handle", f"{self.number}:{record.offset}")
        self.outputs.append((record.offset,))

    def fire(self, record: Record) -> None:
        self._kafka.note("fire", f"{self.number}:{record.offset}")

    def refuse(self, record: Record, error: Exception, *, whole: bool = True) -> None:
        self._kafka.note("refuse", f"{record.offset} {type(error).__name__} {error} {whole}")

    def record_positions(self, positions: bytes) -> None:
        self.positions = [(place.topic, place.offset) for place in Positions.FromString(positions).inputs]

    def finish(self, now: int) -> Staged:
        self._kafka.note("finish", "carefully" if self.enforce_state_size else "")
        return Staged(escalations=self.escalations)

    def committed(self) -> Written:
        self._kafka.note("committed")
        return Written(accepted=1)

    def rolled_back(self) -> None:
        self._kafka.note("rolled back")


class FakeStore:
    """Keeps what it is told to stand for."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka, self.checkpoints = kafka, {"none": 0}

    def put(self, staged: Staged, checkpoints: dict[str, int]) -> None:
        self._kafka.note("put")
        self.checkpoints = checkpoints


class FakeAssignment:
    """Two partitions, each with a step for both inputs."""

    def __init__(self, config: ComponentConfig, kafka: Kafka) -> None:
        self._kafka = kafka
        self.partitions = {number: Partition(config, number, SimpleNamespace()) for number in (0, 1)}  # type: ignore[arg-type]
        for number, partition in self.partitions.items():
            step: Any = FakeStep(number, kafka)
            partition.steps = {COMMANDS: step, FACTS: step}
            partition.stores = {step: FakeStore(kafka)}  # type: ignore[dict-item]
            partition.offsets = {COMMANDS: 0, FACTS: -1001}

    def rewind(self, numbers: set[int]) -> None:
        self._kafka.note("rewind", str(sorted(numbers)))

    def repair(self, error: StoreFailed) -> None:
        self._kafka.note("repair", str(error))

    def restore(self, numbers: set[int]) -> None:
        self._kafka.note("restore", str(sorted(numbers)))


class Bench:
    """A processor and what is around it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, memory: bytearray | None = None, **settings_: Any) -> None:
        self.kafka, self.metrics, self.tracing = Kafka(), Metrics(), Tracing("")
        self.alerts: list[dict[str, str]] = []
        of = Settings(bootstrap="nowhere:1", **settings_)
        config = ComponentConfig(accounts.topology, "account", of, of.state_dir, ["main"], 2, 1, {}, 1_000_000)
        assignment: Any = FakeAssignment(config, self.kafka)
        membership: Any = SimpleNamespace(kafka="group")
        transaction: Any = self.kafka
        self.partitions: dict[int, Partition] = assignment.partitions
        self.memory = memory or bytearray(SIZE)
        self.suspects = Suspects(self.memory, [COMMANDS, FACTS])
        self.its = Processor(
            config, transaction, assignment, membership, self.suspects, self.metrics, self.tracing, self.alerts.append
        )
        self.its.in_doubt = False

    def step(self, number: int = 0) -> FakeStep:
        found: Any = self.partitions[number].steps[COMMANDS]
        assert isinstance(found, FakeStep)
        return found

    def store(self, number: int = 0) -> FakeStore:
        (found,) = self.partitions[number].stores.values()
        assert isinstance(found, FakeStore)
        return found

    def count(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"headrace_{name}", {"domain": "account", **labels})

    def process(self, *offsets: int) -> bool:
        return self.its.process([record(offset) for offset in offsets])


def record(offset: int, partition: int = 0, topic: str = COMMANDS) -> Record:
    return Record(topic, partition, offset, 0, b"root", b"", {})


TOO_LARGE, DOUBT = RecordTooLarge("large"), CommitOutcomeUnknown("doubt")
