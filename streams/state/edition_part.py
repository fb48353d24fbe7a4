"""An edition's part of the store that belongs to main's partition: it comes and goes without touching the rest.

Its notes (checkpoints, origin, time) begin with the edition's id as all its keys do, so that they go when it goes, and
an edition that is made again under a name that was used before shows nothing old.
"""

from headrace.streams.clock import now_ms
from headrace.streams.state.rocksdb import ORIGIN, TIME, EditionStore, PartitionStore, checkpoint_key


class EditionPart:
    """Offers what a `PartitionStore` does, for the keys of one edition only."""

    def __init__(self, store: PartitionStore, edition_id: str) -> None:
        self.whole, self._id = store, edition_id
        self._begin = edition_id.encode() + b"\0"
        self._notes = self._begin + b"n"
        self._edition = self.reader()

    def edition(self, _: str) -> EditionStore:
        """The edition, as its own step uses it."""
        return self._edition

    def reader(self) -> EditionStore:
        """The edition, for the lanes of its children."""
        return self.whole.reader(self._id, self._notes)

    def checkpoint(self, topic: str) -> int:
        """Offset of the next record that the part needs of a topic; 0 in a new one."""
        return int(self.whole.read(self._notes + checkpoint_key(topic)) or 0)

    @property
    def origin(self) -> bytes:
        """Layout, and ids of the cluster and topics that it was restored from; empty in a new one."""
        return self.whole.read(self._notes + ORIGIN)

    @origin.setter
    def origin(self, ids: bytes) -> None:
        self.whole.write(self._notes + ORIGIN, ids)

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever put into it."""
        checkpoints = self._notes + checkpoint_key("")
        return not self.whole.first_key(checkpoints).startswith(checkpoints)

    def away(self, now: int) -> int:
        """Milliseconds since it was last written to or closed."""
        return now - int(self.whole.read(self._notes + TIME) or 0)

    def wipe(self) -> None:
        """Delete all of this edition, and nothing else."""
        remove_edition(self.whole, self._id)
        self._edition = self.reader()

    def close(self) -> None:
        """Note the time; the files are main's, which closes them later."""
        self.whole.write(self._notes + TIME, b"%d" % now_ms())


def remove_edition(store: PartitionStore, edition_id: str) -> None:
    """Delete all keys of an edition."""
    store.remove_range(edition_id.encode() + b"\0", edition_id.encode() + b"\1")


def editions_in(store: PartitionStore) -> list[str]:
    """Ids, or for main the name, of all editions of which a store holds anything."""
    found: list[str] = []
    key = store.first_key(b"\1")  # behind the notes of main, which begin with NUL
    while key:
        edition = key.split(b"\0", 1)[0]
        found.append(edition.decode())
        key = store.first_key(edition + b"\1")
    return found
