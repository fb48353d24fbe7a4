"""Records of one root that wait, in order, behind a record that is dead or that waits for states."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from headrace.schemas.changelog import QUEUE, queue_key, queue_place
from headrace.schemas.headers import ATTEMPTS, DISCARD, REPLAY_OF
from headrace.schemas.headrace_v1_pb2 import DeadLetter
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.dead_letters import DeadLetters, attempts, dead_letter, reference, to_record

Handle = Callable[[Record, bytes], bool]
"""Handles a record of a root; False if it is dead, or has to wait."""


class Waits(Exception):
    """Why a record is in a queue."""


class _Ends(NamedTuple):
    """The numbers of a queue's records, which have no gap: the oldest, and the next one to be given."""

    first: int
    next: int


class OrderedQueue:
    """Queues by root, in the store and its changelog; a batch sees what it added itself.

    The ends of all queues are in memory: what a record costs does not depend on how many wait, or waited before.
    """

    def __init__(self, batch: Batch, component: str) -> None:
        self._batch, self._component = batch, component
        self._queues: dict[bytes, _Ends] | None = None
        """Read once: at the first look."""
        self._before: dict[bytes, _Ends | None] = {}
        """What the batch in work has changed in `_queues`, as it was before."""

    def holds(self, root: bytes) -> bool:
        """Whether records of the root wait."""
        return root in self._all()

    def add(self, record: Record, root: bytes) -> None:
        """Keep a record until those before it are done, or until it can itself be handled."""
        first, number = self._all().get(root, _Ends(0, 0))
        value = dead_letter(record, Waits("waits for its turn"), self._component, attempts(record))
        self._batch.set_entry(queue_key(root, number), value)
        self._batch.count("parked")
        self._change(root, _Ends(first, number + 1))

    def take(self, record: Record, root: bytes, handle: Handle) -> bool:
        """Give a record to `handle`; it waits if that returns False, or behind others of its root: then False."""
        handled = not self.holds(root) and handle(record, root)
        if not handled:
            self.add(record, root)
        return handled

    def settle(self, record: Record, root: bytes, handle: Handle, dead_letters: DeadLetters) -> None:
        """Replay or discard the dead record that is first in its root's queue; others cannot be settled yet."""
        dead_letter_id, discarded = record.headers[REPLAY_OF].decode(), DISCARD in record.headers
        place = self.place(root, dead_letter_id)
        if place == 0:
            dead_letters.settle(record, "discarded" if discarded else "replayed")
            self.tried(record, root)
            self.drain(root, handle, skip_first=discarded)
        elif discarded and place is None:
            dead_letters.settle(record, "discarded")

    def place(self, root: bytes, dead_letter_id: str) -> int | None:
        """How many records of the root wait before the one with this dead-letter id; None if it does not wait."""
        for place, (_, record) in enumerate(self._records(root)):
            if str(reference(record)) == dead_letter_id:
                return place
        return None

    def tried(self, record: Record, root: bytes) -> None:
        """Count another attempt at the first record in a root's queue; its replay, `record`, has the number so far."""
        key, first = next(self._records(root))
        again = first._replace(headers={**first.headers, ATTEMPTS: b"%d" % attempts(record)})
        self._batch.set_entry(key, dead_letter(again, Waits("is tried again"), self._component, attempts(record)))

    def drain(self, root: bytes, handle: Handle, *, skip_first: bool = False) -> None:
        """Give the waiting records of a root to `handle`, in order, until it returns False: that one keeps waiting."""
        if (ends := self._all().get(root)) is None:
            return
        first = ends.first
        for key, record in self._records(root):
            if not (skip_first and first == ends.first) and not handle(record, root):
                break
            self._batch.set_entry(key, None)
            first += 1
        self._change(root, None if first == ends.next else _Ends(first, ends.next))

    def committed(self) -> None:
        """The batch is committed."""
        self._before.clear()

    def rolled_back(self) -> None:
        """The batch is not committed."""
        for root, ends in self._before.items():
            self._set(root, ends)
        self._before.clear()

    def _records(self, root: bytes) -> Iterator[tuple[bytes, Record]]:
        """The waiting records of a root, oldest first, with the keys of their entries."""
        for number in range(*self._all().get(root, _Ends(0, 0))):
            key = queue_key(root, number)
            value = self._batch.entry(key)
            assert value is not None, f"{root!r} has no record {number} in its queue"
            yield key, to_record(DeadLetter.FromString(value))

    def _change(self, root: bytes, ends: _Ends | None) -> None:
        before = self._all().get(root)
        self._before.setdefault(root, before)
        self._batch.undo.append((self._set, root, before))
        self._set(root, ends)

    def _set(self, root: bytes, ends: _Ends | None) -> None:
        if ends is None:
            self._all().pop(root, None)
        else:
            self._all()[root] = ends

    def _all(self) -> dict[bytes, _Ends]:
        if self._queues is None:
            self._queues = {}
            for key, _ in self._batch.entries(QUEUE):
                root, number = queue_place(key)
                self._queues[root] = _Ends(self._queues.get(root, _Ends(number, 0)).first, number + 1)
        return self._queues
