"""What the monitor shows, and that it shows nothing where it could not look."""

from dataclasses import dataclass, field, replace

from confluent_kafka import KafkaError, KafkaException

from headrace.connectors.connect.client import ConnectFailed
from headrace.connectors.connect.overview import SinkStatus, TaskStatus
from headrace.connectors.monitor import Metrics
from headrace.streams.admin.projections import VersionStatus

CARDS = VersionStatus("cards", 2, "cards-v2", True, "stuck", 7, 3.5, 1, "")
TASKS = [TaskStatus(0, "RUNNING", ""), TaskStatus(1, "FAILED", "no such table")]
SINK = SinkStatus("main.cards-v2.search", "RUNNING", False, TASKS, 9, 2, "it was away", "reset it")


@dataclass
class World:
    """What there is to see, or why nothing is."""

    versions: list[VersionStatus] = field(default_factory=lambda: [CARDS])
    connectors: list[SinkStatus] = field(default_factory=lambda: [SINK])
    trouble: Exception | None = None

    def projections(self) -> list[VersionStatus]:
        return self.versions

    def sinks(self) -> list[SinkStatus]:
        if self.trouble is not None:
            raise self.trouble
        return self.connectors


def shown(metrics: Metrics) -> dict[str, float]:
    """Values by name and label, without the times."""
    return {
        f"{sample.name.removeprefix('headrace_')} {' '.join(sample.labels.values())}": sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if not sample.name.endswith(("_created", "_last_look_seconds"))
    }


def test_what_there_is_to_see_is_shown() -> None:
    metrics = Metrics()
    metrics.look(World())
    assert shown(metrics) == {
        "projection_lag_records cards-v2": 7,
        "projection_lag_seconds cards-v2": 3.5,
        "projection_stuck cards-v2": 1,
        "projection_dead_letters cards-v2": 1,
        "sink_runs main.cards-v2.search": 0,
        "sink_tasks_failed main.cards-v2.search": 1,
        "sink_lag_records main.cards-v2.search": 9,
        "sink_dead_letters main.cards-v2.search": 2,
        "sink_needs_reset main.cards-v2.search": 1,
        "monitor_failed_looks_total projections": 0,
        "monitor_failed_looks_total sinks": 0,
    }


def test_what_was_dropped_and_what_cannot_be_seen_is_not_shown() -> None:
    metrics, world = Metrics(), World()
    metrics.look(world)
    world.versions = [replace(CARDS, component="cards-v3", state="current")]
    world.trouble = ConnectFailed("no answer")
    metrics.look(world)
    found = shown(metrics)
    assert not [name for name in found if "cards-v2" in name]
    assert (found["projection_stuck cards-v3"], found["monitor_failed_looks_total sinks"]) == (0, 1)
    world.trouble = KafkaException(KafkaError(KafkaError._TRANSPORT))
    metrics.look(world)
    assert shown(metrics)["monitor_failed_looks_total sinks"] == 2
    world.trouble = None
    metrics.look(world)
    assert shown(metrics)["sink_runs main.cards-v2.search"] == 0
