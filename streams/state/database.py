"""RocksDB as the stores use it: errors that name the store, and none that look like an end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rocksdict import AccessType, BlockBasedOptions, Cache, Options, Rdict, ReadOptions

from headrace.streams.steps.store import StoreFailed

_AROUND = ("lock file", "lock hold", "No space left", "Permission denied", "Read-only", "Too many open files", "quota")
"""Words in errors whose cause is not in a store's files, so that rebuilding it would not help."""
_CACHE = Cache(64 * 1024 * 1024)  # one for all stores of the process


def items(db: Any, start: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values from a key on.

    rocksdict's iterator ends at a block that cannot be read just as it does behind the last key, without an error. So
    the status is asked for at the end.
    """
    last = start
    with naming(db.path()):
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
def naming(folder: Path | str) -> Iterator[None]:
    """Turns any error into a StoreFailed that names this store."""
    try:
        yield
    except Exception as error:
        raise failed(str(folder), error) from error


def open_database(folder: Path) -> Rdict:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(16 * 1024 * 1024)
    options.set_keep_log_file_num(2)
    options.set_max_total_wal_size(64 * 1024 * 1024)
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)
    table.set_block_cache(_CACHE)
    options.set_block_based_table_factory(table)
    with naming(folder):
        return Rdict(str(folder), options, access_type=AccessType.read_write())


def scanning() -> ReadOptions:
    """Options to read a long range once: it does not displace what is in the cache, and is read ahead.

    Without them 100,000 events take a quarter longer.
    """
    options = ReadOptions()
    options.fill_cache(False)  # type: ignore[call-arg]  # its stub leaves the argument out
    options.set_readahead_size(1024 * 1024)
    return options


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
