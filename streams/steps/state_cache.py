"""The roots of one partition as a batch sees them: stored state, plus what the batch did so far."""

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import Message

from headrace.schemas import stored_event as history
from headrace.schemas.fingerprint import fingerprint
from headrace.schemas.headrace_v1_pb2 import Aborted, Revoked, Snapshot
from headrace.streams.steps.context import SnapshotTooLarge
from headrace.streams.steps.store import Store
from headrace.topology.inspection import AggregateSpec

SNAPSHOT_EXTRA = 64
"""Bytes that a Snapshot may be larger than the state in it."""

ENGINES_OWN: dict[str, tuple[type[Message], Callable[[Any, Any], None]]] = {
    message.DESCRIPTOR.full_name: (message, lambda state, event: None) for message in (Revoked, Aborted)
}
"""Events that the engine writes for a compensation; they change no state, unless an author applies them."""


class CachedState:
    """A root's state after all that this batch did; `pending` are its events that the store lacks yet."""

    __slots__ = ("pending", "sequence", "state")

    def __init__(self, state: Any, sequence: int) -> None:
        self.state = state
        self.sequence = sequence
        self.pending: list[bytes] = []


class StateCache:
    """Loads states and keeps the latest `live_states` of them between batches."""

    def __init__(self, spec: AggregateSpec, store: Store, live_states: int) -> None:
        self.live: dict[bytes, CachedState] = {}
        self.touched: dict[bytes, CachedState] = {}
        self.appliers: history.Appliers = {
            name.encode(): entry for name, entry in {**ENGINES_OWN, **spec.appliers}.items()
        }
        self._state, self._store, self._live_states = spec.state, store, live_states
        self._fingerprint = fingerprint(spec.state)

    def load(self, key: bytes) -> CachedState:
        """The root's state from its snapshot or, when the state's type has changed since, from its events."""
        stored = self._store.snapshot(key)
        state, sequence = self._state(), -1
        if stored is not None:
            snapshot = Snapshot.FromString(stored)
            sequence = snapshot.sequence
            if snapshot.fingerprint == self._fingerprint:
                state.MergeFromString(snapshot.state)
            else:
                count = history.fold(state, self._store.history(key, 0, sequence), self.appliers)
                if count != sequence + 1:
                    raise LookupError(f"{key.decode()} has {sequence + 1} events, the log yields {count}")
        live = self.live[key] = CachedState(state, sequence)
        return live

    def reload(self, key: bytes, live: CachedState) -> None:
        """Make `live.state` again what it was before a handler left it half changed."""
        fresh = self.load(key)
        history.fold(fresh.state, live.pending, self.appliers)
        live.state = fresh.state
        self.live[key] = live

    def events(self, key: bytes, live: CachedState, first: int, count: int | None = None) -> list[bytes]:
        """Stored events from `first` on, at most `count`: those of the store, then those of this batch."""
        if count is None:
            count = live.sequence - first + 1
        stored = live.sequence - len(live.pending)
        last = min(stored, first + count - 1)
        older = list(self._store.history(key, first, last)) if first <= last else []
        return (older + live.pending[max(0, first - stored - 1) :])[:count]

    def state_at(self, key: bytes, live: CachedState, sequence: int) -> Any:
        """A new state as it was after the event with `sequence`."""
        state = self._state()
        history.fold(state, self.events(key, live, 0, sequence + 1), self.appliers)
        return state

    def snapshots(self, room: int) -> Iterator[tuple[bytes, bytes]]:
        """Roots that the batch changed, with their Snapshot messages; SnapshotTooLarge for one above `room` bytes."""
        for key, live in self.touched.items():
            value = Snapshot(
                sequence=live.sequence, state=live.state.SerializeToString(), fingerprint=self._fingerprint
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
