"""Time to the answer of a command at a steady rate: a worker process, and a Client in this one.

The loop is open: commands are sent when the clock says so, whether or not earlier ones were answered, and each
counts from the moment at which it was due. A stall thus shows in every command that it held up.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from headrace.bench.bare import BareLoop
from headrace.bench.load import DOMAIN, POKER, Progress, at_least, deployment, player, quantile
from headrace.bench.processes import worker
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker import topology
from headrace.streams.client import Client, Status
from headrace.streams.runtime.worker import calm_collector
from headrace.streams.settings import Settings
from headrace.topology.reply import Sync

TARGETS = {"p50_ms": "< 10", "p99_ms": "< 50", "ratio_to_bare_p50": "< 2"}
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
_TIMEOUT = 30.0  # seconds after which a command counts as an error, and with these seconds


@dataclass
class Taken:
    """What a phase came to: milliseconds from due to answered, and commands without a good answer."""

    milliseconds: list[float] = field(default_factory=list)
    errors: int = 0


def run(
    progress: Progress,
    bootstrap: str,
    *,
    rate: int = 200,
    seconds: float = 30.0,
    warm_up: float = 10.0,
    players: int = 1_000,
    partitions: int = 6,
) -> dict[str, Any]:
    """Send `rate` commands per second for `seconds`, after a warm-up at the same rate that is not counted.

    First to a worker, then to the bare loop, which answers each batch in a transaction and does nothing else.
    """
    at_least("rate", rate, 1)
    with deployment(bootstrap, partitions) as settings, worker(settings, POKER, [DOMAIN]):
        taken = asyncio.run(measure(progress, settings, rate, seconds, warm_up, players))
    with deployment(bootstrap, partitions) as settings, _bare_loop(settings):
        progress("the bare loop")
        bare = asyncio.run(measure(progress, settings, rate, seconds, warm_up, players))
    ordered, others = sorted(taken.milliseconds), sorted(bare.milliseconds)
    return {
        "bench": "latency",
        "what": f"{len(ordered):,} commands to {players:,} players at {rate:,} a second, each answered once it is "
        f"committed; one worker process, {partitions} partitions, Client in another process; then the same "
        "of the bare loop",
        "how": f"open loop over {seconds:g} s after {warm_up:g} s of warm-up: sent by the clock, counted from when "
        "each was due until its reply was awaited; no answer in 30 s counts as an error and as 30 s",
        "p50_ms": round(quantile(ordered, 0.5), 2),
        "p99_ms": round(quantile(ordered, 0.99), 2),
        "max_ms": round(ordered[-1], 2),
        "bare_p50_ms": round(quantile(others, 0.5), 2),
        "ratio_to_bare_p50": round(quantile(ordered, 0.5) / quantile(others, 0.5), 3),
        "count": len(ordered),
        "rate": rate,
        "errors": taken.errors + bare.errors,
        "quantiles_ms": {f"{q:g}": round(quantile(ordered, q), 2) for q in QUANTILES},
    }


@contextmanager
def _bare_loop(settings: Settings) -> Iterator[None]:
    """The bare loop at work in a process of its own."""
    process = get_context("spawn").Process(target=_serve, args=(settings,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _serve(settings: Settings) -> None:
    loop = BareLoop(settings, settings.state_dir / "bare")
    calm_collector()
    while True:
        if messages := loop.poll(1.0):
            loop.process(messages)


async def measure(
    progress: Progress, settings: Settings, rate: int, seconds: float, warm_up: float, players: int
) -> Taken:
    async with Client(topology, settings) as client:
        names = await registered(client, players)
        progress(f"warming up for {warm_up:g} s")
        await open_loop(client, names, rate, round(warm_up * rate))
        progress(f"measuring for {seconds:g} s")
        return await open_loop(client, names, rate, round(seconds * rate))


async def registered(client: Client, players: int) -> list[str]:
    """Register so many players; their roots. Raises RuntimeError when one is not accepted."""
    names = [player(number) for number in range(players)]
    replies = await asyncio.gather(
        *(client.execute(pb.RegisterPlayer(name="somebody"), root=name, timeout=_TIMEOUT) for name in names)
    )
    if bad := [reply for reply in replies if reply.status is not Status.ACCEPTED]:
        raise RuntimeError(f"{len(bad)} of {players} players were not registered: {bad[0].reason}")
    return names


async def open_loop(client: Client, names: list[str], rate: int, count: int, sync: Sync = "decision") -> Taken:
    """Send `count` deposits to the roots `names` in turn, each at its time."""
    taken = Taken()

    async def one(name: str, due: float) -> None:
        try:
            reply = await client.execute(pb.DepositFunds(amount=1), root=name, timeout=_TIMEOUT, sync=sync)
            good = reply.status is Status.ACCEPTED
        except Exception:  # whatever it is, the command has no good answer, and its time counts
            good = False
        taken.milliseconds.append((time.perf_counter() - due) * 1000)
        taken.errors += not good

    start = time.perf_counter()
    async with asyncio.TaskGroup() as sent:
        for number in range(count):
            due = start + number / rate
            if (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            sent.create_task(one(names[number % len(names)], due))
    return taken
