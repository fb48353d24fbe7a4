"""Where inputs begin: at what the changelog says, held against the log. Nothing is asked of brokers here."""

import threading
from pathlib import Path
from typing import Any

import pytest

from headrace.schemas.headrace_v1_pb2 import Positions
from headrace.streams.admin.identity import Identity
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime import positions as module
from headrace.streams.runtime.committed_offsets import CommittedOffsets
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.partition import Partition
from headrace.streams.runtime.positions import PositionFinder, PositionsUnfit, pack_positions
from headrace.streams.settings import Settings
from headrace.streams.state.rocksdb import LAYOUT, PartitionStore
from headrace.streams.steps.store import Staged
from tests.support.bank import reactions

EVENTS, INBOX = "main.purse.events", "main.keeper.inbox"
HERE = Identity("here", {EVENTS: "e1", INBOX: "i1", "main.keeper.snapshots": "s1"})
NONE = -1001


class Log:
    """What brokers would say: beginning and end of each input, and the group's offsets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.bounds = {EVENTS: (0, 50), INBOX: (0, 5)}
        self.committed = {EVENTS: NONE, INBOX: NONE}
        self.asked = 0
        self.metrics = Metrics()
        self.config = ComponentConfig(
            reactions.topology, "keeper", Settings(bootstrap="nowhere:1"), folder, ["main"], 4, 1, {}, 1_000_000
        )
        monkeypatch.setattr(module, "end_offsets", lambda _, ids: {(topic, n): self.bounds[topic] for topic, n in ids})
        monkeypatch.setattr(CommittedOffsets, "read", self._read)

    def _read(self, numbers: Any) -> dict[int, dict[str, int]]:
        self.asked += 1
        return {number: dict(self.committed) for number in numbers}

    def find(self, stored: bytes | None, identity: Identity = HERE) -> dict[str, int]:
        return PositionFinder(self.config, self.metrics).find({0: stored}, identity)[0]

    def unread(self) -> float:
        value = self.metrics.registry.get_sample_value("headrace_unread_records_total", {"domain": "keeper"})
        return value or 0.0


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Log:
    monkeypatch.setattr(reactions.topology.components["keeper"], "begin", "")
    return Log(monkeypatch, tmp_path)


STORED = pack_positions(HERE, 4, {EVENTS: 20, INBOX: 3}, 5)


def test_the_changelog_counts_whatever_the_group_has_committed(log: Log) -> None:
    """Kafka forgets offsets, and tools reset them; the state knows what it is made of."""
    for offset in (NONE, 0, 49, 1000):
        log.committed = {EVENTS: offset, INBOX: offset}
        assert log.find(STORED) == {EVENTS: 20, INBOX: 3}
    assert log.asked == 0


def test_the_groups_offset_counts_where_the_changelog_has_none(log: Log) -> None:
    log.committed = {EVENTS: 17, INBOX: 2}
    assert log.find(None) == {EVENTS: 17, INBOX: 2}
    only_events = pack_positions(HERE, 4, {EVENTS: 20}, 5)
    assert log.find(only_events) == {EVENTS: 20, INBOX: 2}


@pytest.mark.parametrize(("begin", "offset"), [("oldest", 3), ("now", 50)])
def test_a_saga_that_never_ran_begins_where_it_says(
    begin: str, offset: int, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactions.topology.components["keeper"], "begin", begin)
    log.bounds[EVENTS] = (3, 50)
    assert log.find(None) == {EVENTS: offset, INBOX: 0}


def test_where_there_are_events_it_has_to_be_said(log: Log) -> None:
    """Else all of history would be sent again, or what comes first would be left out."""
    with pytest.raises(PositionsUnfit, match='begin = "oldest" or begin = "now"'):
        log.find(None)
    log.bounds[EVENTS] = (0, 0)
    assert log.find(None) == {EVENTS: 0, INBOX: 0}


def test_a_position_beyond_the_end_of_the_log_is_no_position(log: Log) -> None:
    log.bounds[EVENTS] = (0, 19)
    with pytest.raises(
        PositionsUnfit, match=r"read main.purse.events/0 up to 20, and it ends at 19.*headrace positions"
    ):
        log.find(STORED)
    log.bounds[EVENTS] = (0, 20)
    assert log.find(STORED)[EVENTS] == 20
    log.committed = {EVENTS: 21, INBOX: 0}
    with pytest.raises(PositionsUnfit, match="up to 21, and it ends at 20"):
        log.find(None)


@pytest.mark.parametrize(
    ("identity", "why"),
    [
        (Identity("elsewhere", HERE.topics), "on another cluster"),
        (Identity("here", {**HERE.topics, EVENTS: "e2"}), "made again"),
        (Identity("here", {INBOX: "i1"}), "made again"),
    ],
)
def test_a_position_is_of_one_topic_of_one_cluster(identity: Identity, why: str, log: Log) -> None:
    with pytest.raises(PositionsUnfit, match=why) as unfit:
        log.find(STORED, identity)
    assert "headrace positions set keeper main.purse.events" in str(unfit.value)


def test_what_retention_took_unread_is_counted(log: Log) -> None:
    log.bounds[INBOX] = (5, 9)
    assert log.find(STORED) == {EVENTS: 20, INBOX: 5}
    assert log.unread() == 2


def test_partitions_stay_as_many_as_they_were(log: Log) -> None:
    more = pack_positions(HERE, 3, {EVENTS: 20, INBOX: 3}, 5)
    with pytest.raises(PositionsUnfit, match="have 4 partitions, and had 3"):
        log.find(more)


def test_a_topic_that_is_an_input_no_more_is_forgotten(log: Log) -> None:
    before = pack_positions(HERE, 4, {EVENTS: 20, INBOX: 3, "main.book.events": 7}, 5)
    assert log.find(before) == {EVENTS: 20, INBOX: 3}


# ---- stores


def store(log: Log, *, origin: bytes = LAYOUT + b"here s1") -> PartitionStore:
    """A store that knows something."""
    found = PartitionStore(log.config.folder / "0")
    found.edition("main").put(Staged(entries={b"\0park|r": b"x"}), {"main.keeper.snapshots": 7})
    found.origin = origin
    return found


ENDS = {("main.keeper.snapshots", 0): (0, 9)}


def discarded(log: Log) -> bool:
    """Whether the store in the folder is made anew when it is taken over."""
    partition = Partition(log.config, 0, threading.Event())
    gone = partition.restore().discard_foreign(ENDS, HERE)
    assert partition.store is not None
    if gone:
        assert partition.store.is_new
        assert partition.store.edition("main").entry(b"\0park|r") is None
    partition.close()
    return gone


def test_a_store_of_these_topics_is_kept(log: Log) -> None:
    store(log).close()
    assert not discarded(log)
    assert not discarded(log)


@pytest.mark.parametrize(
    "origin",
    [b"", b"here s1", LAYOUT + b"here s2", LAYOUT + b"elsewhere s1"],
    ids=["of long before", "of before", "made again", "elsewhere"],
)
def test_a_store_of_other_topics_is_made_anew(origin: bytes, log: Log) -> None:
    store(log, origin=origin).close()
    assert discarded(log)
    assert not discarded(log), "once"


def test_what_is_put_into_a_store_that_was_made_anew_is_kept(log: Log) -> None:
    """From then on it is of these topics."""
    store(log, origin=LAYOUT + b"elsewhere s1").close()
    partition = Partition(log.config, 0, threading.Event())
    assert partition.restore().discard_foreign(ENDS, HERE)
    assert partition.store is not None
    partition.store.edition("main").put(Staged(entries={b"\0park|r": b"y"}), {"main.keeper.snapshots": 9})
    partition.close()
    assert not discarded(log)


@pytest.mark.parametrize(("checkpoint", "gone"), [(9, False), (10, True)])
def test_a_store_may_be_at_the_end_of_its_topic_and_not_ahead_of_it(checkpoint: int, gone: bool, log: Log) -> None:
    found = store(log)
    found.edition("main").put(Staged(), {"main.keeper.snapshots": checkpoint})
    found.close()
    assert discarded(log) is gone


def test_a_store_that_may_have_missed_deletions_is_made_anew(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs that were cancelled, and events that were handled, would come again."""
    found = store(log)
    days = 3 * 24 * 3600 * 1000
    long_ago = found.away(0) + days
    monkeypatch.setattr("headrace.streams.state.rocksdb.now_ms", lambda: -long_ago)
    found.close()
    monkeypatch.undo()
    assert discarded(log)


def test_positions_are_written_as_they_are_read() -> None:
    read = Positions.FromString(STORED)
    assert [(p.topic, p.topic_id, p.offset) for p in read.inputs] == [(EVENTS, "e1", 20), (INBOX, "i1", 3)]
    assert (read.cluster, read.partitions) == ("here", 4)


def test_states_that_are_missing_are_named(log: Log) -> None:
    text = str(module.missing_snapshots(log.config, [0, 3]))
    assert text.startswith("keeper, partition 0, 3: main.keeper.snapshots holds no state, and main.keeper.events holds")
