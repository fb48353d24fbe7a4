"""Commands a second: the engine and the bare loop in turn over the same commands, in one run."""

import gc
import time
from typing import Any, Protocol

from confluent_kafka import Message

from headrace.bench.bare import BareLoop
from headrace.bench.load import DOMAIN, Progress, at_least, component, deployment, deposits, median
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.worker import calm_collector
from headrace.streams.settings import Settings

TARGETS = {"ratio_to_bare_loop": ">= 0.6", "commands_per_second": ">= 20000"}
_PATIENCE = 120.0  # seconds without any command, after which a loop is taken to be stuck


def run(
    progress: Progress, bootstrap: str, *, roots: int = 2_000, each: int = 29, rounds: int = 5, partitions: int = 6
) -> dict[str, Any]:
    """A/B B/A A/B …: each loop reads a topic of the same records, with group, stores and producer of its own.

    `roots` players get a registration and `each` deposits. A first round warms the broker and is not counted.
    """
    at_least("rounds", rounds, 3)
    loops = {"engine": _engine, "bare": _bare}
    wall: dict[str, list[float]] = {"engine": [], "bare": []}
    cpu: dict[str, list[float]] = {"engine": [], "bare": []}
    for turn in range(rounds + 1):
        # who goes first changes, as the broker works off the former loop's topics meanwhile
        for name in sorted(loops, reverse=turn % 2 == 0):
            with deployment(bootstrap, partitions) as settings:
                count = deposits(settings, roots, each if turn else each // 3)
                seconds, busy = loops[name](settings, count)
            if turn:
                wall[name].append(count / seconds)
                cpu[name].append(busy / count * 1e6)
        if turn:
            progress(
                f"round {turn} of {rounds}: engine {wall['engine'][-1]:,.0f}, "
                f"bare loop {wall['bare'][-1]:,.0f} commands per second"
            )
    ratios = [a / b for a, b in zip(wall["engine"], wall["bare"], strict=True)]
    return {
        "bench": "commands",
        "what": f"{count:,} commands to {roots:,} players in {partitions} partitions, each answered, with its event "
        f"and snapshot, in transactions of up to {settings.batch:,}; against a bare loop that consumes, produces and "
        "commits the same records and makes the same puts",
        "how": f"engine and bare loop in turn in one process, {rounds} rounds after one that is not counted; medians, "
        "the ratio of each round's own two figures; from the first batch to the last commit; cpu_us is processor "
        "time per command, of the process with librdkafka and RocksDB and without the broker",
        "commands_per_second": round(median(wall["engine"])),
        "bare_loop_per_second": round(median(wall["bare"])),
        "ratio_to_bare_loop": round(median(ratios), 3),
        "engine_cpu_us": round(median(cpu["engine"]), 1),
        "bare_cpu_us": round(median(cpu["bare"]), 1),
        "engine_rounds": [round(x) for x in wall["engine"]],
        "bare_rounds": [round(x) for x in wall["bare"]],
    }


class Loop(Protocol):
    """What both are driven by."""

    def poll(self, timeout: float) -> list[Message]:
        """The next batch; empty when none came in time."""

    def process(self, messages: list[Message]) -> None:
        """Handle a batch and commit it."""

    def close(self) -> None:
        """Free the group and the files."""


def _engine(settings: Settings, commands: int) -> tuple[float, float]:
    metrics = Metrics()
    taken = _drive(component(settings, metrics), commands)
    if metrics.registry.get_sample_value("headrace_transactions_in_doubt_total", {"domain": DOMAIN}):
        raise RuntimeError("a transaction was in doubt, so that some commands came twice; measure again")
    return taken


def _bare(settings: Settings, commands: int) -> tuple[float, float]:
    return _drive(BareLoop(settings, settings.state_dir / "bare"), commands)


def _drive(loop: Loop, commands: int) -> tuple[float, float]:
    """Seconds, and processor seconds of this process, from the first batch to the last commit."""
    done, started, busy = 0, 0.0, 0.0
    thresholds = gc.get_threshold()
    calm_collector()  # as the worker process does
    seen = time.monotonic()
    try:
        while done < commands:
            messages = loop.poll(0.05)
            if messages:
                seen = time.monotonic()
                if not done:
                    started, busy = time.perf_counter(), time.process_time()
                loop.process(messages)
                done += len(messages)
            elif time.monotonic() - seen > _PATIENCE:
                raise TimeoutError(f"no command came for {_PATIENCE:g} s, after {done:,} of {commands:,}")
        return time.perf_counter() - started, time.process_time() - busy
    finally:
        loop.close()
        gc.unfreeze()
        gc.set_threshold(*thresholds)
