"""The engine beside Kafka Streams and Quix Streams: the same commands, broker, partitions and run.

Each makes a state, an event and a reply of a command. They are processes of their own with one thread for the work, and
are measured from outside, by when an independent reader sees their committed events.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from headrace.bench import latency
from headrace.bench.load import DOMAIN, POKER, Progress, at_least, deployment, deposits, median, quantile
from headrace.bench.peers import quix, streams
from headrace.bench.processes import worker
from headrace.bench.reader import Reader, header, whole
from headrace.streams.settings import Settings

TARGETS = {"ratio_to_kafka_streams": ">= 1.0", "latency_ratio": "< 0.5"}
_PATIENCE = 60.0
Start = Callable[[Settings], Any]


@contextmanager
def _engine(settings: Settings) -> Iterator[int]:
    with worker(settings, POKER, [DOMAIN]) as pid:
        yield pid


CONTENDERS: dict[str, Start] = {"engine": _engine, "kafka_streams": streams.players, "quix_streams": quix.players}


def run(
    progress: Progress,
    bootstrap: str,
    *,
    roots: int = 2_000,
    each: int = 39,
    rounds: int = 6,
    partitions: int = 6,
    rate: int = 200,
    seconds: float = 20.0,
) -> dict[str, Any]:
    """Throughput in turn, `rounds` times; then latency at `rate` commands per second, open loop, for each."""
    at_least("rounds", rounds, 1)
    streams.prepared()
    quix.interpreter()
    figures: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for turn in range(rounds):
        for name in sorted(CONTENDERS, reverse=turn % 2 == 0):
            with deployment(bootstrap, partitions) as settings:
                count = deposits(settings, roots, each)
                figures[name].append(_throughput(settings, CONTENDERS[name], count))
        each_of = ", ".join(f"{name} {values[-1]:,.0f}" for name, values in figures.items())
        progress(f"round {turn + 1} of {rounds}: {each_of} commands per second")
    times = {name: _latency(progress, bootstrap, name, partitions, rate, seconds) for name in CONTENDERS}
    p50 = {name: round(quantile(values, 0.5), 2) for name, values in times.items()}
    return {
        "bench": "peers",
        "what": f"{count:,} commands to {roots:,} players in {partitions} partitions: a state, an event and a reply "
        "for each, by the engine, by Kafka Streams 4.3.1 (exactly-once v2, one thread, default cache and commit "
        "interval) and by Quix Streams 3.28.1 (exactly-once, the same commit interval)",
        "how": f"a process each, in turn, {rounds} rounds; from the first third of the events to the last as a "
        f"read_committed reader sees them; latency in an open loop at {rate} a second for {seconds:g} s",
        **{f"{name}_per_second": round(median(rates)) for name, rates in figures.items()},
        **{f"{name}_rounds": [round(rate) for rate in rates] for name, rates in figures.items()},
        **{f"{name}_p50_ms": value for name, value in p50.items()},
        **{f"ratio_to_{name}": _ratio(figures, name) for name in figures if name != "engine"},
        "latency_ratio": round(p50["engine"] / p50["kafka_streams"], 3),
    }


def _ratio(figures: dict[str, list[float]], name: str) -> float:
    """Median, over the rounds, of the engine's figure to that of another one in the same round."""
    return round(median([ours / theirs for ours, theirs in zip(figures["engine"], figures[name], strict=True)]), 3)


def _throughput(settings: Settings, start: Start, count: int) -> float:
    """Commands a second, from the first third of them on; RuntimeError when events or replies are missing or double."""
    reader = Reader(settings, DOMAIN)
    seen, began, first = 0, 0.0, 0
    with start(settings):
        last = time.monotonic()
        while seen < count:
            before = time.monotonic()
            messages = reader.take(10_000, 0.05)
            now = time.monotonic()
            if messages:
                if not began and seen + len(messages) >= count // 3:
                    began, first = before, seen  # what came with this take counts, and so does its time
                seen, last = seen + len(messages), now
            elif now - last > _PATIENCE:
                raise TimeoutError(f"no event came for {_PATIENCE:g} s, after {seen:,} of {count:,}")
        taken = last - began
    reader.close()
    events = {header(m, "ce_causationid") for m in whole(settings, settings.names.topic("main", DOMAIN, "events"))}
    replies = {m.key() for m in whole(settings.model_copy(update={"partitions": 4}), settings.names.replies)}
    if not len(events) == len(replies) == seen == count:
        raise RuntimeError(
            f"{count} commands led to {seen} events of {len(events)} commands and {len(replies)} replies"
        )
    return (count - first) / taken


def _latency(progress: Progress, bootstrap: str, name: str, partitions: int, rate: int, seconds: float) -> list[float]:
    with deployment(bootstrap, partitions) as settings, CONTENDERS[name](settings):
        progress(f"latency of {name}")
        taken = asyncio.run(latency.measure(progress, settings, rate, seconds, 10.0, 1_000))
    if taken.errors:
        raise RuntimeError(f"{taken.errors} commands had no good answer from {name}")
    return sorted(taken.milliseconds)
