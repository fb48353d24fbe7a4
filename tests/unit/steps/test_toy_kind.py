"""A new kind of component is a declaration, an inspection and a step: nothing else is touched for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from headrace import Names, Topology, TopologyError
from headrace.schemas.headers import ID, SUBJECT, TYPE
from headrace.schemas.record import Record, check
from headrace.streams.steps import registry
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Store
from headrace.testing import TopologyDriver
from headrace.topology.describe import Description, Reads, Route
from headrace.topology.inspection import spec
from headrace.topology.inspection.signatures import component_name
from headrace.topology.inspection.spec import ComponentSpec, Replay
from tests.support.bank.accounts import Purse
from tests.support.bank.messages_pb2 import Deposit

NAMES = Names()
NOW = datetime(2026, 1, 1, tzinfo=UTC)

# ---- the declaration


class Tally:
    """Counts the events of a domain, by root; keeps each count in its changelog."""

    name: ClassVar[str]
    source: ClassVar[str]


class Deposits(Tally):
    name = "deposits"
    source = "purse"


# ---- its inspection


@dataclass(slots=True, kw_only=True)
class TallySpec(ComponentSpec):
    source: str

    kind: ClassVar[str] = "tally"
    topics: ClassVar[tuple[str, ...]] = ("snapshots", "dead-letters")
    replay: ClassVar[Replay] = Replay.NEVER

    @property
    def inputs(self) -> list[tuple[str, str]]:
        return [(self.source, "events")]

    def resolve(self, components: Mapping[str, ComponentSpec], mistakes: list[str]) -> None:
        if self.source not in components:
            mistakes.append(f"{self.class_name}: there is no {self.source!r} to count")

    def describe(self) -> Description:
        return Description(
            kind=self.kind,
            class_name=self.class_name,
            state="",
            note="",
            shape=("((", "))"),
            reads=[Reads(self.source, "events", (Route("any event", ("a count",)),))],
            writes=("snapshots", "dead-letters"),
        )


def inspect_tally(tally: type[Any], mistakes: list[str]) -> TallySpec | None:
    name = component_name(tally, "name", mistakes)
    return None if name is None else TallySpec(name=name, class_name=tally.__name__, source=tally.source)


# ---- its step


class TallyStep(Step):
    looks_ahead = True

    def __init__(self, tally: TallySpec, store: Store, context: StepContext) -> None:
        super().__init__(f"tally:{tally.name}", tally.name, store, context)
        self._seen: list[Record] = []

    def ahead(self, records: Sequence[Record]) -> None:
        self._seen = list(records)

    def attempt(self, record: Record) -> None:
        assert record in self._seen, "a record is handled that the step was not shown before"
        headers = check(record.headers)
        key = b"\0tally|" + headers[SUBJECT]
        count = int(self.batch.entry(key) or b"0") + 1
        self.batch.set_entry(key, b"%d" % count)
        self.batch.count("accepted")
        if count == 3:
            raise ArithmeticError("three is one too many")


def tally_step(tally: TallySpec, topology: Topology, store: Store, context: StepContext) -> Step:
    return TallyStep(tally, store, context)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two registrations, which stand as decorators on the functions elsewhere; here they end with the test."""
    monkeypatch.setattr(spec, "_KINDS", dict(spec._KINDS))
    monkeypatch.setattr(registry, "_STEPS", dict(registry._STEPS))
    spec.inspects(Tally)(inspect_tally)
    registry.runs(TallySpec)(tally_step)


# ---- at work


def test_it_runs_beside_the_others() -> None:
    driver = TopologyDriver(Topology(Purse, Deposits), start=NOW, partitions=1)
    for _ in range(4):
        driver.send(Deposit(amount=1), "anna")
    driver.send(Deposit(amount=1), "bob")
    written = [(r.key, r.value) for r in driver.records(driver.topic("deposits", "snapshots"))]
    assert written == [(b"\0tally|anna", b"1"), (b"\0tally|anna", b"2"), (b"\0tally|bob", b"1")]
    assert driver.counts["deposits"]["accepted"] == 3
    assert [dead_letter.error for dead_letter in driver.dead_letters("deposits")] == ["three is one too many"] * 2
    assert {r.headers[TYPE] for r in driver.records(driver.topic("purse", "events"))} == {b"bank.v1.Deposited"}
    assert all(ID in r.headers for r in driver.records(driver.topic("purse", "events")))


def test_a_topology_shows_and_checks_it() -> None:
    topology = Topology(Purse, Deposits)
    assert "deposits (tally Deposits)\n  reads   main.purse.events\n    any event -> a count" in topology.text()
    assert "  deposits((Deposits))\n  purse_events --> deposits" in topology.mermaid()
    topics = [topic.name for topic in topology.topics(NAMES, 1, components=["deposits"])]
    assert topics == ["main.deposits.snapshots", "main.deposits.dead-letters"]
    with pytest.raises(TopologyError, match="Deposits: there is no 'purse' to count"):
        Topology(Deposits)
