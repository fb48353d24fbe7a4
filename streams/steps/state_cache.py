"""The roots of one partition as a batch sees them: stored state, plus what the batch did so far."""

from collections.abc import Iterator

from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.errors import SnapshotTooLarge
from headrace.streams.steps.handlers import State, States
from headrace.streams.steps.store import Store

SNAPSHOT_EXTRA = 64
"""Bytes that a Snapshot may be larger than the state in it."""

_MARK_EVERY, _MARKS, _MARKED_ROOTS = 1000, 200, 16
"""Events between two states that are kept of a root's history, how many of one root, and of how many roots."""


class CachedState:
    """A root's state after all that this batch did; `pending` are its events that the store lacks yet."""

    __slots__ = ("pending", "sequence", "state")

    def __init__(self, state: State, sequence: int) -> None:
        self.state = state
        self.sequence = sequence
        self.pending: list[bytes] = []


class StateCache:
    """Loads states and keeps the latest `live_states` of them between batches."""

    def __init__(self, states: States, store: Store, live_states: int) -> None:
        self.live: dict[bytes, CachedState] = {}
        self.touched: dict[bytes, CachedState] = {}
        self._states, self._store, self._live_states = states, store, live_states
        self._marks: dict[bytes, dict[int, State]] = {}
        """States of some roots after some of their events."""

    def use(self, key: bytes, batch: Batch) -> CachedState:
        """The root's state for a record. If the record is taken back, so is all that it does to the state."""
        live = self.live.get(key)
        if live is None:
            live = self._load(key)
            self.live[key] = live
        batch.undo.append((self._restore, key, live.sequence, len(live.pending)))
        return live

    def _load(self, key: bytes) -> CachedState:
        """From the snapshot or, when the state's type has changed since, from the events."""
        stored = self._store.snapshot(key)
        if stored is None:
            return CachedState(self._states.new(), -1)
        snapshot = Snapshot.FromString(stored)
        if snapshot.fingerprint == self._states.fingerprint:
            return CachedState(self._states.parse(snapshot.state), snapshot.sequence)
        state = self._states.new()
        count = self._states.fold(state, self._store.history(key, 0, snapshot.sequence))
        if count != snapshot.sequence + 1:
            raise LookupError(f"{key.decode()} has {snapshot.sequence + 1} events, the log yields {count}")
        return CachedState(state, snapshot.sequence)

    def _restore(self, key: bytes, sequence: int, pending: int) -> None:
        """Make a root what it was before a record, which may have changed its state unseen."""
        live = self.live[key]
        del live.pending[pending:]
        live.sequence = sequence
        if not live.pending:
            self.touched.pop(key, None)
        live.state = self._load(key).state
        self._states.fold(live.state, live.pending)

    def events(self, key: bytes, live: CachedState, first: int, count: int | None = None) -> list[bytes]:
        """Stored events from `first` on, at most `count`: those of the store, then those of this batch."""
        if count is None:
            count = live.sequence - first + 1
        stored = live.sequence - len(live.pending)
        last = min(stored, first + count - 1)
        older = list(self._store.history(key, first, last)) if first <= last else []
        return (older + live.pending[max(0, first - stored - 1) :])[:count]

    def state_at(self, key: bytes, live: CachedState, sequence: int) -> State:
        """A new state as it was after the event with `sequence`.

        States on the way are kept for the next time, since events never change: of a long history, all is folded once.
        """
        marks = self._marks.pop(key, {})
        self._marks[key] = marks  # the youngest stands last
        if len(self._marks) > _MARKED_ROOTS:
            del self._marks[next(iter(self._marks))]
        stored = live.sequence - len(live.pending)
        at = max((mark for mark in marks if mark <= sequence), default=-1)
        state = self._states.copy(marks[at]) if at >= 0 else self._states.new()
        while at < sequence:
            end = min(sequence, (at + 1) // _MARK_EVERY * _MARK_EVERY + _MARK_EVERY - 1)
            self._states.fold(state, self.events(key, live, at + 1, end - at))
            at = end
            if (at + 1) % _MARK_EVERY == 0 and at <= stored and len(marks) < _MARKS:
                marks[at] = self._states.copy(state)
        return state

    def snapshots(self, room: int) -> Iterator[tuple[bytes, bytes]]:
        """Roots that the batch changed, with their Snapshot messages; SnapshotTooLarge for one above `room` bytes."""
        for key, live in self.touched.items():
            value = Snapshot(
                sequence=live.sequence,
                state=self._states.serialise(live.state),
                fingerprint=self._states.fingerprint,
            ).SerializeToString()
            if len(value) > room:
                raise SnapshotTooLarge(key)
            yield key, value

    def committed(self) -> None:
        """The store has now what was pending."""
        live = self.live
        for root in self.touched.values():
            root.pending.clear()
        if len(live) > self._live_states:
            for key in self.touched:  # the youngest go to the end
                live[key] = live.pop(key)
            for key in list(live)[: len(live) - self._live_states]:
                del live[key]
        self.touched = {}

    def rolled_back(self) -> None:
        """Drop each state, since the batch may have changed it."""
        self.live.clear()
        self.touched = {}
