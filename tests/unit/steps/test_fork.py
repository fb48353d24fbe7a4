"""A fork sees its parent up to a cut; what it writes itself comes after that. Laws hold for any history."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.schemas.changelog import Accepted, fact_key, pack_accepted, result_key
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.schemas.stored_event import StoredEvent, unpack
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.fork import Fork
from headrace.streams.steps.handlers import States
from headrace.streams.steps.state_cache import StateCache
from headrace.streams.steps.store import LATEST, Staged, Store
from headrace.testing.memory_store import MemoryStore
from headrace.topology.cut import Cut, DomainCut
from tests.support.bank import messages_pb2 as pb
from tests.support.step_fixture import BANK

ROOTS = (b"a", b"b")
STATES = States(BANK)


@dataclass
class Writer:
    """Writes deposits of 1 after what a store has, as a step does; a batch a call, each 10 ms after the last one."""

    own: MemoryStore
    sees: Store
    now: int = 0
    snapshots: bool = True
    batches: list[tuple[bytes, int]] = field(default_factory=list)

    def write(self, root: bytes, number: int = 1) -> None:
        self.now += 10
        state = load(self.sees, root)
        first, last = self.sees.first(root), self.sees.last(root)
        staged = Staged(recorded=self.now)
        for sequence in range(last + 1, last + 1 + number):
            event = pb.Deposited(amount=1, balance=sequence + 1)
            STATES.apply(state, (event.DESCRIPTOR.full_name, b"", event))
            recorded = b"%d" % self.now
            kept = StoredEvent(b"bank.v1.Deposited", recorded, b"", b"", b"", b"", b"", event.SerializeToString())
            staged.history.append((root, sequence, kept.pack()))
        if self.snapshots:
            staged.snapshots[root] = Snapshot(
                sequence=last + number,
                state=state.SerializeToString(),
                fingerprint=STATES.fingerprint,
                recorded=self.now,
                first=first if first >= 0 else last + 1,
            ).SerializeToString()
        self.own.put(staged)


def load(store: Store, root: bytes) -> pb.Account:
    state = StateCache(STATES, store, 10).use(root, Batch(store)).state
    assert isinstance(state, pb.Account)
    return state


def main_with(*batches: tuple[bytes, int], snapshots: bool = True) -> Writer:
    store = MemoryStore()
    writer = Writer(store, store, snapshots=snapshots)
    for root, number in batches:
        writer.write(root, number)
    return writer


def fork_of(parent: Store, cut: DomainCut) -> tuple[Fork, Writer]:
    own = MemoryStore()
    fork = Fork(own, parent, cut)
    return fork, Writer(own, fork, now=10_000)


def seen(store: Store) -> dict[bytes, tuple[int, list[bytes], pb.Account]]:
    """All that a step can see of each root."""
    found = {}
    for root in ROOTS:
        last = store.last(root)
        history = list(store.history(root, 0, last)) if last >= 0 else []
        found[root] = (last, history, load(store, root))
        assert len(history) == last + 1
    return found


def up_to(store: MemoryStore, cut: DomainCut) -> dict[bytes, tuple[int, list[bytes], pb.Account]]:
    """The same, found by going over the whole history."""
    found = {}
    for root in ROOTS:
        history = list(store.history(root, 0, store.last(root)))
        sequence = cut.sequence_of(root.decode())
        if sequence is not None:
            history = history[: sequence + 1]
        elif cut.moment is not None:
            history = [event for event in history if int(unpack(event).recorded) <= cut.moment]
        state = pb.Account()
        STATES.fold(state, history)
        found[root] = (len(history) - 1, history, state)
    return found


batches = st.lists(st.tuples(st.sampled_from(ROOTS), st.integers(1, 3)), max_size=8)
cuts = st.builds(
    DomainCut,
    moment=st.none() | st.integers(0, 100),
    sequence=st.none() | st.integers(-1, 8),
    roots=st.dictionaries(st.sampled_from(["a", "b"]), st.integers(-1, 8), max_size=2),
)


@given(batches, cuts, st.booleans())
@settings(deadline=None)
def test_a_fork_without_events_is_its_parent_at_the_cut(
    before: list[tuple[bytes, int]], cut: DomainCut, snapshots: bool
) -> None:
    main = main_with(*before, snapshots=snapshots)
    fork, _ = fork_of(main.own, cut)
    assert seen(fork) == up_to(main.own, cut)
    assert [fork.first(root) for root in ROOTS] == [-1, -1]


@given(batches, cuts, batches, batches)
@settings(deadline=None)
def test_what_the_parent_writes_later_changes_nothing(
    before: list[tuple[bytes, int]], cut: DomainCut, later: list[tuple[bytes, int]], own: list[tuple[bytes, int]]
) -> None:
    """A moment that has passed, that is; a sequence that is not there yet, or no moment at all, follows the parent."""
    main = main_with(*before)
    lasts = {root.decode(): main.own.last(root) for root in ROOTS}
    there = {root: min(sequence, lasts[root]) for root, sequence in cut.roots.items()}
    domain = None if cut.sequence is None else {root: min(cut.sequence, lasts[root]) for root in lasts}
    stable = DomainCut(min(main.now, main.now if cut.moment is None else cut.moment), None, {**(domain or {}), **there})
    fork, writer = fork_of(main.own, stable)
    for batch in own:
        writer.write(*batch)
    then = seen(fork)
    for batch in later:
        main.write(*batch)
    assert seen(fork) == then


@given(batches, st.integers(0, 100), st.integers(0, 100), batches)
@settings(deadline=None)
def test_a_fork_of_a_fork_is_a_fork_at_the_earlier_cut(
    before: list[tuple[bytes, int]], one: int, other: int, later: list[tuple[bytes, int]]
) -> None:
    main = main_with(*before)
    inner, _ = fork_of(main.own, DomainCut(one))
    outer, writer = fork_of(inner, DomainCut(other))
    single, same = fork_of(main.own, DomainCut(min(one, other)))
    assert seen(outer) == seen(single)
    for batch in later:
        writer.write(*batch)
        same.write(*batch)
    assert seen(outer) == seen(single)


@given(batches, cuts, batches, st.integers(0, 20_000))
@settings(deadline=None)
def test_the_last_event_at_a_moment_is_found_as_by_looking_at_all(
    before: list[tuple[bytes, int]], cut: DomainCut, own: list[tuple[bytes, int]], moment: int
) -> None:
    fork, writer = fork_of(main_with(*before).own, cut)
    for batch in own:
        writer.write(*batch)
    for root in ROOTS:
        history = fork.history(root, 0, fork.last(root))
        known = [event for event in history if int(unpack(event).recorded) <= moment]
        assert fork.last_at(root, moment) == len(known) - 1


@given(batches, cuts, batches, st.integers(0, 12))
@settings(deadline=None)
def test_a_snapshot_is_never_after_the_point(
    before: list[tuple[bytes, int]], cut: DomainCut, own: list[tuple[bytes, int]], at: int
) -> None:
    fork, writer = fork_of(main_with(*before).own, cut)
    for batch in own:
        writer.write(*batch)
    for root in ROOTS:
        for point in (at, LATEST):
            found = fork.snapshot(root, point)
            assert found is None or Snapshot.FromString(found).sequence <= min(point, fork.last(root))


def test_a_root_is_followed_until_its_first_own_event() -> None:
    main = main_with((b"a", 2))
    fork, writer = fork_of(main.own, Cut().of("account"))
    main.write(b"a")
    assert fork.last(b"a") == 2
    writer.write(b"a")
    main.write(b"a", 4)
    assert (fork.base(b"a"), fork.first(b"a"), fork.last(b"a"), main.own.last(b"a")) == (2, 3, 3, 6)
    assert load(fork, b"a").count == 4


def test_facts_are_inherited_with_their_events_and_nothing_else_is() -> None:
    main = main_with((b"a", 5))
    within, beyond, empty = (fact_key(b"a", name) for name in (b"within", b"beyond", b"empty"))
    result, queued = result_key(b"a", b"id"), b"\0park|a"
    main.own.put(
        Staged(
            entries={
                within: pack_accepted(bytes(8), 1, 2),
                beyond: pack_accepted(bytes(8), 2, 2),
                empty: pack_accepted(bytes(8), 3, 0),
                queued: b"x",
            },
            results={result: pack_accepted(bytes(8), *Accepted(0, 1))},
            documents={b"d": b"{}"},
        )
    )
    fork, _ = fork_of(main.own, DomainCut(sequence=2))
    assert [fork.entry(key) is not None for key in (within, beyond, empty, queued)] == [True, False, True, False]
    assert (fork.result(result), fork.document(b"d"), list(fork.entries(b"\0"))) == (None, None, [])
    assert main.own.entry(beyond) is not None
