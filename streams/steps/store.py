"""What a step needs from a store, and what it stages for a store."""

import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from headrace.schemas.headrace_v1_pb2 import Snapshot

LATEST = 1 << 62
"""After any sequence and any moment."""


class StoreFailed(Exception):
    """A store cannot be read or written: no record is the cause, so the whole batch is rolled back."""

    def __init__(self, text: str, folder: str, *, damaged: bool = False) -> None:
        super().__init__(text)
        self.folder, self.damaged = folder, damaged
        """Where the store is, and whether its files are damaged, so that it can be rebuilt from the log."""

    def release(self) -> None:
        """Let go of what the calls that failed had in hand: an iterator keeps the files open until it is gone."""
        for error in (self, self.__cause__):
            traceback.clear_frames(error.__traceback__ if error else None)


@dataclass(slots=True)
class Staged:
    """Writes of one batch in one partition of one edition; all of them are written, or none."""

    snapshots: dict[bytes, bytes] = field(default_factory=dict)
    """Snapshot messages by root."""
    results: dict[bytes, bytes] = field(default_factory=dict)
    """Results of commands, by `changelog.result_key`."""
    results_key: bytes = b""
    """Key in the changelog of the record that holds all of `results`."""
    documents: dict[bytes, bytes | None] = field(default_factory=dict)
    """Documents by id, as JSON; None removes one."""
    history: list[tuple[bytes, int, bytes]] = field(default_factory=list)
    """Root, sequence and stored event."""
    recorded: int = 0
    """Recorded time of the batch, in milliseconds."""
    entries: dict[bytes, bytes | None] = field(default_factory=dict)
    """Facts, queued records, states read and timers, by changelog key; None removes one."""
    large_states: list[tuple[bytes, int, int]] = field(default_factory=list)
    """Roots whose snapshots come near to the limit, with the bytes of both."""
    escalations: list[dict[str, str]] = field(default_factory=list)
    """What a person is to be told after the commit."""
    forgotten: list[bytes] = field(default_factory=list)
    """Changelog keys of results that have grown too old."""


class Head(NamedTuple):
    """Where a root stands in one edition."""

    first: int = -1
    """Sequence of the first event that the edition itself wrote; -1 if there is none. Those before are inherited."""
    last: int = -1
    """Sequence of the last event; -1 for a root without events."""
    snapshot: Snapshot | None = None
    """The newest snapshot that is not after `last`; None if there is none."""


NOTHING = Head()


class Store(Protocol):
    """One partition of one edition, as the step reads it."""

    @property
    def recorded(self) -> int:
        """Recorded time of the latest batch of the edition, in milliseconds; 0 if there was none."""

    def head(self, root: bytes) -> Head:
        """Where a root stands. It is known before the history is restored."""

    def last(self, root: bytes) -> int:
        """Sequence of the root's last event; -1 for a root without events."""

    def first(self, root: bytes) -> int:
        """Sequence of the first event of a root that the edition itself wrote; -1 if it wrote none."""

    def last_at(self, root: bytes, moment: int) -> int:
        """Sequence of the root's last event that was recorded at or before a moment in milliseconds; -1: there is none.

        Among events of one root, recorded times never decrease.
        """

    def snapshot(self, root: bytes, at: int = LATEST) -> bytes | None:
        """The root's newest Snapshot message, of all that are there, that is not after the sequence `at`; else None."""

    def result(self, key: bytes) -> bytes | None:
        """The result of a command, by `changelog.result_key`; None if it is not known."""

    def history(self, root: bytes, first: int, last: int) -> Iterable[bytes]:
        """The root's stored events from `first` to `last`, without a gap.

        Those since the newest snapshot are there before the history is restored.
        """

    def document(self, document_id: bytes) -> bytes | None:
        """A document, as JSON; None if there is none."""

    def entry(self, key: bytes) -> bytes | None:
        """One of the store's other entries, by changelog key."""

    def entries(self, prefix: bytes, start: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
        """Entries whose key begins with `prefix`, in order of keys; those before the key `start` are skipped."""

    def expired(self, now: int) -> list[bytes]:
        """Changelog keys of results older than the store remembers them; `now` in milliseconds."""
