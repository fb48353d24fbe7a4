"""Events a second into documents: a projector in a worker process, and a bare loop in another, in turn.

Both find a log that is written already, and held back until they are ready: what counts is from the moment at which
they may read it until all of its offsets are committed. What they have written is compared.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import psutil
from confluent_kafka import Consumer, TopicPartition

from headrace.bench import event_log
from headrace.bench.bare import group
from headrace.bench.bare_projection import COMPONENT, bare_projection
from headrace.bench.cards import CARDS, cards
from headrace.bench.load import DOMAIN, Progress, at_least, deployment, median
from headrace.bench.processes import worker
from headrace.bench.reader import whole
from headrace.streams.settings import Settings

TARGETS = {"ratio_to_bare_loop": ">= 0.6"}
_PATIENCE = 120.0  # seconds without any progress, after which a loop is taken to be stuck
_LOOK_EVERY = 0.02


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One rebuild."""

    seconds: float
    """From the log's release to the last commit."""
    busy: float
    """Processor seconds of the process meanwhile."""
    written: int
    """Documents on the log, all versions of each."""
    latest: dict[bytes, tuple[Any, ...]]
    """Value, partition and headers of the last version, by document."""


def run(
    progress: Progress,
    bootstrap: str,
    *,
    players: int = 50_000,
    each: int = 20,
    together: int = 1_000,
    rounds: int = 3,
    partitions: int = 6,
) -> dict[str, Any]:
    """A/B B/A A/B …: each loop reads a log of its own with the same events, `each` of each of `players` players.

    `together` players have their events in turn, then the next ones. A first round, of a third, is not counted. Raises
    RuntimeError when the two have not written the same documents.
    """
    at_least("rounds", rounds, 3)
    at_least("each", each, 3)
    at_least("together", together, 1)
    count = players * each
    found: dict[str, list[Rebuilt]] = {"engine": [], "bare": []}
    for turn in range(rounds + 1):
        done: dict[str, Rebuilt] = {}
        # who goes first changes, as the broker works off the former loop's topics meanwhile
        for name in sorted(_LOOPS, reverse=turn % 2 == 0):
            with deployment(bootstrap, partitions, cards, [DOMAIN, COMPONENT]) as settings:
                done[name] = _rebuild(settings, name, players if turn else max(1, players // 3), each, together)
        compare(done["engine"].latest, done["bare"].latest)
        if turn:
            for name, rebuilt in done.items():
                found[name].append(rebuilt)
            progress(
                f"round {turn} of {rounds}: engine {count / done['engine'].seconds:,.0f}, "
                f"bare loop {count / done['bare'].seconds:,.0f} events per second"
            )
    speed = {name: [count / one.seconds for one in all_] for name, all_ in found.items()}
    ratios = [a / b for a, b in zip(speed["engine"], speed["bare"], strict=True)]
    cpu = {name: median([one.busy for one in all_]) / count * 1e6 for name, all_ in found.items()}
    return {
        "bench": "projections",
        "what": f"a projector's documents from nothing: {count:,} events, {each} of each of {players:,} players, of "
        f"{together:,} players in turn, in {partitions} partitions, in transactions of up to {settings.batch:,}; "
        "against a bare loop that consumes and parses them, changes the same dataclasses in a dictionary, and writes "
        "each document that a batch has changed once, by the same encoder, in a transaction with the offsets; it keeps "
        "no store",
        "how": f"a worker process and the bare loop's process in turn, {rounds} rounds after one that is not counted; "
        "medians, the ratio of each round's own two figures; from the moment at which the log is released to processes "
        "that are ready until the offsets behind the last events are committed; cpu_us is processor time per event, of "
        "the process with librdkafka and RocksDB and without the broker; the documents of both are compared",
        "rebuild_events_per_second": round(median(speed["engine"])),
        "bare_events_per_second": round(median(speed["bare"])),
        "ratio_to_bare_loop": round(median(ratios), 3),
        "engine_cpu_us_per_event": round(cpu["engine"], 1),
        "bare_cpu_us_per_event": round(cpu["bare"], 1),
        "documents": len(done["engine"].latest),
        "engine_documents_written": round(median([one.written for one in found["engine"]])),
        "bare_documents_written": round(median([one.written for one in found["bare"]])),
        "engine_rounds": [round(x) for x in speed["engine"]],
        "bare_rounds": [round(x) for x in speed["bare"]],
    }


def _worker(settings: Settings) -> AbstractContextManager[int]:
    return worker(settings, CARDS, [COMPONENT])


_LOOPS: dict[str, tuple[Callable[[Settings], AbstractContextManager[int]], Callable[[Settings], str]]] = {
    "engine": (_worker, lambda settings: f"{settings.prefix}headrace.{COMPONENT}"),
    "bare": (bare_projection, group),
}
"""How each is started, and its group."""


def _rebuild(settings: Settings, name: str, players: int, each: int, together: int) -> Rebuilt:
    start, group_of = _LOOPS[name]
    held = event_log.Held(settings)
    ends = event_log.write(settings, players, each, together)
    with start(settings) as pid:
        process = psutil.Process(pid)
        before, started = _busy(process), time.perf_counter()
        held.release()
        _await_committed(settings, group_of(settings), ends)
        seconds, busy = time.perf_counter() - started, _busy(process) - before
    messages = whole(settings, settings.names.topic(settings.edition, COMPONENT, "documents"))
    latest = {m.key() or b"": (m.value(), m.partition(), sorted(m.headers() or ())) for m in messages}
    return Rebuilt(seconds, busy, len(messages), latest)


def _busy(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _await_committed(settings: Settings, group_id: str, ends: Mapping[int, int]) -> None:
    """Return once the group has committed these offsets, by partition of the events."""
    topic = settings.names.topic(settings.edition, DOMAIN, "events")
    places = [TopicPartition(topic, partition) for partition in ends]
    # not read_committed: it waits while a transaction holds an offset
    consumer = Consumer(settings.client(group_id=group_id, isolation_level="read_uncommitted"))
    seen, reached = time.monotonic(), -1
    while True:
        offsets = {place.partition: place.offset for place in consumer.committed(places, 30)}
        if all(offsets[partition] >= end for partition, end in ends.items()):
            break
        if (now := sum(offsets.values())) > reached:
            seen, reached = time.monotonic(), now
        if time.monotonic() - seen > _PATIENCE:
            raise TimeoutError(f"{group_id} came no further for {_PATIENCE:g} s, at {offsets} of {dict(ends)}")
        time.sleep(_LOOK_EVERY)
    consumer.close()


def compare(engine: Mapping[bytes, tuple[Any, ...]], bare: Mapping[bytes, tuple[Any, ...]]) -> None:
    """RuntimeError unless both have written the same documents."""
    if differing := [name for name in engine.keys() | bare.keys() if engine.get(name) != bare.get(name)]:
        first = min(differing)
        raise RuntimeError(
            f"{len(differing):,} documents of {len(engine):,} differ from the bare loop's; {first.decode()} is "
            f"{engine.get(first)}, and the bare loop's {bare.get(first)}"
        )
