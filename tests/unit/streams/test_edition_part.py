"""Parts of a partition's store: each edition's comes and goes alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.streams.state.edition_part import EditionPart, editions_in, remove_edition
from headrace.streams.state.rocksdb import EditionStore, PartitionStore
from headrace.streams.steps.store import Staged

TOPIC = "trial.account.snapshots"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PartitionStore]:
    found = PartitionStore(tmp_path / "0")
    yield found
    found.close()


def fill(edition: EditionStore, document: bytes, offset: int) -> None:
    edition.put(Staged(documents={b"d": document}), {TOPIC: offset})


def test_a_part_has_checkpoints_and_an_origin_of_its_own(store: PartitionStore) -> None:
    fill(store.edition("main"), b"main", 7)
    store.origin = b"main's"
    part = EditionPart(store, "1f")
    assert (part.is_new, part.checkpoint(TOPIC), part.origin) == (True, 0, b"")
    fill(part.edition("trial"), b"trial", 3)
    part.origin = b"trial's"
    assert (part.is_new, part.checkpoint(TOPIC), part.origin) == (False, 3, b"trial's")
    assert (store.checkpoint(TOPIC), store.origin) == (7, b"main's")
    assert part.away(0) < 0 < part.away(1 << 62)


def test_what_is_wiped_is_one_edition(store: PartitionStore) -> None:
    """Ids that begin alike, and names that are the same, are different editions."""
    parts = [EditionPart(store, edition_id) for edition_id in ("1f", "1f0", "1e")]
    fill(store.edition("main"), b"main", 7)
    for part in parts:
        fill(part.edition("trial"), b"trial", 3)
    assert editions_in(store) == ["1e", "1f", "1f0", "main"]
    parts[0].wipe()
    assert (parts[0].is_new, parts[0].checkpoint(TOPIC), parts[0].edition("trial").document(b"d")) == (True, 0, None)
    assert editions_in(store) == ["1e", "1f0", "main"]
    remove_edition(store, "1e")
    assert editions_in(store) == ["1f0", "main"]
    assert parts[1].reader().document(b"d") == b"trial"
    assert store.edition("main").document(b"d") == b"main"
    fill(parts[0].edition("trial"), b"again", 1)
    assert parts[0].reader().document(b"d") == b"again"
