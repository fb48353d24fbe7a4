"""Records of one root that wait behind another: dead, or in want of something. They follow in order."""

from headrace.schemas.headers import ATTEMPTS
from headrace.schemas.headrace_v1_pb2 import DeadLetter
from headrace.schemas.record import Record
from headrace.streams.steps import replies as answers
from headrace.streams.steps.context import PARK_PREFIX
from headrace.streams.steps.store import Staged, Store


class Waits(Exception):
    """Why a record is kept."""


class Parking:
    """Queues by root, in the store and its changelog; a batch sees what it parked itself."""

    def __init__(self, store: Store, component: str) -> None:
        self._store, self._component = store, component
        self._next: dict[bytes, int] | None = None
        """The next number in each root's queue; what came first has the lowest."""

    def holds(self, root: bytes) -> bool:
        """Whether records of the root wait."""
        return root in self._numbers()

    def put(self, staged: Staged, record: Record, root: bytes) -> None:
        """Keep a record until those before it are done, or it itself can go on."""
        letter = answers.dead_letter(record, Waits("waits for its turn"), self._component, "")
        number = self._numbers().get(root, 0)
        staged.entries[PARK_PREFIX + root + b"\0%020d" % number] = letter
        self._numbers()[root] = number + 1

    def tried(self, staged: Staged, record: Record, root: bytes) -> None:
        """The first in a root's queue is tried once more, for `record`, which says how often it was before."""
        key, parked = self.queue(staged, root)[0]
        again = parked._replace(headers={**parked.headers, ATTEMPTS: b"%d" % answers.attempts(record)})
        staged.entries[key] = answers.dead_letter(again, Waits("is tried again"), self._component, "")

    def queue(self, staged: Staged, root: bytes) -> list[tuple[bytes, Record]]:
        """What waits for the root, oldest first, with the keys of the entries."""
        prefix = PARK_PREFIX + root + b"\0"
        found: dict[bytes, bytes | None] = dict(self._store.entries(prefix))
        found.update({key: value for key, value in staged.entries.items() if key.startswith(prefix)})
        letters = sorted((key, value) for key, value in found.items() if value is not None)
        return [(key, answers.letter_record(DeadLetter.FromString(value))) for key, value in letters]

    def emptied(self, root: bytes) -> None:
        """Nothing waits for the root any more."""
        self._numbers().pop(root, None)

    def forget(self) -> None:
        """The batch does not stand: look anew."""
        self._next = None

    def _numbers(self) -> dict[bytes, int]:
        if self._next is None:
            self._next = {}
            for key, _ in self._store.entries(PARK_PREFIX):
                root, _, number = key[len(PARK_PREFIX) :].rpartition(b"\0")
                self._next[root] = int(number) + 1
        return self._next
