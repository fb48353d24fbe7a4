"""Positions that a person sees and sets. What Kafka would say is given; what is written is kept."""

from collections.abc import Iterator
from typing import Any

import pytest

from headrace.schemas.changelog import POSITIONS
from headrace.schemas.headrace_v1_pb2 import Positions
from headrace.streams.admin import positions as module
from headrace.streams.admin.identity import Identity
from headrace.streams.admin.positions import Place, set_positions, show
from headrace.streams.runtime.positions import pack_positions
from headrace.streams.settings import Settings
from tests.support.bank import reactions

EVENTS, INBOX, CHANGELOG = "main.purse.events", "main.keeper.inbox", "main.keeper.snapshots"
HERE = Identity("here", {EVENTS: "e1", INBOX: "i1"})
SETTINGS = Settings(bootstrap="nowhere:1")


class Cluster:
    """Two partitions of each input, and a changelog that knows of the first one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stored = {0: Positions.FromString(pack_positions(HERE, 2, {EVENTS: 20, INBOX: 3}, 5))}
        self.identity = HERE
        self.ends = {(EVENTS, 0): (5, 50), (EVENTS, 1): (6, 60), (INBOX, 0): (0, 3), (INBOX, 1): (0, 0)}
        self.calls: list[str] = []
        self.written: list[tuple[Any, ...]] = []
        monkeypatch.setattr(module, "_stored", lambda *_: self.stored)
        monkeypatch.setattr(module, "_partitions", lambda *_: 2)
        monkeypatch.setattr(module, "await_empty", lambda *_: self.calls.append("empty"))
        monkeypatch.setattr(module, "identify", lambda *_: self.identity)
        monkeypatch.setattr(module, "end_offsets", lambda _, ids: {of: self.ends[of] for of in ids})
        monkeypatch.setattr(module, "Producer", self._producer)

    def _producer(self, config: dict[str, Any]) -> "Cluster":
        self.calls.append(config["transactional.id"])
        return self

    def init_transactions(self, _: float) -> None:
        self.calls.append("init")

    def begin_transaction(self) -> None:
        self.calls.append("begin")

    def produce(self, *record: Any) -> None:
        self.written.append(record)

    def commit_transaction(self, _: float) -> None:
        self.calls.append("commit")

    def show(self, topic: str = EVENTS) -> list[Place]:
        return [place for place in show(SETTINGS, reactions.topology, "keeper") if place.topic == topic]

    def set(self, to: str, partitions: tuple[int, ...] = (), topic: str = EVENTS) -> Iterator[Place]:
        return set_positions(SETTINGS, reactions.topology, "keeper", topic, to, partitions)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


def test_places_are_shown_by_topic_and_partition(cluster: Cluster) -> None:
    assert cluster.show() == [Place(EVENTS, 0, 20, 5, 50, True), Place(EVENTS, 1, None, 6, 60, False)]
    assert cluster.show(INBOX) == [Place(INBOX, 0, 3, 0, 3, True), Place(INBOX, 1, None, 0, 0, False)]


def test_a_position_is_found_wherever_it_stands(cluster: Cluster) -> None:
    cluster.stored = {0: Positions.FromString(pack_positions(HERE, 2, {INBOX: 3, EVENTS: 20}, 5))}
    assert [cluster.show(topic)[0].position for topic in (EVENTS, INBOX)] == [20, 3]


@pytest.mark.parametrize(("bounds", "fits"), [((20, 20), True), ((19, 21), True), ((21, 50), False), ((0, 19), False)])
def test_a_position_fits_if_the_log_has_it(bounds: tuple[int, int], fits: bool, cluster: Cluster) -> None:
    cluster.ends[EVENTS, 0] = bounds
    assert cluster.show()[0].fits is fits


@pytest.mark.parametrize(
    "identity",
    [
        *(Identity(cluster, HERE.topics) for cluster in ("before", "there")),
        *(Identity("here", {**HERE.topics, EVENTS: topic_id}) for topic_id in ("e0", "e2")),
        Identity("here", {INBOX: "i1"}),
    ],
)
def test_a_position_of_another_topic_does_not_fit(identity: Identity, cluster: Cluster) -> None:
    cluster.identity = identity
    assert cluster.show()[0] == Place(EVENTS, 0, 20, 5, 50, False)


@pytest.mark.parametrize(("to", "offsets"), [("oldest", (5, 6)), ("end", (50, 60)), ("55", (55, 55)), ("0", (0, 0))])
def test_a_position_is_set_in_one_transaction_and_the_others_are_kept(
    to: str, offsets: tuple[int, int], cluster: Cluster
) -> None:
    found = list(cluster.set(to))
    fits = [5 <= offsets[0] <= 50, 6 <= offsets[1] <= 60]
    assert found == [Place(EVENTS, 0, offsets[0], 5, 50, fits[0]), Place(EVENTS, 1, offsets[1], 6, 60, fits[1])]
    assert cluster.calls == ["empty", "headrace.keeper.positions", "init", "begin", "commit"]
    assert [(topic, key, number) for topic, _, key, number in cluster.written] == [
        (CHANGELOG, POSITIONS, 0),
        (CHANGELOG, POSITIONS, 1),
    ]
    first, second = (Positions.FromString(value) for _, value, _, _ in cluster.written)
    assert [(p.topic, p.topic_id, p.offset) for p in first.inputs] == [(INBOX, "i1", 3), (EVENTS, "e1", offsets[0])]
    assert [(p.topic, p.topic_id, p.offset) for p in second.inputs] == [(EVENTS, "e1", offsets[1])]
    assert {(p.cluster, p.partitions) for p in (first, second)} == {("here", 2)}
    assert [p.recorded for p in (first, second)] == [5, 0], "else later batches could be recorded before earlier ones"


def test_some_partitions_can_be_chosen(cluster: Cluster) -> None:
    assert [place.partition for place in cluster.set("end", (1,))] == [1]
    assert [number for *_, number in cluster.written] == [1]


def test_what_makes_no_sense_is_refused_before_anything_is_written(cluster: Cluster) -> None:
    with pytest.raises(LookupError, match=f"keeper does not read 'it'; it reads: .*{INBOX}"):
        list(cluster.set("end", topic="it"))
    for word in ("latest", "-1"):
        with pytest.raises(ValueError, match=f"'{word}' is no position; it is an offset, oldest or end"):
            list(cluster.set(word))
    assert cluster.calls == [], "nobody was asked"
    with pytest.raises(LookupError, match=f"{EVENTS} has no partition 7; it has 2"):
        list(cluster.set("end", (1, 7, 8)))
    assert cluster.written == []
