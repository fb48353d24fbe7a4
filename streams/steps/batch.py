"""What the records of one transaction have led to so far, with a savepoint before each record."""

from collections import Counter
from operator import delitem, setitem
from typing import Any, NamedTuple

from headrace.schemas.headers import Headers
from headrace.streams.steps.store import Staged, Store

Output = tuple[str, bytes | None, bytes | str | None, int, Headers | None]
"""A record to produce: topic, value, key, partition, headers."""


class Written(NamedTuple):
    """The counts of a batch: records by outcome, and events."""

    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    repeated: int = 0
    forwarded: int = 0
    queries: int = 0
    compensations: int = 0
    sends: int = 0
    parked: int = 0
    timeouts: int = 0
    ignored: int = 0
    discarded: int = 0
    events: int = 0


Savepoint = tuple[int, int, int, int, int]
"""The sizes of a batch at one moment: outputs, history, counts, escalations, and what can be undone."""


class Batch:
    """Outputs, writes for the store, and counts of one batch in one partition of one component.

    Code that changes something else for a record, such as a cached state, adds to `undo` how to undo that.
    """

    __slots__ = (
        "_counted",
        "_store",
        "enforce_state_size",
        "latest",
        "outputs",
        "recorded",
        "recorded_text",
        "staged",
        "undo",
    )

    def __init__(self, store: Store) -> None:
        self._store = store
        self.latest = store.recorded
        """Recorded time of the last batch that was committed, in milliseconds."""
        self.outputs: list[Output] = []
        """Records to produce; the runtime takes and empties them between two records."""
        self.enforce_state_size = False
        """Whether to check a state's size after each record, instead of once per batch."""
        self.clear()

    def clear(self) -> None:
        """Begin the next batch."""
        self.outputs.clear()
        self.staged = Staged()
        self.record_at(0)
        self._counted: list[str] = []
        self.undo: list[tuple[Any, ...]] = []
        """Functions with their arguments, to be called in reverse order when records are rolled back."""

    def record_at(self, now: int) -> None:
        """Record the batch's events at this time in milliseconds, or 1 ms after the last batch if that is later."""
        self.recorded = max(now, self.latest + 1)
        self.recorded_text = b"%d" % self.recorded

    # ---- everything of a record, or nothing

    def savepoint(self) -> Savepoint:
        """A savepoint, for `rollback`. Savepoints may be nested."""
        staged = self.staged
        return len(self.outputs), len(staged.history), len(self._counted), len(staged.escalations), len(self.undo)

    def rollback(self, to: Savepoint) -> None:
        """Undo everything that was staged since a savepoint, and nothing else."""
        outputs, history, counted, escalations, undo = to
        while len(self.undo) > undo:
            function, *arguments = self.undo.pop()
            function(*arguments)
        del self.outputs[outputs:]
        del self._counted[counted:]
        del self.staged.history[history:]
        del self.staged.escalations[escalations:]

    # ---- stage

    def count(self, outcome: str) -> None:
        """Count an outcome: one of the fields of `Written`, except events, which are counted by `written`."""
        self._counted.append(outcome)

    def set_result(self, key: bytes, value: bytes) -> None:
        """Keep the result of a command, by `result_key`."""
        table = self.staged.results
        self.undo.append((setitem, table, key, table[key]) if key in table else (delitem, table, key))
        table[key] = value

    def set_entry(self, key: bytes, value: bytes | None) -> None:
        """Keep an entry of one of the store's tables, by changelog key; None removes it."""
        table = self.staged.entries
        self.undo.append((setitem, table, key, table[key]) if key in table else (delitem, table, key))
        table[key] = value

    # ---- read, including what the batch has staged so far

    def result(self, key: bytes) -> bytes | None:
        """The result of a command; None if it was not handled, or too long ago."""
        return self.staged.results.get(key) or self._store.result(key)

    def entry(self, key: bytes) -> bytes | None:
        """One entry of the store's tables."""
        entries = self.staged.entries
        return entries[key] if key in entries else self._store.entry(key)

    def entries(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Entries whose key begins with `prefix`, in order of keys."""
        found: dict[bytes, bytes | None] = dict(self._store.entries(prefix))
        found.update({key: value for key, value in self.staged.entries.items() if key.startswith(prefix)})
        return sorted((key, value) for key, value in found.items() if value is not None)

    def written(self) -> Written:
        """The counts."""
        return Written(**Counter(self._counted), events=len(self.staged.history))
