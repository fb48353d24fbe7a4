"""Records a second into an empty store from its changelog, and a store that is behind by a tail."""

import threading
import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Producer

from headrace.bench.load import DOMAIN, Progress, at_least, config, deployment, median
from headrace.examples.poker import poker_pb2 as pb
from headrace.schemas.changelog import DIGEST_SIZE, pack_accepted, results_key
from headrace.schemas.fingerprint import fingerprint
from headrace.schemas.headrace_v1_pb2 import CommandResults, Snapshot
from headrace.streams.runtime.partition import Partition
from headrace.streams.settings import Settings
from headrace.streams.state.restore import Restorer, take_changelog
from headrace.streams.steps.batch import Output

TARGETS = {"records_per_second": ">= 150000"}
_BATCH = 1000


def run(
    progress: Progress,
    bootstrap: str,
    *,
    records: int = 600_000,
    tail: int = 20_000,
    partitions: int = 6,
    rounds: int = 5,
) -> dict[str, Any]:
    """Restore a changelog of `records` snapshots `rounds` times, each into a store of its own; then their tails."""
    at_least("rounds", rounds, 3)
    at_least("tail", tail, 1)
    whole: list[float] = []
    behind: list[float] = []
    with deployment(bootstrap, partitions) as settings:
        progress(f"writing {records:,} snapshots")
        written = _write(settings, 0, records)
        for turn in range(rounds):
            count, seconds = _restore(settings, f"store-{turn}")
            _expect(count, written)
            whole.append(count / seconds)
            progress(f"round {turn + 1} of {rounds}: {whole[-1]:,.0f} records per second")
        missing = _write(settings, records // 2, tail)
        for turn in range(rounds):
            tail_read, seconds = _restore(settings, f"store-{turn}")
            _expect(tail_read, missing)
            behind.append(seconds)
        progress(f"behind by {missing:,} records: {median(behind) * 1000:,.0f} ms")
    return {
        "bench": "restore",
        "what": f"the changelog of {partitions} partitions, {written:,} records, into an empty RocksDB store on disk; "
        f"then {missing:,} records more into the same store, closed and opened again",
        "how": f"the engine's restorer, read_committed, from opening the store to its last write; the changelog is "
        f"written in transactions of {_BATCH:,} snapshots of player states, with the answers that the engine keeps "
        f"with them (one record per partition and transaction, an answer per snapshot); medians of {rounds}",
        "records_per_second": round(median(whole)),
        "tail_records": tail_read,
        "tail_ms": round(median(behind) * 1000, 1),
        "restore_rounds": [round(x) for x in whole],
    }


def _expect(read: int, written: int) -> None:
    if read != written:
        raise RuntimeError(f"the restorer read {read:,} records where {written:,} were to be read")


def _restore(settings: Settings, folder: str) -> tuple[int, float]:
    """The number of records read into the stores of this folder, and the seconds from their opening to the end."""
    stop = threading.Event()
    partitions = [Partition(config(settings, folder), number, stop) for number in range(settings.partitions)]
    restorer = Restorer(settings, stop)
    started = time.perf_counter()
    tasks = [task for partition in partitions for task in partition.restore().tasks("snapshots")]
    restorer.restore(tasks, restorer.end_offsets(tasks), take_changelog)
    seconds = time.perf_counter() - started
    for partition in partitions:
        partition.close()
    return restorer.records, seconds


def _write(settings: Settings, first: int, count: int) -> int:
    """Write snapshots of the players from `first` on, in transactions as the engine's; the records written."""
    producer = Producer(
        settings.producer(
            transactional_id=f"{settings.prefix}changelog",
            queue_buffering_max_messages=1_000_000,
            linger_ms=2,
            compression_type="lz4",
        )
    )
    producer.init_transactions(30)
    written = 0
    for start in range(first, first + count, _BATCH):
        producer.begin_transaction()
        for topic, value, key, partition, _ in _batch(settings, range(start, min(start + _BATCH, first + count))):
            producer.produce(topic, value, key, partition)
            written += 1
        producer.flush()
        producer.commit_transaction(30)
    return written


def _batch(settings: Settings, players: range) -> Iterator[Output]:
    topic = settings.names.topic(settings.edition, DOMAIN, "snapshots")
    mark = fingerprint(pb.PlayerState)
    kept = [CommandResults() for _ in range(settings.partitions)]
    for number in players:
        root, sequence = b"player-%06d" % number, number % 50
        state = pb.PlayerState(registered=True, name="somebody", bankroll=number)
        snapshot = Snapshot(sequence=sequence, state=state.SerializeToString(), fingerprint=mark)
        partition = number % settings.partitions  # a restore takes whatever a partition holds
        yield topic, snapshot.SerializeToString(), root, partition, None
        kept[partition].keys.append(root + b"\0%032x" % number)
        kept[partition].values.append(pack_accepted(bytes(DIGEST_SIZE), sequence, 1))
    for partition, given in enumerate(kept):
        if given.keys:
            key = results_key(time.time_ns() // 1_000_000, given.keys[0])
            yield topic, given.SerializeToString(), key, partition, None
