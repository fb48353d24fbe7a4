"""Stages the snapshots of one component, as its `Snapshots` say."""

from google.protobuf.message import EncodeError

from headrace.schemas.changelog import kept_key, pack_tail, tail_key
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.errors import SnapshotTooLarge
from headrace.streams.steps.handlers import States
from headrace.streams.steps.state_cache import NEVER, CachedState, StateCache
from headrace.topology.inspection import type_name

NEAR = 0.75
"""The part of the size limit from which on a state is reported as large."""


class SnapshotWriter:
    """Writes snapshots of the roots of one partition; in between, the events since then."""

    def __init__(self, component: str, states: States, cache: StateCache, batch: Batch, context: StepContext) -> None:
        self._states, self._cache, self._batch = states, cache, batch
        self._partition, self._room = context.partition, context.room
        self._topic = context.names.topic(context.edition, component, "snapshots")
        self._every = states.snapshots.every
        self.kept = frozenset(type_name(event) for event in states.snapshots.keep)
        """Types of the events after which a snapshot is kept for ever."""

    def keep(self, key: bytes, live: CachedState, sequence: int) -> None:
        """Keep the state as it is now, after the event with `sequence`. Raises SnapshotTooLarge."""
        self._batch.set_entry(kept_key(key, sequence), self._snapshot(key, live, sequence))
        live.snapshot = NEVER  # so that the newest snapshot is never one of those

    def finish(self) -> None:
        """Stage a snapshot of each root that the batch changed or, if none is due, its events. Raises SnapshotTooLarge.

        The place of an event in the changelog is free by then: a snapshot covers the one that was there.
        """
        staged, outputs = self._batch.staged, self._batch.outputs
        for key, live in self._cache.touched.items():
            if live.first < 0:
                live.first, live.snapshot = live.sequence - len(live.pending) + 1, NEVER
            if live.sequence - live.snapshot < self._every:
                self._tail(key, live)
                continue
            value = self._snapshot(key, live, live.sequence)
            live.snapshot = live.sequence
            staged.snapshots[key] = value
            outputs.append((self._topic, value, key, self._partition, None))
            if len(value) > self._room * NEAR:
                staged.large_states.append((key, len(value), self._room))

    def _tail(self, key: bytes, live: CachedState) -> None:
        for sequence, stored in enumerate(live.pending, live.sequence - len(live.pending) + 1):
            self._batch.set_entry(tail_key(key, sequence % self._every), pack_tail(sequence, stored))

    def _snapshot(self, key: bytes, live: CachedState, sequence: int) -> bytes:
        try:
            state = self._states.serialise(live.state)
        except EncodeError as error:
            raise SnapshotTooLarge(key) from error
        value = Snapshot(
            sequence=sequence,
            state=state,
            fingerprint=self._states.fingerprint,
            recorded=self._batch.recorded,
            first=live.first if live.first >= 0 else live.sequence - len(live.pending) + 1,
            every=self._every if self._every > 1 else 0,
        ).SerializeToString()
        if len(value) > self._room:
            raise SnapshotTooLarge(key)
        return value
