"""Files of a store that are damaged are recognised as that, and made anew; a store in use, or a full disk, is not."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.streams.state.rocksdb import PartitionStore
from headrace.streams.steps.store import Staged, StoreFailed
from tests.support.damage import damage


def state(number: int) -> bytes:
    """Bytes that cannot be compressed."""
    return random.Random(number).randbytes(300)


def filled(folder: Path) -> PartitionStore:
    """A store with files on disk."""
    store = PartitionStore(folder)
    snapshots = {b"root-%06d" % number: state(number) for number in range(3000)}
    store.edition("main").put(Staged(snapshots=snapshots), {"topic": 7})
    store.flush()
    return store


@pytest.mark.parametrize("file", ["CURRENT", "MANIFEST-*"])
def test_a_store_that_cannot_be_opened_is_made_anew(file: str, tmp_path: Path) -> None:
    folder = tmp_path / "0"
    filled(folder).close()
    assert damage(folder, file) > 0
    store = PartitionStore(folder)
    assert store.is_new
    assert store.checkpoint("topic") == 0
    store.close()


def test_a_missing_manifest_too(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    filled(folder).close()
    for path in folder.glob("MANIFEST-*"):
        path.unlink()
    store = PartitionStore(folder)
    assert store.is_new
    store.close()


def test_blocks_that_are_damaged_are_no_answer(tmp_path: Path) -> None:
    """Neither is there no such root, nor is that the fault of whoever asks."""
    folder = tmp_path / "0"
    filled(folder).close()
    for path in folder.glob("*.sst"):
        data = bytearray(path.read_bytes())
        for at in range(len(data) // 20, len(data) // 5, 500):  # blocks; what says where they are stands at the end
            data[at] ^= 0xFF
        path.write_bytes(data)
    store = PartitionStore(folder)

    def read() -> None:
        for number in range(3000):
            assert store.edition("main").snapshot(b"root-%06d" % number) == state(number)

    with pytest.raises(StoreFailed) as failure:
        read()
    assert failure.value.damaged
    assert failure.value.folder == str(folder)
    store.wipe()
    assert store.is_new
    store.close()


READS: dict[str, Callable[[PartitionStore], object]] = {
    "its own notes": lambda store: store.checkpoint("topic"),
    "whether it is new": lambda store: store.is_new,
    "of which topics it is": lambda store: store.origin,
    "a state": lambda store: store.edition("main").snapshot(b"root-000001"),
    "all states": lambda store: list(store.edition("main").snapshots()),
    "a queue": lambda store: list(store.edition("main").entries(b"\0park|")),
    "events": lambda store: list(store.edition("main").history(b"r", 0, 2999)),
}


@pytest.mark.parametrize("what", READS)
def test_nothing_is_left_out_where_blocks_are_damaged(what: str, tmp_path: Path) -> None:
    """An iterator of RocksDB ends there as if nothing came behind."""
    store = PartitionStore(tmp_path / "0")
    store.origin = b"ids"
    staged = Staged(
        snapshots={b"root-%06d" % number: state(number) for number in range(3000)},
        history=[(b"r", number, state(number)) for number in range(3000)],
        entries={b"\0park|%06d" % number: state(number) for number in range(3000)},
    )
    store.edition("main").put(staged, {"topic": 7})
    store.flush()
    store.close()
    largest = max((tmp_path / "0").glob("*.sst"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    middle = range(len(data) * 4 // 10, len(data) // 2, 500)  # so the first and the last event can be read
    for at in middle if what == "events" else range(100, len(data) * 9 // 10, 500):
        data[at] ^= 0xFF
    largest.write_bytes(data)
    store = PartitionStore(tmp_path / "0")
    with pytest.raises(StoreFailed) as failure:
        READS[what](store)
    assert failure.value.damaged
    failure.value.release()
    store.wipe()
    assert store.is_new
    store.close()


def test_a_store_is_made_anew_also_while_it_is_gone_through(tmp_path: Path) -> None:
    """What failed has an iterator in hand, which keeps the files open."""
    store = filled(tmp_path / "0")

    def go_through() -> None:
        for _ in store.edition("main").snapshots():
            raise StoreFailed("it is damaged", str(tmp_path / "0"), damaged=True)

    with pytest.raises(StoreFailed) as failure:
        go_through()
    failure.value.release()
    store.wipe()
    assert store.is_new
    store.close()


class Full:
    """A database on a disk without room."""

    def put(self, *_: Any) -> None:
        raise RuntimeError("IO error: No space left on device: While appending to file")

    flush = put


def test_a_full_disk_is_named_whatever_is_written(tmp_path: Path) -> None:
    store = PartitionStore(tmp_path / "0")
    whole: Any = store._db
    full: Any = Full()
    store._db = full
    writes: list[Callable[[], object]] = [lambda: setattr(store, "origin", b"ids"), store.flush]
    for write in writes:
        with pytest.raises(StoreFailed, match=f"{tmp_path}.* cannot be used") as failure:
            write()
        assert not failure.value.damaged
    whole.close()


def test_so_is_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(StoreFailed, match="cannot be used"):
        PartitionStore(tmp_path / "new" / "0")


def test_a_store_in_use_is_left_alone(tmp_path: Path) -> None:
    store = filled(tmp_path / "0")
    with pytest.raises(StoreFailed, match="HEADRACE_STATE_DIR") as failure:
        PartitionStore(tmp_path / "0")
    assert not failure.value.damaged
    assert store.edition("main").snapshot(b"root-000001") == state(1)
    store.close()


def test_a_damaged_store_can_be_closed_and_opened_again(tmp_path: Path) -> None:
    """RocksDB does not close after a compaction that met a bad block; a worker lets the partition go all the same."""
    folder = tmp_path / "0"
    store = PartitionStore(folder)
    for number in range(3):  # several files with the same keys, to be compacted
        snapshots = {b"root-%06d" % key: state(number * 1000 + key) for key in range(500)}
        store.edition("main").put(Staged(snapshots=snapshots), {})
        store.flush()
    assert damage(folder, "*.sst", (0.05, 0.3)) > 0
    compact: Any = store._db
    compact.compact_range(None, None)  # says nothing, and stops all writes
    with pytest.raises(StoreFailed) as raised:
        store.edition("main").put(Staged(snapshots={b"new": b"x"}), {})
    assert raised.value.damaged
    store.close()
    PartitionStore(folder).close()
