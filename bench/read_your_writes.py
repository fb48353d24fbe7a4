"""Time until a command's events are in documents, beside the time to its answer alone, at the same steady rate.

The loop is open, as that of `latency`. Commands that wait for documents and commands that do not take turns, against
the same worker: its projector works on the events of both.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from headrace.bench.cards import CARDS, TOTALS, cards, totals
from headrace.bench.latency import Taken, open_loop, registered
from headrace.bench.load import Progress, at_least, deployment, median, quantile
from headrace.bench.processes import worker
from headrace.streams.client import Client
from headrace.streams.settings import Settings
from headrace.topology.reply import Sync
from headrace.topology.topology import Topology

TARGETS = {
    "direct_to_plain_p50": "< 2.3",
    "direct_to_plain_p99": "< 2.3",
    "fed_to_plain_p50": "< 3.3",
    "fed_to_plain_p99": "< 3.3",
}
_KINDS = {"direct": (CARDS, cards), "fed": (TOTALS, totals)}
_QUANTILES = {"p50": 0.5, "p99": 0.99}
_MODES: tuple[Sync, Sync] = "decision", "simple"


def run(
    progress: Progress,
    bootstrap: str,
    *,
    rate: int = 200,
    seconds: float = 10.0,
    warm_up: float = 10.0,
    rounds: int = 3,
    players: int = 1_000,
    partitions: int = 6,
) -> dict[str, Any]:
    """Send `rate` commands per second for `seconds` without and with `sync="simple"`, `rounds` times, after a warm-up.

    First with a projector whose documents are those of roots, then with one whose documents are found by a key.
    """
    at_least("rate", rate, 1)
    at_least("rounds", rounds, 3)
    taken: dict[str, list[dict[Sync, Taken]]] = {}
    for kind, (name, topology) in _KINDS.items():
        components = list(topology.components)
        with deployment(bootstrap, partitions, topology, components) as settings, worker(settings, name, components):
            progress(f"{kind}: {rounds} rounds of {seconds:g} s twice, after {warm_up:g} s of warm-up twice")
            taken[kind] = asyncio.run(_measure(topology, settings, rate, seconds, warm_up, rounds, players))
    found = {
        f"{kind}_{name}": {mode: [_of(turn[mode], part) for turn in turns] for mode in _MODES}
        for kind, turns in taken.items()
        for name, part in _QUANTILES.items()
    }
    plain = {name: found[f"direct_{name}"]["decision"] for name in _QUANTILES}
    return {
        "bench": "read-your-writes",
        "what": f"commands to {players:,} players at {rate:,} a second, each awaited until its answer, and in turn "
        'until a projector has its event (sync="simple"): one with a document per player, then one with a document per '
        f"group of players, whose events come by a feed; one worker process with all components, {partitions} "
        "partitions, Client in another process",
        "how": f"open loop, {rounds} rounds of {seconds:g} s of each in turn, after {warm_up:g} s of warm-up of each; "
        "from when a command was due; medians of the rounds, and of each round's own ratio; plain is the answer alone "
        "beside the document per player; no good end in 30 s counts as an error",
        **{f"plain_{name}_ms": round(median(values), 2) for name, values in plain.items()},
        **{f"{name}_ms": round(median(values["simple"]), 2) for name, values in found.items()},
        **{
            f"{name.replace('_', '_to_plain_')}": round(_ratio(values["simple"], values["decision"]), 3)
            for name, values in found.items()
        },
        "rate": rate,
        "count": sum(len(one.milliseconds) for turns in taken.values() for turn in turns for one in turn.values()),
        "errors": sum(one.errors for turns in taken.values() for turn in turns for one in turn.values()),
        "rounds_ms": {
            name: {mode: [round(ms, 2) for ms in all_] for mode, all_ in values.items()}
            for name, values in found.items()
        },
    }


async def _measure(
    topology: Topology, settings: Settings, rate: int, seconds: float, warm_up: float, rounds: int, players: int
) -> list[dict[Sync, Taken]]:
    async with Client(topology, settings) as client:
        names = await registered(client, players)
        for mode in _MODES:
            await open_loop(client, names, rate, round(warm_up * rate), mode)
        return [
            # who goes first changes
            {
                mode: await open_loop(client, names, rate, round(seconds * rate), mode)
                for mode in sorted(_MODES, reverse=turn % 2 == 1)
            }
            for turn in range(rounds)
        ]


def _of(taken: Taken, part: float) -> float:
    return quantile(sorted(taken.milliseconds), part)


def _ratio(waiting: Sequence[float], plain: Sequence[float]) -> float:
    return median([a / b for a, b in zip(waiting, plain, strict=True)])
