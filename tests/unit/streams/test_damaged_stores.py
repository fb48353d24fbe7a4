"""Files of a store that are damaged are recognised as that, and made anew; a store in use, or a full disk, is not."""

import random
from pathlib import Path

import pytest

from headrace.streams.state.rocksdb import PartitionStore
from headrace.streams.steps.store import Staged, StoreFailed


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


def damage(path: Path) -> None:
    """What a bad block does."""
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 64):
        data[at] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("file", ["CURRENT", "MANIFEST-*"])
def test_a_store_that_cannot_be_opened_is_made_anew(file: str, tmp_path: Path) -> None:
    folder = tmp_path / "0"
    filled(folder).close()
    for path in folder.glob(file):
        damage(path)
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


def test_a_store_in_use_is_left_alone(tmp_path: Path) -> None:
    store = filled(tmp_path / "0")
    with pytest.raises(StoreFailed, match="HEADRACE_STATE_DIR") as failure:
        PartitionStore(tmp_path / "0")
    assert not failure.value.damaged
    assert store.edition("main").snapshot(b"root-000001") == state(1)
    store.close()
