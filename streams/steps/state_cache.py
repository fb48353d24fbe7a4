"""The roots of one partition as a batch sees them: the stored state, plus the changes of the batch so far."""

from collections.abc import Iterator

from google.protobuf.message import EncodeError

from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.errors import SnapshotTooLarge
from headrace.streams.steps.handlers import State, States
from headrace.streams.steps.intermediate_states import EVERY, IntermediateStates
from headrace.streams.steps.store import LATEST, Store

SNAPSHOT_EXTRA = 64
"""The most bytes by which a Snapshot is larger than the state in it."""


class CachedState:
    """A root's state after what this batch has done so far; `pending` are its events that are not in the store yet."""

    __slots__ = ("first", "pending", "sequence", "state")

    def __init__(self, state: State, sequence: int, first: int = -1) -> None:
        self.state = state
        self.sequence = sequence
        self.first = first
        """Sequence of its first event in this edition; -1 if the store has none."""
        self.pending: list[bytes] = []


class StateCache:
    """Loads states and keeps the latest `live_states` of them between batches."""

    def __init__(self, states: States, store: Store, live_states: int) -> None:
        self.live: dict[bytes, CachedState] = {}
        self.touched: dict[bytes, CachedState] = {}
        self._states, self._store, self._live_states = states, store, live_states
        self._intermediate = IntermediateStates()

    def use(self, key: bytes, batch: Batch) -> CachedState:
        """The root's state for a record. If the record is rolled back, so are its changes of the state."""
        live = self.live.get(key)
        if live is None:
            live = self._load(key)
            self.live[key] = live
        batch.undo.append((self._restore, key, live.sequence, len(live.pending)))
        return live

    def _load(self, key: bytes) -> CachedState:
        """Load a root from its newest snapshot and the events after it.

        All events are folded if the state's type or version has changed since the snapshot was written.
        """
        first, last, snapshot = self._store.head(key)
        if snapshot is not None and snapshot.fingerprint == self._states.fingerprint:
            state, sequence = self._states.parse(snapshot.state), snapshot.sequence
        else:
            state, sequence = self._states.new(), -1
        if sequence < last:
            count = self._states.fold(state, self._store.history(key, sequence + 1, last), key, sequence + 1)
            if count != last - sequence:
                raise LookupError(f"{key.decode()} has {last + 1} events, the log yields {sequence + 1 + count}")
        return CachedState(state, last, first)

    def _restore(self, key: bytes, sequence: int, pending: int) -> None:
        """Restore a root as it was before a record. Its state is loaded again, since handlers may have changed it."""
        live = self.live[key]
        del live.pending[pending:]
        live.sequence = sequence
        if not live.pending:
            self.touched.pop(key, None)
        live.state = self._load(key).state
        self._states.fold(live.state, live.pending, key, sequence - pending + 1)

    def events(self, key: bytes, live: CachedState, first: int, count: int | None = None) -> list[bytes]:
        """Events from `first` on, at most `count`: those in the store, then those of this batch."""
        if count is None:
            count = live.sequence - first + 1
        stored = live.sequence - len(live.pending)
        last = min(stored, first + count - 1)
        older = list(self._store.history(key, first, last)) if first <= last else []
        return (older + live.pending[max(0, first - stored - 1) :])[:count]

    def state_at(self, key: bytes, live: CachedState, sequence: int) -> State:
        """A new state as it was after the event with `sequence`, from the nearest state before that is known."""
        state = self.state_within(key, live, sequence, LATEST)
        assert state is not None
        return state

    def state_within(self, key: bytes, live: CachedState, sequence: int, most: int) -> State | None:
        """The same; None if more than `most` events would have to be folded: the next call goes on where it ended."""
        stored = live.sequence - len(live.pending)
        state, at = self._known_before(key, sequence)
        while at < sequence:
            if most <= 0:
                return None
            end = min(sequence, (at + 1) // EVERY * EVERY + EVERY - 1)
            self._states.fold(state, self.events(key, live, at + 1, end - at), key, at + 1)
            most, at = most - (end - at), end
            if (at + 1) % EVERY == 0 and at <= stored:
                self._intermediate.add(key, at, self._states.serialise(state))
        return state

    def _known_before(self, key: bytes, sequence: int) -> tuple[State, int]:
        """The newest state that is known and not after a sequence, and its sequence."""
        at, data = self._intermediate.before(key, sequence) or (-1, b"")
        if (stored := self._store.snapshot(key, sequence)) is not None:
            snapshot = Snapshot.FromString(stored)
            if snapshot.sequence > at and snapshot.fingerprint == self._states.fingerprint:
                at, data = snapshot.sequence, snapshot.state
        return self._states.parse(data), at

    def last_at(self, key: bytes, live: CachedState, moment: int, recorded: int) -> int:
        """Sequence of the root's last event at a moment; events of this batch are `recorded` at that time."""
        return live.sequence if recorded <= moment else self._store.last_at(key, moment)

    def snapshots(self, room: int, recorded: int) -> Iterator[tuple[bytes, bytes]]:
        """Roots that the batch changed, with their Snapshot messages; the batch's events are `recorded` at this time.

        SnapshotTooLarge for one above `room` bytes, or that cannot be written.
        """
        for key, live in self.touched.items():
            try:
                state = self._states.serialise(live.state)
            except EncodeError as error:
                raise SnapshotTooLarge(key) from error
            if live.first < 0:
                live.first = live.sequence - len(live.pending) + 1
            value = Snapshot(
                sequence=live.sequence,
                state=state,
                fingerprint=self._states.fingerprint,
                recorded=recorded,
                first=live.first,
            ).SerializeToString()
            if len(value) > room:
                raise SnapshotTooLarge(key)
            yield key, value

    def committed(self) -> None:
        """The batch is committed: the store now has the pending events."""
        live = self.live
        for root in self.touched.values():
            root.pending.clear()
        if len(live) > self._live_states:
            for key in self.touched:  # the most recently used go to the end
                live[key] = live.pop(key)
            for key in list(live)[: len(live) - self._live_states]:
                del live[key]
        self.touched = {}

    def rolled_back(self) -> None:
        """Drop each state, since the batch may have changed it."""
        self.live.clear()
        self.touched = {}
