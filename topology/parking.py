"""Records of one root that wait behind another: dead, or in want of something. They follow in order."""

from headrace.schemas.headrace_v1_pb2 import DeadLetter
from headrace.schemas.record import Record
from headrace.topology import answers
from headrace.topology.place import PARK_PREFIX
from headrace.topology.store import Staged, Store


class Waits(Exception):
    """Why a record is kept."""


class Parking:
    """Queues by root, in the store and its changelog; a batch sees what it parked itself."""

    def __init__(self, store: Store, component: str) -> None:
        self._store, self._component = store, component
        self._roots: set[bytes] | None = None

    def holds(self, root: bytes) -> bool:
        """Whether records of the root wait."""
        if self._roots is None:
            keys = (key for key, _ in self._store.entries(PARK_PREFIX))
            self._roots = {key[len(PARK_PREFIX) :].rpartition(b"\0")[0] for key in keys}
        return root in self._roots

    def put(self, staged: Staged, record: Record, root: bytes) -> None:
        """Keep a record until those before it are done, or it itself can go on."""
        letter = answers.dead_letter(record, Waits("waits for its turn"), self._component, "")
        staged.entries[PARK_PREFIX + root + b"\0%020d" % record.offset] = letter
        if not self.holds(root):
            assert self._roots is not None
            self._roots.add(root)

    def queue(self, staged: Staged, root: bytes) -> list[tuple[bytes, Record]]:
        """What waits for the root, oldest first, with the keys of the entries."""
        prefix = PARK_PREFIX + root + b"\0"
        found: dict[bytes, bytes | None] = dict(self._store.entries(prefix))
        found.update({key: value for key, value in staged.entries.items() if key.startswith(prefix)})
        letters = sorted((key, value) for key, value in found.items() if value is not None)
        return [(key, answers.letter_record(DeadLetter.FromString(value))) for key, value in letters]

    def emptied(self, root: bytes) -> None:
        """Nothing waits for the root any more."""
        if self._roots is not None:
            self._roots.discard(root)

    def forget(self) -> None:
        """The batch does not stand: look anew."""
        self._roots = None
