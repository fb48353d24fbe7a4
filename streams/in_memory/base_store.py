"""The store from which what-ifs start: the events of a history, folded when a root is first asked for."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from headrace.schemas.changelog import DIGEST_SIZE, fact_key, pack_accepted
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.schemas.stored_event import recorded_of, unpack
from headrace.streams.in_memory.store import MemoryStore
from headrace.streams.steps.handlers import States
from headrace.streams.steps.store import LATEST, Head, Staged
from headrace.topology.inspection import ComponentSpec


class BaseStore(MemoryStore):
    """A store that nobody writes to. What it folds once, all what-ifs over it share."""

    def __init__(self, spec: ComponentSpec, events: Mapping[str, Sequence[bytes]]) -> None:
        super().__init__()
        self._states = States(spec)
        staged = Staged()
        for name, values in events.items():
            root = name.encode()
            staged.history.extend((root, sequence, value) for sequence, value in enumerate(values))
            staged.entries.update(_facts(root, values))
            staged.recorded = max(staged.recorded, recorded_of(values[-1]) if values else 0)
        self.put(staged)

    def head(self, root: bytes) -> Head:
        self._fold(root)
        return super().head(root)

    def snapshot(self, root: bytes, at: int = LATEST) -> bytes | None:
        self._fold(root)
        return super().snapshot(root, at)

    def _fold(self, root: bytes) -> None:
        if root in self.snapshots or not (values := list(self.history(root, 0, LATEST - 1))):
            return
        state = self._states.new()
        self._states.fold(state, values, root)
        self.snapshots[root] = Snapshot(
            sequence=len(values) - 1,
            state=self._states.serialise(state),
            fingerprint=self._states.fingerprint,
            recorded=recorded_of(values[-1]),
        ).SerializeToString()


def _facts(root: bytes, values: Sequence[bytes]) -> dict[bytes, bytes]:
    """Which events record which facts, as the store keeps it, so that no fact is recorded again."""
    found, first = {}, 0
    for (fact, _), events in groupby(map(unpack, values), key=lambda event: (event.fact, event.causation)):
        number = len(list(events))
        if fact:
            found[fact_key(root, fact)] = pack_accepted(bytes(DIGEST_SIZE), first, number)
        first += number
    return found
