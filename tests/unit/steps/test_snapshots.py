"""When snapshots are written, what is there in between, and which of them a load and a read of the past use."""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Snapshots, Topology
from headrace.schemas.changelog import KEPT, TAIL, kept_key, unpack_tail
from headrace.schemas.headrace_v1_pb2 import Query, Snapshot
from headrace.streams.state.rocksdb import EditionStore, PartitionStore
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.errors import SnapshotTooLarge
from headrace.streams.steps.fork import Fork
from headrace.streams.steps.handlers import States
from headrace.streams.steps.state_cache import StateCache
from headrace.testing.memory_store import MemoryStore
from headrace.topology.cut import DomainCut
from headrace.topology.topology import TopologyError
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import Accounts
from tests.support.step_fixture import BANK, NOW, StepFixture


class Sparse(Accounts):
    snapshots = Snapshots(every=5, keep=(pb.Opened,))


class Sparser(Accounts):
    snapshots = Snapshots(every=7)


class NewFold(Accounts):
    snapshots = Snapshots(every=5, version=2)


class CountedReads(MemoryStore):
    """Counts the events that are read."""

    read = 0

    def history(self, root: bytes, first: int, last: int) -> Iterable[bytes]:
        found = list(super().history(root, first, last))
        self.read += len(found)
        return found


def write(fixture: StepFixture, *sizes: int) -> None:
    """Batches of so many deposits of 1."""
    for size in sizes:
        assert fixture.tell(*[pb.Deposit(amount=1)] * size).written.accepted == size


def sequences(snapshots: Iterable[bytes]) -> list[int]:
    return [Snapshot.FromString(snapshot).sequence for snapshot in snapshots]


def kept(fixture: StepFixture, root: bytes = b"r") -> list[int]:
    return sequences(value for _, value in fixture.store.entries(KEPT + root + b"\0"))


def test_a_snapshot_is_written_with_the_first_batch_and_then_once_there_are_so_many_events() -> None:
    fixture, found = StepFixture(Sparse), []
    for _ in range(13):
        outcome = fixture.tell(pb.Deposit(amount=1))
        snapshots = [output for output in outcome.kind("snapshots") if output[2] == b"r"]
        tails = [output for output in outcome.kind("snapshots") if (output[2] or b"")[:6] == TAIL]
        assert len(snapshots) + len(tails) == 1, "in between there is the event, so that nothing waits for the history"
        found += sequences(value or b"" for _, value, *_ in snapshots)
        assert [unpack_tail(value or b"")[0] for _, value, *_ in tails] == (
            [] if snapshots else [fixture.store.last(b"r")]
        )
    assert found == [0, 5, 10]
    assert len(list(fixture.store.entries(TAIL))) == 4, "places are used again"


@given(
    st.lists(st.integers(1, 9), max_size=12), st.sampled_from([Sparse, Sparser]), st.sampled_from([Sparse, Accounts])
)
@settings(deadline=None)
def test_a_loaded_state_is_the_fold_whatever_the_policy_was_and_is(sizes: list[int], was: Any, now: Any) -> None:
    """Also when the policy has changed between two batches."""
    store = MemoryStore()
    for number, size in enumerate(sizes):
        write(StepFixture(was if number % 3 else now, store=store), size)
        fixture = StepFixture(now, store=store)
        result, total = fixture.tell(Query(state=True)).result, sum(sizes[: number + 1])
        assert (result.sequence, pb.Account.FromString(result.state).balance) == (total - 1, total)


def test_a_batch_with_more_events_than_that_writes_one_snapshot() -> None:
    fixture = StepFixture(Sparse)
    write(fixture, 1, 12)
    assert fixture.snapshot().sequence == 12
    assert list(fixture.store.entries(TAIL)) == []


def test_default_snapshots_go_when_there_is_a_newer_one_and_kept_ones_stay() -> None:
    fixture = StepFixture(Sparse)
    fixture.tell(pb.Open(owner="a"))
    write(fixture, *[1] * 8)
    fixture.tell(pb.Open(owner="b"), root="s")
    write(fixture, *[1] * 20)
    assert (kept(fixture), kept(fixture, b"s")) == ([0], [0])
    assert fixture.store.snapshot(b"r", 24) == fixture.store.other[kept_key(b"r", 0)], "no other one is there"
    assert fixture.snapshot().sequence == 25


def test_after_an_event_with_a_kept_snapshot_the_newest_one_is_not_older() -> None:
    """So a load never has to look for kept ones."""
    fixture = StepFixture(Sparse)
    write(fixture, 1, 1)
    fixture.tell(pb.Deposit(amount=1), pb.Open(owner="a"), pb.Deposit(amount=4))
    assert kept(fixture) == [3]
    assert fixture.snapshot().sequence == 4
    state = Snapshot.FromString(fixture.store.other[kept_key(b"r", 3)])
    assert pb.Account.FromString(state.state).balance == 3, "as it was right after that event"
    assert (state.first, state.recorded) == (0, fixture.snapshot().recorded)


def test_a_record_that_is_rolled_back_keeps_no_snapshot() -> None:
    fixture = StepFixture(Sparse)
    write(fixture, 1)
    savepoint = fixture.step.batch.savepoint()
    fixture.step.attempt(fixture.record(pb.Open(owner="a")))
    assert len(fixture.step.batch.staged.entries) == 1
    fixture.step.batch.rollback(savepoint)
    assert fixture.step.batch.staged.entries == {}


def test_a_read_of_the_past_begins_at_the_newest_snapshot_that_is_not_after_the_point() -> None:
    store = CountedReads()
    fixture = StepFixture(Sparse, store=store)
    write(fixture, *[1] * 3)
    fixture.tell(pb.Open(owner="a"))  # 3, kept
    write(fixture, *[1] * 8)  # the newest one is at 8
    for point, read in ((3, 0), (5, 2), (8, 0), (2, 3), (0, 1)):
        store.read = 0
        result = fixture.tell(Query(state=True, as_of_sequence=point)).result
        assert store.read == read
        state = pb.Account()
        States(BANK).fold(state, store.history(b"r", 0, point))
        assert pb.Account.FromString(result.state) == state


def test_a_snapshot_that_was_recorded_after_the_time_is_not_used() -> None:
    store = CountedReads()
    fixture = StepFixture(Accounts, store=store)
    for second in range(3):
        fixture.step.begin(NOW + second * 1000)
        write(fixture, 1)
    for after, read, balance in ((1500, 2, 2), (999, 1, 1), (2000, 0, 3), (9000, 0, 3)):
        store.read = 0
        result = fixture.tell(Query(state=True, as_of_time=NOW + after)).result
        assert (store.read, pb.Account.FromString(result.state).balance) == (read, balance)


def test_a_repaired_fold_uses_neither_the_newest_snapshot_nor_kept_ones() -> None:
    store = CountedReads()
    fixture = StepFixture(Sparse, store=store)
    fixture.tell(pb.Open(owner="a"))
    write(fixture, *[1] * 6)
    again = StepFixture(NewFold, store=store)
    assert pb.Account.FromString(again.tell(Query(state=True)).result.state).balance == 6
    assert store.read == 7
    write(again, 1)
    assert again.snapshot().sequence == 7, "the first write replaces what is stale"


def test_a_fork_has_snapshots_and_tails_of_its_own() -> None:
    main = StepFixture(Sparse)
    write(main, *[1] * 8)  # a snapshot at 5
    fork = Fork(MemoryStore(), main.store, DomainCut(sequence=6))
    assert (fork.last(b"r"), Snapshot.FromString(fork.snapshot(b"r") or b"").sequence) == (6, 5)
    own = MemoryStore()
    edition = StepFixture(Sparse, store=own)
    edition.step = type(edition.step)(edition.spec, Fork(own, main.store, DomainCut(sequence=6)), edition.place)
    write(edition, *[1] * 3)
    assert (own.first(b"r"), own.last(b"r")) == (7, 9)
    assert Snapshot.FromString(own.snapshots[b"r"]).sequence == 7, "of its first own event, since it inherits no tail"
    write(main, *[1] * 9)
    assert pb.Account.FromString(edition.tell(Query(state=True)).result.state).balance == 10


# ---- in RocksDB, before the history is restored


@pytest.fixture
def edition(tmp_path: Path) -> Iterator[EditionStore]:
    store = PartitionStore(tmp_path / "0")
    yield store.edition("main")
    store.close()


@pytest.fixture(scope="module")
def editions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[EditionStore]]:
    """New ones, in one store."""
    store = PartitionStore(tmp_path_factory.mktemp("editions") / "0")
    yield (store.edition(f"e{number}") for number in count())
    store.close()


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from([Sparse, Sparser, Accounts])), min_size=1, max_size=12))
@settings(deadline=None)
def test_a_restored_changelog_is_enough_to_load_a_root(
    editions: Iterator[EditionStore], batches: list[tuple[int, Any]]
) -> None:
    """A worker that takes over a partition decides before it has read the history, whatever the policy has been."""
    store, edition, total = MemoryStore(), next(editions), 0
    edition.complete_history = lambda: pytest.fail("history is not there yet")
    for size, aggregate in batches:
        outcome = StepFixture(aggregate, store=store).tell(*[pb.Deposit(amount=1)] * size)
        changelog = [(bytes(key), value) for _, value, key, *_ in outcome.kind("snapshots") if isinstance(key, bytes)]
        edition.restore_changelog(changelog, {})
        total += size
        state: Any = StateCache(States(BANK), edition, 10).use(b"r", Batch(edition)).state
        assert (edition.last(b"r"), state.balance) == (total - 1, total)


def test_kept_snapshots_are_found_in_rocksdb(edition: EditionStore) -> None:
    def snapshot(sequence: int) -> bytes:
        return Snapshot(sequence=sequence).SerializeToString()

    records: list[tuple[bytes | None, bytes | None]] = [(kept_key(b"r", at), snapshot(at)) for at in (2, 9, 11, 100)]
    records += [(kept_key(b"q", 5), snapshot(5)), (kept_key(b"s", 1), snapshot(1)), (b"r", snapshot(120))]
    edition.restore_changelog(records, {})
    found = [edition.snapshot(b"r", at) for at in (0, 1, 2, 8, 9, 10, 99, 100, 119, 120, 500)]
    at = [None if one is None else Snapshot.FromString(one).sequence for one in found]
    assert at == [None, None, 2, 2, 9, 9, 11, 100, 100, 120, 120]


# ---- limits and declarations


def test_a_snapshot_is_as_large_as_there_is_room() -> None:
    fixture = StepFixture()
    write(fixture, 1)
    size = fixture.snapshot().ByteSize()
    for room, fits in ((size + 5, True), (size - 5, False)):
        small = StepFixture(max_bytes=room + 2048)
        small.step.handle(small.record(pb.Deposit(amount=1)))
        if fits:
            small.step.finish(NOW)
        else:
            with pytest.raises(SnapshotTooLarge):
                small.step.finish(NOW)


def test_a_state_near_the_limit_is_reported() -> None:
    fixture = StepFixture(max_bytes=2048 + 1000)
    for size, large in ((100, 0), (800, 1)):
        fixture.step.handle(fixture.record(pb.Annotate(note="x" * size), root=str(size)))
        staged = fixture.step.finish(NOW)
        assert len(staged.large_states) == large
        for root, found, limit in staged.large_states:
            assert (root, limit) == (b"800", 1000)
            assert found > 800
        fixture.store.put(staged)
        fixture.step.committed()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"every": 0}, "every=0; it is a number of events from 1 to"),
        ({"every": 10_001}, "every=10001"),
        ({"keep": pb.Opened}, "it is a tuple of event types"),
        ({"keep": ("Opened",)}, "it is a tuple of event types"),
    ],
)
def test_policies_that_cannot_be(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Snapshots(**wrong)


@pytest.mark.parametrize("event", [pb.Deposit, pb.Stranger, int])
def test_only_events_that_are_applied_can_have_kept_snapshots(event: type[Message]) -> None:
    class Wrong(Accounts):
        snapshots = Snapshots(keep=(event,))

    with pytest.raises(TopologyError, match=r"Wrong: snapshots keeps .*, which it does not apply"):
        Topology(Wrong)
