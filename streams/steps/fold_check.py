"""Whether the states that snapshots hold are those that today's code folds from the log."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.streams.steps import merge
from headrace.streams.steps.handlers import State, States
from headrace.topology.inspection import ComponentSpec


class Difference(NamedTuple):
    """A root whose snapshot, of the event with `sequence`, is not what its events make."""

    root: str
    sequence: int
    fields: tuple[str, ...]
    in_use: bool
    """Whether today's code would use the snapshot. If not, the root is folded anew when it is next used."""


class Unreadable(NamedTuple):
    """A root whose history today's code cannot fold."""

    root: str
    reason: str


class FoldCheck:
    """The roots of one component: give it all snapshots, then the events of each root in order, then `finish`."""

    def __init__(self, spec: ComponentSpec) -> None:
        self.events = 0
        self.compared = 0
        """Snapshots that states were compared with."""
        self.outdated = 0
        """Snapshots of another type, chain of upcasters or version, which today's code does not use."""
        self.differences: list[Difference] = []
        self.unreadable: list[Unreadable] = []
        self._states = States(spec)
        self._snapshots: dict[bytes, Snapshot] = {}
        self._folded: dict[bytes, tuple[State, int]] = {}
        """State and sequence of each root so far."""
        self._failed: set[bytes] = set()

    @property
    def roots(self) -> int:
        """How many roots there are."""
        return len(self._folded.keys() | self._failed)

    def add_snapshot(self, root: bytes, value: bytes | None) -> None:
        """The next value of a root in the snapshots topic."""
        if value is None:
            self._snapshots.pop(root, None)
        else:
            self._snapshots[root] = Snapshot.FromString(value)

    def add_events(self, root: bytes, events: Sequence[tuple[int, bytes | None]]) -> None:
        """The next events of a root, by sequence, as they are stored; None for one that was erased."""
        self.events += len(events)
        if root in self._failed:
            return
        state, sequence = self._folded.get(root) or (self._states.new(), -1)
        first, values, snapshot = sequence + 1, list[bytes](), self._snapshots.get(root)
        for expected, (number, value) in enumerate(events, first):
            if number != expected or value is None:
                self._fail(root, f"event {expected} is not on the log")
                return
            values.append(value)
        until = 0 if snapshot is None else max(0, min(snapshot.sequence - sequence, len(values)))
        try:
            self._states.fold(state, values[:until], root, first)
            if snapshot is not None and until and sequence + until == snapshot.sequence:
                self._compare(root, state, snapshot)
            self._states.fold(state, values[until:], root, first + until)
        except Exception as error:  # whatever an author's code raises
            self._fail(root, f"{type(error).__name__}: {error}")
            return
        self._folded[root] = state, sequence + len(values)

    def finish(self) -> None:
        """All events are given: what do snapshots know that the log does not?"""
        for root, snapshot in self._snapshots.items():
            _, sequence = self._folded.get(root) or (None, -1)
            if root not in self._failed and sequence < snapshot.sequence:
                self._fail(root, f"the snapshot is of event {snapshot.sequence}; the log ends with event {sequence}")

    def _compare(self, root: bytes, state: State, snapshot: Snapshot) -> None:
        in_use = snapshot.fingerprint == self._states.fingerprint
        self.compared += 1
        self.outdated += not in_use
        try:
            fields = _names(merge.changed(self._states.parse(snapshot.state), state))
        except DecodeError:  # of a type that is another one altogether
            fields = (self._states.type_name,)
        if fields:
            self.differences.append(Difference(root.decode(errors="replace"), snapshot.sequence, fields, in_use))

    def _fail(self, root: bytes, reason: str) -> None:
        self._failed.add(root)
        self._folded.pop(root, None)
        self.unreadable.append(Unreadable(root.decode(errors="replace"), reason))


def _names(paths: Iterable[merge.Path]) -> tuple[str, ...]:
    return tuple(sorted(".".join(map(str, path)) for path in paths))
