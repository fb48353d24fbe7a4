"""Stores on real Kafka: compaction, loss, a store behind by a tail, another schema, history in the background."""

import threading
from pathlib import Path

import pytest
from bank import topology

from headrace.streams.settings import Settings
from headrace.streams.shard import Plan, Shard
from headrace.streams.store import PartitionStore, StoreError

pytestmark = pytest.mark.kafka


def test_a_partition_taken_away_while_it_waits_to_be_restored_leaves_its_store_alone(tmp_path: Path) -> None:
    """The restoring thread may come to open the store after the partition was revoked, and given back as a new one."""
    plan = Plan(topology, "account", Settings(bootstrap="nowhere:1"), tmp_path, ["main"], 1, 1, {}, 1_000_000)
    taken = Shard(plan, 0, threading.Event())
    taken.close()
    with pytest.raises(StoreError, match="was taken away"):
        taken.tasks("snapshots")
    PartitionStore(tmp_path / "0").close()  # nobody else has it open
