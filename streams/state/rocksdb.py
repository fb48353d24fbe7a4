"""The store of one partition: RocksDB, written in one batch after each commit, never ahead of the log.

Keys begin with the edition, because all editions of a partition are on one worker:

    edition NUL s root                    Snapshot
    edition NUL h root NUL sequence       stored event (sequence: 8 bytes, big endian)
    edition NUL a root NUL command id     result of a command
    edition NUL d document id             document, as JSON
    edition NUL e changelog key           other entries: facts, queues, time-outs
    edition NUL b changelog key           keys of a batch of results, to delete them by age
    edition NUL r                         the latest recorded time of an event that was restored, in milliseconds
    NUL c topic                           checkpoint: offset of the next record that the store needs of it
    NUL i                                 layout, and ids of the cluster and the topics that it was restored from
    NUL t                                 when it was last written to or closed, in milliseconds
"""

import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import Any

import structlog
from rocksdict import AccessType, BlockBasedOptions, Cache, Options, Rdict, WriteBatch

from headrace.schemas import changelog
from headrace.schemas.headrace_v1_pb2 import CommandResults, Positions, Snapshot
from headrace.schemas.stored_event import recorded_of
from headrace.streams.clock import now_ms
from headrace.streams.steps.store import LATEST, NOTHING, Head, Staged, StoreFailed

log = structlog.get_logger()
_AROUND = ("lock file", "lock hold", "No space left", "Permission denied", "Read-only", "Too many open files", "quota")
"""Words in errors whose cause is not in a store's files, so that rebuilding it would not help."""
_SEQUENCE = Struct(">Q")
_CACHE = Cache(64 * 1024 * 1024)  # one for all stores of the process
_FOR_EVER = 1 << 62
ORIGIN, TIME = b"\0i", b"\0t"


LAYOUT = b"layout-2 "
"""Begins the origin of stores whose keys and values are as described above; another store is made anew."""


class PartitionStore:
    """RocksDB of one partition of one component. Two threads must not write the same edition at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _naming(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _open(folder)
        except StoreFailed as error:
            if not error.damaged:
                raise
            log.error("a store is damaged, and made anew from the log", folder=str(folder), error=str(error))
            shutil.rmtree(folder)
            self._db = _open(folder)
        self._editions: dict[str, EditionStore] = {}

    def edition(self, name: str) -> "EditionStore":
        """The part of the store that holds one edition."""
        if name not in self._editions:
            self._editions[name] = EditionStore(self._db, name)
        return self._editions[name]

    def reader(self, edition: str, notes: bytes = b"") -> "EditionStore":
        """One edition for another thread than the one that uses `edition`; `notes` as in `EditionStore`."""
        return EditionStore(self._db, edition, notes)

    def checkpoint(self, topic: str) -> int:
        """Offset of the next record that the store needs of a topic; 0 in a new store."""
        return int(self._get(checkpoint_key(topic)) or 0)

    @property
    def origin(self) -> bytes:
        """Layout, and ids of the cluster and topics that it was restored from; empty in a new store."""
        return self._get(ORIGIN)

    @origin.setter
    def origin(self, ids: bytes) -> None:
        with _naming(self.folder):
            self._db.put(ORIGIN, ids)

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever put into it."""
        first, _ = next(_items(self._db, b"\0c"), (b"", b""))
        return not first.startswith(b"\0c")

    def away(self, now: int) -> int:
        """Milliseconds since it was last written to or closed."""
        return now - int(self._get(TIME) or 0)

    def flush(self) -> None:
        """Write what is only in memory to files."""
        with _naming(self.folder):
            self._db.flush()

    def close(self) -> None:
        """Close the files. What was put stays; what a damaged store or a full disk loses is restored later."""
        with suppress(Exception):
            self._db.put(TIME, b"%d" % now_ms())
        try:
            self._db.close()
        except Exception as error:
            log.warning("a store was not closed in order", folder=str(self.folder), error=str(error))

    def wipe(self) -> None:
        """Delete everything."""
        with suppress(Exception):  # of a store that is damaged
            self._db.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._db = _open(self.folder)
        for edition in self._editions.values():
            edition.attach(self._db)

    def _get(self, key: bytes) -> bytes:
        with _naming(self.folder):
            return self._db.get(key) or b""

    # ---- for parts that have notes of their own

    def read(self, key: bytes) -> bytes:
        """The value of a key; empty if there is none."""
        return self._get(key)

    def write(self, key: bytes, value: bytes) -> None:
        """Put a value."""
        with _naming(self.folder):
            self._db.put(key, value)

    def first_key(self, start: bytes) -> bytes:
        """The first key that is not before `start`; empty if there is none."""
        return next(_items(self._db, start), (b"", b""))[0]

    def remove_range(self, begin: bytes, end: bytes) -> None:
        """Delete the keys from `begin` up to, and without, `end`; that takes no time, however many they are."""
        with _naming(self.folder):
            batch = WriteBatch(raw_mode=True)
            batch.delete_range(begin, end)
            self._db.write(batch)


class EditionStore:
    """One edition in one partition: the reads of a step (`headrace.streams.steps.store.Store`), and all writes."""

    def __init__(self, db: Any, edition: str, notes: bytes = b"") -> None:
        """`notes` begins the keys of checkpoints and times, where these are the edition's own."""
        self.attach(db)
        self._notes = notes
        prefix = edition.encode() + b"\0"
        self._snapshots, self._events = prefix + b"s", prefix + b"h"
        self._results, self._batches = prefix + b"a", prefix + b"b"
        self._entries, self._documents = prefix + b"e", prefix + b"d"
        self._recorded = prefix + b"r"
        self.keep_results = _FOR_EVER
        """Milliseconds for which results of commands are remembered."""
        self._oldest: int | None = None
        """When the oldest batch of results was written, in milliseconds; None if it has to be read."""
        self._head = b""
        """No batch of results is before this key; there may be tombstones of deleted ones, which are slow to skip."""
        self.complete_history: Callable[[], None] = lambda: None
        """Called before history is read; returns once the history has all events of the log."""

    def attach(self, db: Any) -> None:
        """Use this database from now on."""
        self._db = db
        self._get = db.get

    # ---- read, by the step

    @property
    def recorded(self) -> int:
        positions = Positions.FromString(self.entry(changelog.POSITIONS) or b"")
        return max(positions.recorded, self.history_recorded)

    @property
    def history_recorded(self) -> int:
        """The latest recorded time of an event that was restored from the log; 0 if there is none."""
        return int(self._read(self._recorded) or 0)

    def head(self, root: bytes) -> Head:
        if (stored := self._read(self._snapshots + root)) is None:
            return NOTHING
        snapshot = Snapshot.FromString(stored)
        return Head(snapshot.first, snapshot.sequence, snapshot)

    def last(self, root: bytes) -> int:
        return self.head(root).last

    def first(self, root: bytes) -> int:
        return self.head(root).first

    def last_at(self, root: bytes, moment: int) -> int:
        first, last, snapshot = self.head(root)
        if snapshot is None or (snapshot.sequence == last and 0 < snapshot.recorded <= moment):
            return last
        self.complete_history()
        found = bisect_right(range(first, last + 1), moment, key=partial(self._recorded_of, root))
        return first + found - 1 if found else -1

    def _recorded_of(self, root: bytes, sequence: int) -> int:
        if (value := self._read(self._history_key(root, sequence))) is None:
            raise LookupError(f"event {sequence} of {root.decode()} is not in the log")
        return recorded_of(value)

    def snapshot(self, root: bytes, at: int = LATEST) -> bytes | None:
        stored = self._read(self._snapshots + root)
        if stored is None or at == LATEST:
            return stored
        return stored if Snapshot.FromString(stored).sequence <= at else None

    def result(self, key: bytes) -> bytes | None:
        try:  # the same as `_read`, without the call, because this runs for each command
            value: bytes | None = self._get(self._results + key)
        except Exception as error:
            raise failed(self._db.path(), error) from error
        return value

    def history(self, root: bytes, first: int, last: int) -> Iterable[bytes]:
        if last < first:
            return ()
        self.complete_history()
        start, end = self._history_key(root, first), self._history_key(root, last)
        if self._read(start) is None or self._read(end) is None:
            raise LookupError(f"events {first} to {last} of {root.decode()} are not all in the log")
        # sequences have no gaps: if the first and last are there, so are all between them, and nothing else
        return self._values(start, last - first + 1)

    def _values(self, start: bytes, count: int) -> Iterator[bytes]:
        found = 0
        with _naming(self._db.path()):
            for value in islice(self._db.values(from_key=start), count):
                found += 1
                yield value
            if found < count:  # an iterator ends at a block that cannot be read
                raise LookupError(f"{found} of {count} events can be read")

    @property
    def has_history(self) -> bool:
        """Whether it holds any event."""
        return next(iter(self._scan(self._events)), None) is not None

    def document(self, document_id: bytes) -> bytes | None:
        return self._read(self._documents + document_id)

    def entry(self, key: bytes) -> bytes | None:
        return self._read(self._entries + key)

    def _read(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._get(key)
        except Exception as error:
            raise failed(self._db.path(), error) from error
        return value

    def entries(self, prefix: bytes, start: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
        return self._scan(self._entries, prefix, start)

    def expired(self, now: int) -> list[bytes]:
        limit = now - self.keep_results
        if self._oldest is None:
            oldest = self._scan(self._batches, start=self._head)
            self._oldest = next((changelog.results_time(key) for key, _ in oldest), now)
        if self._oldest >= limit:
            return []
        self._oldest = None
        some = islice(self._scan(self._batches, start=self._head), 100)
        return [key for key, _ in some if changelog.results_time(key) < limit]

    def snapshots(self) -> Iterator[tuple[bytes, bytes]]:
        """Every root's Snapshot message, in order of roots."""
        return self._scan(self._snapshots)

    # ---- write

    def put(self, staged: Staged, checkpoints: dict[str, int]) -> None:
        """Put what a committed batch has staged, with the checkpoints that the store then has."""
        batch = WriteBatch(raw_mode=True)
        put = batch.put
        snapshots, events, results, pack = self._snapshots, self._events, self._results, _SEQUENCE.pack
        for root, snapshot in staged.snapshots.items():
            put(snapshots + root, snapshot)
        for root, sequence, value in staged.history:
            put(events + root + b"\0" + pack(sequence), value)
        for key, value in staged.results.items():
            put(results + key, value)
        if staged.results:
            kept = CommandResults(keys=staged.results.keys())
            put(self._batches + staged.results_key, kept.SerializeToString())
        for key, entry in staged.entries.items():
            _set(batch, self._entries + key, entry)
        for document_id, document in staged.documents.items():
            _set(batch, self._documents + document_id, document)
        for key in staged.forgotten:
            self._forget(batch, key)
        self._finish(batch, checkpoints)
        if staged.forgotten:
            self._head = staged.forgotten[-1]

    def restore_changelog(
        self, records: Iterable[tuple[bytes | None, bytes | None]], checkpoints: dict[str, int]
    ) -> None:
        """Put records of the snapshots topic, in their order."""
        batch = WriteBatch(raw_mode=True)
        put, snapshots, results = batch.put, self._snapshots, self._results
        for key, value in records:
            if key is None:
                continue  # not written by the engine, whose records all have keys
            if key[:1] != b"\0":
                _set(batch, snapshots + key, value)
            elif not key.startswith(changelog.RESULTS):
                _set(batch, self._entries + key, value)
            elif value is None:
                self._forget(batch, key)
            else:
                kept = CommandResults.FromString(value)
                for result_key, result in zip(kept.keys, kept.values, strict=True):
                    put(results + result_key, result)
                del kept.values[:]
                put(self._batches + key, kept.SerializeToString())
        self._oldest, self._head = None, b""
        self._finish(batch, checkpoints)

    def restore_history(
        self, records: Iterable[tuple[bytes, int, bytes | None]], recorded: int, checkpoints: dict[str, int]
    ) -> None:
        """Put records of the events topic, in their order: root, sequence and stored event (None: erased).

        `recorded` is the latest recorded time of all events so far.
        """
        batch = WriteBatch(raw_mode=True)
        batch.put(self._recorded, b"%d" % recorded)
        for root, sequence, value in records:
            _set(batch, self._history_key(root, sequence), value)
        self._finish(batch, checkpoints)

    def restore_documents(
        self, records: Iterable[tuple[bytes | None, bytes | None]], checkpoints: dict[str, int]
    ) -> None:
        """Put records of the documents topic, in their order."""
        batch = WriteBatch(raw_mode=True)
        for document_id, document in records:
            _set(batch, self._documents + (document_id or b""), document)
        self._finish(batch, checkpoints)

    def _finish(self, batch: WriteBatch, checkpoints: dict[str, int]) -> None:
        for topic, offset in checkpoints.items():
            batch.put(self._notes + checkpoint_key(topic), b"%d" % offset)
        batch.put(self._notes + TIME, b"%d" % now_ms())
        try:
            self._db.write(batch)
        except Exception as error:
            raise failed(self._db.path(), error) from error

    def _forget(self, batch: WriteBatch, key: bytes) -> None:
        value = self._read(self._batches + key)
        if value is not None:
            for result_key in CommandResults.FromString(value).keys:
                batch.delete(self._results + result_key)
            batch.delete(self._batches + key)

    def _scan(self, table: bytes, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for key, value in _items(self._db, table + (start or prefix)):
            if not key.startswith(table + prefix):
                return
            yield key[len(table) :], value

    def _history_key(self, root: bytes, sequence: int) -> bytes:
        return self._events + root + b"\0" + _SEQUENCE.pack(sequence)


def _set(batch: WriteBatch, key: bytes, value: bytes | None) -> None:
    """Put a value; None deletes the key."""
    if value is None:
        batch.delete(key)
    else:
        batch.put(key, value)


def checkpoint_key(topic: str) -> bytes:
    """Where the checkpoint of a topic is kept."""
    return b"\0c" + topic.encode()


def _items(db: Any, start: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values from a key on.

    rocksdict's iterator ends at a block that cannot be read just as it does behind the last key, without an error. So
    the status is asked for at the end.
    """
    last = start
    with _naming(db.path()):
        for item in db.items(from_key=start):
            last = item[0]
            yield item
    if why := _failure_behind(db, last):
        raise failed(db.path(), why)


def _failure_behind(db: Any, key: bytes) -> str:
    """Why nothing can be read behind a key; empty if nothing is there."""
    rest = db.iter()
    try:
        rest.seek(key)
        while rest.valid():
            rest.next()
        rest.status()
    except Exception as error:
        return str(error)  # the error itself would keep the iterator, and that the files open
    return ""


@contextmanager
def _naming(folder: Path | str) -> Iterator[None]:
    """Turns any error into a StoreFailed that names this store."""
    try:
        yield
    except Exception as error:
        raise failed(str(folder), error) from error


def _open(folder: Path) -> Rdict:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(16 * 1024 * 1024)
    options.set_keep_log_file_num(2)
    options.set_max_total_wal_size(64 * 1024 * 1024)
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)
    table.set_block_cache(_CACHE)
    options.set_block_based_table_factory(table)
    with _naming(folder):
        return Rdict(str(folder), options, access_type=AccessType.read_write())


def failed(folder: str, error: Exception | str) -> StoreFailed:
    """What went wrong with a store: its files are damaged, or something around it is."""
    text = str(error)
    if any(word in text for word in _AROUND):
        return StoreFailed(
            f"the store {folder} cannot be used: {text}. Give it room and rights, and each worker a HEADRACE_STATE_DIR "
            "of its own; what is in the folder may be deleted, it is restored from the changelog",
            folder,
        )
    return StoreFailed(f"the store {folder} is damaged: {text}", folder, damaged=True)
