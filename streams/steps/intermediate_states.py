"""States in the middle of long histories, kept because events never change: the next read begins there."""

from collections import OrderedDict

EVERY = 1000
"""Events between two states, as long as there are few of them."""
MOST = 200
"""The most states of one root."""
BYTES = 32 * 1024 * 1024
"""The most bytes of all states of a partition."""


class _States:
    """The states of one root, serialised, by sequence."""

    def __init__(self) -> None:
        self.by_sequence: dict[int, bytes] = {}
        self.spacing = EVERY
        self.size = 0

    def add(self, sequence: int, state: bytes) -> None:
        self.size += len(state) - len(self.by_sequence.get(sequence, b""))
        self.by_sequence[sequence] = state
        if len(self.by_sequence) <= MOST:
            return
        while len(kept := self._on_grid()) >= MOST:
            self.spacing *= 2
        self.by_sequence = {**kept, sequence: state}
        self.size = sum(map(len, self.by_sequence.values()))

    def _on_grid(self) -> dict[int, bytes]:
        return {at: state for at, state in self.by_sequence.items() if (at + 1) % self.spacing == 0}


class IntermediateStates:
    """Serialised states of the roots that were read last. The one that was added last is always kept."""

    def __init__(self) -> None:
        self._roots: OrderedDict[bytes, _States] = OrderedDict()

    def before(self, root: bytes, sequence: int) -> tuple[int, bytes] | None:
        """The state that is nearest to a sequence and not after it, with its own; None if there is none."""
        if (states := self._roots.get(root)) is None:
            return None
        self._roots.move_to_end(root)
        at = max((at for at in states.by_sequence if at <= sequence), default=-1)
        return None if at < 0 else (at, states.by_sequence[at])

    def add(self, root: bytes, sequence: int, state: bytes) -> None:
        """Keep a state."""
        self._roots.setdefault(root, _States()).add(sequence, state)
        self._roots.move_to_end(root)
        while len(self._roots) > 1 and sum(states.size for states in self._roots.values()) > BYTES:
            self._roots.popitem(last=False)
        states = self._roots[root]
        if states.size > BYTES:
            states.by_sequence, states.size = {sequence: state}, len(state)
