"""What editions cost: to record one, its first answer, the first load of a root that it inherits, its commands."""

import asyncio
import time
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from confluent_kafka import Producer

from headrace.bench.load import DOMAIN, POKER, Progress, at_least, command_headers, deployment, median, player
from headrace.bench.processes import worker
from headrace.bench.reader import Reader
from headrace.bench.rehydrate import ROOT, write_history
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker import topology
from headrace.schemas.record import LATEST
from headrace.streams.client import Client
from headrace.streams.settings import Settings
from headrace.streams.state.edition_part import EditionPart
from headrace.streams.state.rocksdb import PartitionStore
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.fork import Fork
from headrace.streams.steps.handlers import States
from headrace.streams.steps.state_cache import StateCache
from headrace.topology.cut import DomainCut
from headrace.topology.inspection import type_name
from headrace.topology.names import MAIN

TARGETS = {
    "registry_ms": "< 50",
    "registry_long_ms": "< 50",
    "first_answer_to_plain": "< 5",
    "inherited_load_ms": "< 1",
    "ratio_to_main": ">= 0.9",
}
_PLAIN = 50
"""Commands of main, one after the other, beside which a first answer is held."""
_PATIENCE = 60.0
"""Seconds without any event, after which a worker is taken to be stuck."""


def run(
    progress: Progress,
    bootstrap: str,
    *,
    rounds: int = 5,
    history: int = 20_000,
    commands: int = 10_000,
    events: int = 10_000,
    partitions: int = 6,
) -> dict[str, Any]:
    """Make `rounds` editions before and `rounds` behind a history of `history` commands; then send `commands`
    commands to main and to an edition in turn, `rounds` times; load a root with `events` events in a new edition."""
    at_least("rounds", rounds, 3)
    at_least("commands", commands, 100)
    with deployment(bootstrap, partitions) as settings, worker(settings, POKER, [DOMAIN]):
        short, first = asyncio.run(_made(settings, rounds, "short"))
        progress(f"recorded in {median(short):.1f} ms, first answer {median(first):.2f} x a plain command")
        rates = Rates(settings)
        rates.take(MAIN, history)
        long, behind = asyncio.run(_made(settings, rounds, "long"))
        progress(f"behind {history:,} commands: recorded in {median(long):.1f} ms")
        edition, main = asyncio.run(rates.compare(rounds, commands, progress))
    load = _loads(rounds, events)
    ratios = [a / b for a, b in zip(edition, main, strict=True)]
    return {
        "bench": "editions",
        "what": f"editions of a deployment with one worker process, {partitions} partitions: made when main has hardly "
        f"any history and behind {history:,} commands; {commands:,} commands to main and to an edition in turn; a root "
        f"with {events:,} events in main, loaded in an edition that has none of it",
        "how": f"medians of {rounds}, ratios of each round's own figures; registry_ms is the compare-and-set of the "
        f"record alone; first_answer_to_plain is the time from when the edition's topics exist until its first command "
        f"is answered, by a client that is connected, to the median of {_PLAIN} plain commands of main just before; "
        "rates from when the first command is sent until all events are seen committed",
        "registry_ms": round(median(short), 1),
        "registry_long_ms": round(median(long), 1),
        "first_answer_to_plain": round(median([*first, *behind]), 2),
        "inherited_load_ms": round(median(load), 4),
        "edition_commands_per_second": round(median(edition)),
        "main_commands_per_second": round(median(main)),
        "ratio_to_main": round(median(ratios), 3),
        "registry_rounds": [round(x, 1) for x in [*short, *long]],
        "first_answer_rounds": [round(x, 2) for x in [*first, *behind]],
        "edition_rounds": [round(x) for x in edition],
        "main_rounds": [round(x) for x in main],
    }


async def _made(settings: Settings, rounds: int, name: str) -> tuple[list[float], list[float]]:
    """Milliseconds to record each edition, and its first answer as a multiple of a plain command."""
    recorded, first = [], []
    async with Client(topology, settings) as main:
        for number in range(rounds):
            edition = f"{name}-{number}"
            async with main.edition(edition) as branch:
                plain = [await _answered(main, f"{edition}-{one}") for one in range(_PLAIN)]
                made = await main.editions.create(edition)
                recorded.append(made.registry_ms)
                first.append(await _answered(branch, "somebody") / median(plain))
            await main.editions.delete(edition)
    return recorded, first


async def _answered(client: Client, root: str) -> float:
    started = time.perf_counter()
    reply = await client.execute(pb.RegisterPlayer(name="somebody"), root=root)
    if not reply.accepted:
        raise RuntimeError(f"{root} was not registered: {reply.reason}")
    return time.perf_counter() - started


class Rates:
    """Commands a second of one worker, in main and in editions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = Producer(settings.producer(linger_ms=20, queue_buffering_max_messages=1_000_000))

    async def compare(self, rounds: int, commands: int, progress: Progress) -> tuple[list[float], list[float]]:
        """Of an edition, and of main, after a round that is not counted."""
        rates: dict[str, list[float]] = {"busy": [], MAIN: []}
        async with Client(topology, self._settings) as client:
            await client.editions.create("busy")
            try:
                for turn in range(rounds + 1):
                    for edition in sorted(rates, reverse=turn % 2 == 0):  # who goes first changes
                        rate = await asyncio.to_thread(self.take, edition, commands)
                        if turn:
                            rates[edition].append(rate)
                    if turn:
                        progress(
                            f"round {turn}: edition {rates['busy'][-1]:,.0f}, main {rates[MAIN][-1]:,.0f} a second"
                        )
            finally:
                await client.editions.delete("busy")
        return rates["busy"], rates[MAIN]

    def take(self, edition: str, commands: int) -> float:
        """Register so many players, one event each, and wait for the events."""
        there = self._settings.model_copy(update={"edition": edition})
        topic, batch = there.names.topic(edition, DOMAIN, "commands"), uuid.uuid4().hex[:8]
        reader = Reader(there, DOMAIN)
        _read_all(reader, seconds=1.0)
        payload, kind = pb.RegisterPlayer(name="somebody").SerializeToString(), type_name(pb.RegisterPlayer)
        started = time.perf_counter()
        for number in range(commands):
            root = f"{batch}-{player(number)}"
            headers = command_headers(there, kind, root, f"{batch}{number:024x}", number)
            self._producer.produce(topic, payload, root, headers=headers)
        self._producer.flush()
        seen, last = 0, time.monotonic()
        while seen < commands:
            if taken := len(reader.take(5_000, 0.02)):
                seen, last = seen + taken, time.monotonic()
            elif time.monotonic() - last > _PATIENCE:
                raise TimeoutError(f"{seen:,} of {commands:,} events of {edition} came")
        rate = commands / (time.perf_counter() - started)
        reader.close()
        return rate


def _read_all(reader: Reader, seconds: float) -> None:
    """Take what is there already."""
    while reader.take(5_000, seconds):
        pass


def _loads(rounds: int, events: int) -> list[float]:
    """Milliseconds of the first load of an inherited root in an edition, whose store is new each time."""
    with TemporaryDirectory(prefix="headrace-bench-") as folder:
        balance = write_history(Path(folder) / "store", events)
        store = PartitionStore(Path(folder) / "store")
        taken = [_load(store, f"edition-{number}", events, balance) for number in range(rounds)]
        store.close()
    return taken


def _load(store: PartitionStore, edition_id: str, events: int, balance: int) -> float:
    own = EditionPart(store, edition_id).edition(edition_id)
    fork = Fork(own, store.edition(MAIN), DomainCut(moment=LATEST))
    cache, batch = StateCache(States(topology.aggregate(DOMAIN)), fork, 1000), Batch(fork)
    started = time.perf_counter()
    live = cache.use(ROOT, batch)
    taken = (time.perf_counter() - started) * 1000
    state: Any = live.state
    if (live.sequence, state.bankroll) != (events - 1, balance):
        raise RuntimeError(f"loaded sequence {live.sequence} and {state}, not a balance of {balance}")
    return taken
