"""Commands a second: the engine and the bare loop in turn over the same commands, in one run."""

import time
from typing import Any

from headrace.bench.bare import BareLoop
from headrace.bench.load import cluster, component, deployment, deposits
from headrace.streams.settings import Settings

ROOTS = 2_000
EACH = 29
ROUNDS = 3
PARTITIONS = 6


def run(progress: Any) -> dict[str, Any]:
    """A/B/A/B …: each loop reads the same topic from its start, with group, stores and producer of its own."""
    engine: list[float] = []
    bare: list[float] = []
    with cluster() as bootstrap:
        for turn in range(ROUNDS):
            with deployment(bootstrap, PARTITIONS) as settings:
                count = deposits(settings, ROOTS, EACH)
                engine.append(count / _engine(settings, count))
            with deployment(bootstrap, PARTITIONS) as settings:
                count = deposits(settings, ROOTS, EACH)
                bare.append(count / _bare(settings, count))
            progress(
                f"round {turn + 1} of {ROUNDS}: engine {engine[-1]:,.0f}, bare loop {bare[-1]:,.0f} commands a second"
            )
    ratios = sorted(a / b for a, b in zip(engine, bare, strict=True))
    return {
        "bench": "commands",
        "what": f"{count:,} commands to {ROOTS:,} players in {PARTITIONS} partitions, each answered; batches of "
        f"up to 1,000; engine and bare loop in turn, {ROUNDS} rounds, medians",
        "commands_per_second": round(sorted(engine)[ROUNDS // 2]),
        "bare_loop_per_second": round(sorted(bare)[ROUNDS // 2]),
        "ratio_to_bare_loop": round(ratios[ROUNDS // 2], 3),
        "engine_rounds": [round(x) for x in engine],
        "bare_rounds": [round(x) for x in bare],
        "targets": {"ratio_to_bare_loop": ">= 0.6", "commands_per_second": ">= 20000"},
    }


def _engine(settings: Settings, commands: int) -> float:
    engine = component(settings)
    try:
        while not engine.ready:
            if messages := engine.poll(0.05):
                raise RuntimeError(f"{len(messages)} commands came before the engine was ready")
        done, started = 0, time.perf_counter()
        while done < commands:
            messages = engine.poll(0.5)
            if messages:
                engine.process(messages)
                done += len(messages)
        return time.perf_counter() - started
    finally:
        engine.close()


def _bare(settings: Settings, commands: int) -> float:
    loop = BareLoop(settings, settings.state_dir / "bare")
    try:
        return loop.run(commands)
    finally:
        loop.close()
