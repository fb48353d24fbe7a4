"""Chains of command, event, saga, command, event through worker processes: how many a second, and how long one takes.

One worker process runs the players, another the house and the saga between them. What a reader of committed events
sees is what counts, and in the end the whole log is read: each chain must have ended, and none twice.
"""

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import psutil
from confluent_kafka import Message, Producer

from headrace.bench.chain import topology
from headrace.bench.load import Progress, at_least, command_headers, deployment, median, player, quantile
from headrace.bench.processes import worker
from headrace.bench.reader import Reader, header, whole
from headrace.examples.poker import poker_pb2 as pb
from headrace.schemas.headers import CAUSATION, CORRELATION, TYPE
from headrace.streams.settings import Settings
from headrace.topology.inspection import type_name

TARGETS = {"chains_per_second": ">= 8000", "p50_ms": "< 25", "p99_ms": "< 120"}
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
FIRST, LAST, SAGA = "player", "house", "booking"
_TOPOLOGY = "headrace.bench.chain:topology"
_REGISTER, _DEPOSIT = type_name(pb.RegisterPlayer), type_name(pb.DepositFunds)
_DEPOSITED = type_name(pb.FundsDeposited).encode()
_TIMEOUT = 30.0  # seconds after which a chain counts as an error, and with these seconds
_PATIENCE = 120.0  # seconds without any event, after which the workers are taken to be stuck


def run(
    progress: Progress,
    bootstrap: str,
    *,
    roots: int = 2_000,
    each: int = 20,
    rounds: int = 5,
    rate: int = 100,
    seconds: float = 30.0,
    warm_up: float = 10.0,
    partitions: int = 6,
) -> dict[str, Any]:
    """Rounds of `each` chains for each of `roots` players, after an uncounted one; then `rate` chains per second.

    Raises RuntimeError when a chain is missing, came twice, or left a dead letter.
    """
    at_least("rounds", rounds, 3)
    at_least("rate", rate, 1)
    fast, cpu = [], []
    with deployment(bootstrap, partitions, topology, list(topology.components)) as settings:
        sender = Sender(settings, roots)
        with ExitStack() as stack:
            workers = [
                stack.enter_context(worker(settings, _TOPOLOGY, [FIRST])),
                stack.enter_context(worker(settings, _TOPOLOGY, [LAST, SAGA])),
            ]
            readers = Reader(settings, FIRST), Reader(settings, LAST)
            sender.register()
            for reader in readers:
                _read(reader, roots)
            readers[0].rest()  # it looks at a round afterwards only
            for turn in range(rounds + 1):
                chains, busy = _round(sender, *readers, roots * (each if turn else max(1, each // 2)), workers)
                if turn:
                    fast.append(chains)
                    cpu.append(busy)
                    progress(f"round {turn} of {rounds}: {chains:,.0f} chains per second")
            progress(f"{rate:,} chains per second: {seconds:g} s after {warm_up:g} s of warm-up")
            taken = _open_loop(sender, readers[1], rate, round(warm_up * rate), round(seconds * rate))
        progress("looking whether each chain is there, once")
        audit(settings, sender.ids)
        for reader in readers:
            reader.close()
    ordered = sorted(taken)
    return {
        "bench": "workflow",
        "what": f"chains of a deposit to one of {roots:,} players, its event, the saga's command to the house's ledger "
        f"and that command's event; {partitions} partitions; one worker process with the players, one with the house "
        f"and the saga; {each * roots:,} chains a round as fast as they go, then {len(ordered):,} at {rate:,} a second",
        "how": f"medians of {rounds} rounds after one that is not counted, whose commands become visible at once, by "
        "one transaction, to workers that are warm; from the timestamp of the first player's event (before its "
        "commit) until a read_committed reader in another process has the house's last; worker_cpu_us is processor "
        f"time per chain of both workers; latency in an open loop after {warm_up:g} s of warm-up, from when a command "
        "was due until the reader has its chain's last event; no such event in 30 s counts as an error and as 30 s; "
        "in the end both logs are read whole: each chain is there, none twice, and no dead letter",
        "chains_per_second": round(median(fast)),
        "worker_cpu_us": round(median(cpu), 1),
        "p50_ms": round(quantile(ordered, 0.5), 2),
        "p99_ms": round(quantile(ordered, 0.99), 2),
        "max_ms": round(ordered[-1], 2),
        "count": len(ordered),
        "rate": rate,
        "errors": sum(ms >= _TIMEOUT * 1000 for ms in ordered),
        "quantiles_ms": {f"{q:g}": round(quantile(ordered, q), 2) for q in QUANTILES},
        "chains_rounds": [round(x) for x in fast],
    }


class Sender:
    """Makes the commands that chains begin with; `ids` are those of all of them."""

    def __init__(self, settings: Settings, roots: int) -> None:
        self.ids: list[str] = []
        self._settings, self._roots = settings, roots
        # as the Client's: a lone command does not wait
        self._producer = Producer(settings.producer(enable_idempotence=True, linger_ms=0))

    def register(self) -> None:
        """Register each player, with the house as well, as the ledger is under the same name."""
        for domain in (FIRST, LAST):
            for number in range(self._roots):
                self._produce(self._producer, domain, _REGISTER, pb.RegisterPlayer(name="somebody"), number)
        self._producer.flush()

    def together(self, count: int) -> None:
        """Begin so many chains at one moment: readers of what is committed see none of them, then all."""
        producer = Producer(
            self._settings.producer(
                transactional_id=f"{self._settings.prefix}{uuid.uuid4().hex}",
                linger_ms=20,
                batch_num_messages=10_000,
                queue_buffering_max_messages=2_000_000,
            )
        )
        producer.init_transactions(30)
        producer.begin_transaction()
        for number in range(count):
            self.ids.append(self._produce(producer, FIRST, _DEPOSIT, pb.DepositFunds(amount=5), number))
        producer.flush()
        producer.commit_transaction(30)

    def one(self) -> str:
        """Begin one chain; its id."""
        self.ids.append(self._produce(self._producer, FIRST, _DEPOSIT, pb.DepositFunds(amount=1), len(self.ids)))
        return self.ids[-1]

    def serve(self) -> None:
        """Let the producer tell of what was delivered."""
        self._producer.poll(0)

    def _produce(self, producer: Producer, domain: str, kind: str, message: Any, number: int) -> str:
        topic = self._settings.names.topic(self._settings.edition, domain, "commands")
        root, command_id = player(number % self._roots), uuid.uuid4().hex
        headers = command_headers(self._settings, kind, root, command_id, number)
        producer.produce(topic, message.SerializeToString(), root, headers=headers)
        return command_id


def _read(reader: Reader, count: int) -> list[Message]:
    """The next `count` events; TimeoutError when none came for a long time."""
    found: list[Message] = []
    seen = time.monotonic()
    while len(found) < count:
        if messages := reader.take(min(5000, count - len(found)), 0.1):
            seen = time.monotonic()
            found += messages
        elif time.monotonic() - seen > _PATIENCE:
            raise TimeoutError(f"no event came for {_PATIENCE:g} s, after {len(found):,} of {count:,}")
    return found


def _round(sender: Sender, first: Reader, last: Reader, count: int, workers: Sequence[int]) -> tuple[float, float]:
    """Chains a second, and microseconds of the workers' processor time per chain."""
    before = _busy(workers)
    sender.together(count)
    _read(last, count)
    ended = time.time()
    busy = _busy(workers) - before
    first.resume()
    began = min(message.timestamp()[1] for message in _read(first, count)) / 1000
    first.rest()
    return count / (ended - began), busy / count * 1e6


def _busy(workers: Sequence[int]) -> float:
    """Processor seconds that processes have used."""
    times = [psutil.Process(pid).cpu_times() for pid in workers]
    return float(sum(each.user + each.system for each in times))


def _open_loop(sender: Sender, last: Reader, rate: int, warm_up: int, count: int) -> list[float]:
    """Milliseconds from due to ended of each chain that is counted."""
    due: dict[str, tuple[float, bool]] = {}
    taken: list[float] = []
    start, sent = time.perf_counter(), 0
    everything = warm_up + count
    while sent < everything or due:
        now = time.perf_counter()
        while sent < everything and (at := start + sent / rate) <= now:
            due[sender.one()] = at, sent >= warm_up
            sent += 1
        sender.serve()
        if sent == everything and now > start + sent / rate + _TIMEOUT:
            break
        ahead = start + sent / rate - now if sent < everything else 0.1
        for message in last.take(1, max(0.001, ahead)):
            came = time.perf_counter()
            at, counted = due.pop(header(message, CORRELATION).decode(), (0.0, False))
            if counted:
                taken.append(min(came - at, _TIMEOUT) * 1000)
    return taken + [_TIMEOUT * 1000 for _, counted in due.values() if counted]


def audit(settings: Settings, ids: Sequence[str]) -> None:
    """RuntimeError unless each chain has its two events, once, and nothing became a dead letter."""
    topic = settings.names.topic
    for domain, name in ((FIRST, CAUSATION), (LAST, CORRELATION)):
        deposits = (
            m for m in whole(settings, topic(settings.edition, domain, "events")) if header(m, TYPE) == _DEPOSITED
        )
        found = Counter(header(message, name).decode() for message in deposits)
        missing, twice = set(ids) - found.keys(), [chain for chain, times in found.items() if times > 1]
        if missing or twice or found.keys() - set(ids):
            raise RuntimeError(
                f"of {len(ids):,} chains {len(missing):,} have no event of {domain}, {len(twice):,} have more than "
                f"one, and {len(found.keys() - set(ids)):,} events are of none"
            )
    for word in (FIRST, LAST, SAGA):
        if dead := whole(settings, topic(settings.edition, word, "dead-letters")):
            raise RuntimeError(f"{word} has {len(dead):,} dead letters: {(dead[0].value() or b'')[:500]!r}")
