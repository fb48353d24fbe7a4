"""Records of one root that wait, in order, behind a record that is dead or that waits for states."""

from collections.abc import Callable

from headrace.schemas.changelog import QUEUE, queue_key, queue_place, queue_prefix
from headrace.schemas.headers import ATTEMPTS
from headrace.schemas.headrace_v1_pb2 import DeadLetter
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.dead_letters import attempts, dead_letter, reference, to_record


class Waits(Exception):
    """Why a record is in a queue."""


class OrderedQueue:
    """Queues by root, in the store and its changelog; a batch sees what it added itself."""

    def __init__(self, batch: Batch, component: str) -> None:
        self._batch, self._component = batch, component
        self._next: dict[bytes, int] | None = None
        """The next number in each root's queue; the oldest record has the lowest number."""

    def holds(self, root: bytes) -> bool:
        """Whether records of the root wait."""
        return root in self._numbers()

    def add(self, record: Record, root: bytes) -> None:
        """Keep a record until those before it are done, or until it can itself be handled."""
        number = self._numbers().get(root, 0)
        self._batch.undo.append((self.forget,))
        self._batch.set_entry(
            queue_key(root, number), dead_letter(record, Waits("waits for its turn"), self._component, attempts(record))
        )
        self._batch.count("parked")
        self._numbers()[root] = number + 1

    def records(self, root: bytes) -> list[tuple[bytes, Record]]:
        """The waiting records of a root, oldest first, with the keys of their entries."""
        found = self._batch.entries(queue_prefix(root))
        return [(key, to_record(DeadLetter.FromString(value))) for key, value in found]

    def dead_letter_ids(self, root: bytes) -> list[str]:
        """Dead-letter ids of the waiting records of a root, oldest first."""
        return [str(reference(record)) for _, record in self.records(root)]

    def tried(self, record: Record, root: bytes) -> None:
        """Count another attempt at the first record in a root's queue; its replay, `record`, has the number so far."""
        key, first = self.records(root)[0]
        again = first._replace(headers={**first.headers, ATTEMPTS: b"%d" % attempts(record)})
        self._batch.set_entry(key, dead_letter(again, Waits("is tried again"), self._component, attempts(record)))

    def drain(self, root: bytes, handle: Callable[[Record, bytes], bool], *, skip_first: bool = False) -> None:
        """Give the waiting records of a root to `handle`, in order, until it returns False: that one keeps waiting."""
        for number, (key, record) in enumerate(self.records(root)):
            if not (number == 0 and skip_first) and not handle(record, root):
                return
            self._batch.set_entry(key, None)
        self._batch.undo.append((self.forget,))
        self._numbers().pop(root, None)

    def forget(self) -> None:
        """Read the queues again: the batch, or a record of it, was rolled back."""
        self._next = None

    def _numbers(self) -> dict[bytes, int]:
        if self._next is None:
            self._next = {}
            for key, _ in self._batch.entries(QUEUE):
                root, number = queue_place(key)
                self._next[root] = number + 1
        return self._next
