"""Documents a second from their topic into Redis, beside a bare loop, and the time of one read.

Uses REDIS_URL, else a redis-server of its own.
"""

import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from headrace.bench.load import Progress, at_least, median, quantile
from headrace.connectors.redis import Documents, Redis
from headrace.connectors.redis.connection import connect
from headrace.connectors.redis.keys import Keys
from headrace.connectors.redis.metrics import Metrics
from headrace.connectors.redis.writer import Writer
from headrace.embedded.broker import free_ports
from headrace.streams.admin import topics
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import end_offsets
from headrace.topology.projector import Projector
from headrace.topology.topology import TopicSpec

TARGETS = {"redis_documents_per_second": ">= 30000", "redis_get_p99_ms": "< 1"}
_TRANSACTION = 1000
_PATIENCE = 120.0


@dataclass
class Card:
    """A document of about 200 bytes."""

    name: str = ""
    bankroll: int = 0
    hands: int = 0
    note: str = "x" * 120


class Taken(NamedTuple):
    """What a load took."""

    rate: float
    """Documents a second."""
    cpu_us: float
    """Processor time of this process for one document, Kafka's client included."""


class Cards(Projector[Card]):
    """One card a player."""

    name = "bench-cards"


def redis_sink(
    progress: Progress,
    bootstrap: str,
    *,
    documents: int = 200_000,
    partitions: int = 6,
    rounds: int = 3,
    reads: int = 20_000,
) -> dict[str, Any]:
    """Load a topic into Redis `rounds` times, in turn with the bare loop, then read single documents."""
    at_least("rounds", rounds, 1)
    at_least("documents", documents, 6_000)  # the first batch, of up to 2,000, only starts the clock
    with _redis(), _topic(bootstrap, partitions) as settings:
        progress(f"writing {documents:,} documents")
        _write(settings, documents)
        ours: list[Taken] = []
        bare: list[Taken] = []
        for turn in range(rounds):
            ours.append(_load(settings, documents))
            bare.append(_bare_loop(settings, documents))
            progress(f"round {turn + 1} of {rounds}: {ours[-1].rate:,.0f} a second, bare loop {bare[-1].rate:,.0f}")
        times = sorted(_read(settings, documents, reads))
    return {
        "bench": "redis",
        "what": f"{documents:,} documents of about 200 bytes in {partitions} partitions, into a Redis without them",
        "how": "the writer in this process, read_committed, from its first batch to its last; "
        "in turn with a loop that reads the same records and sends MSETs, and keeps no positions; "
        f"medians of {rounds}; then {reads:,} reads of one document after the other, pointer included",
        "redis_documents_per_second": round(median([each.rate for each in ours])),
        "redis_bare_loop_per_second": round(median([each.rate for each in bare])),
        "redis_writer_cpu_us": round(median([each.cpu_us for each in ours]), 1),
        "redis_bare_loop_cpu_us": round(median([each.cpu_us for each in bare]), 1),
        "redis_get_p50_ms": round(quantile(times, 0.5) * 1000, 3),
        "redis_get_p99_ms": round(quantile(times, 0.99) * 1000, 3),
        "redis_rounds": [round(each.rate) for each in ours],
    }


@contextmanager
def _redis() -> Iterator[None]:
    """REDIS_URL names a server; it is one of our own, gone afterwards, unless the environment names one already."""
    if os.environ.get("REDIS_URL"):
        yield
        return
    if (program := shutil.which("redis-server")) is None:
        raise RuntimeError("no Redis to measure: set REDIS_URL, or install redis-server")
    (port,) = free_ports(1)
    os.environ["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    with TemporaryDirectory(prefix="headrace-bench-") as folder:
        command = (program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "")
        with Path(folder, "redis.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _await(_answers, "redis-server answered")
            yield
        finally:
            del os.environ["REDIS_URL"]
            process.terminate()
            process.wait()


def _answers() -> bool:
    try:
        connect(os.environ["REDIS_URL"]).close()
    except Exception:
        return False
    return True


@contextmanager
def _topic(bootstrap: str, partitions: int) -> Iterator[Settings]:
    settings = Settings(bootstrap=bootstrap, prefix=f"bench-{uuid4().hex[:8]}.", partitions=partitions)
    admin = topics.admin(settings)
    name = _name(settings)
    topics.create(settings, [TopicSpec(name, partitions, {"cleanup.policy": "compact"})])
    try:
        yield settings
    finally:
        admin.delete_topics([name], request_timeout=30)[name].exception()


def _name(settings: Settings) -> str:
    return settings.names.topic(settings.edition, "bench-cards-v1", "documents")


def _write(settings: Settings, documents: int) -> None:
    producer = Producer(settings.producer(transactional_id=f"{settings.prefix}documents", linger_ms=20))
    producer.init_transactions()
    for begin in range(0, documents, _TRANSACTION):
        producer.begin_transaction()
        for number in range(begin, min(begin + _TRANSACTION, documents)):
            value = msgspec.json.encode(Card(f"player-{number}", number, 3))
            producer.produce(_name(settings), value, f"player-{number}", headers={"content-type": "application/json"})
        producer.commit_transaction()


def _load(settings: Settings, documents: int) -> Taken:
    """What a writer takes from its first batch to its last."""
    keys, metrics, stop = Keys(settings.prefix, settings.edition), Metrics(["bench-cards-v1"]), threading.Event()
    with Documents(settings=settings) as reader:
        redis = connect(os.environ["REDIS_URL"])
        for number in range(settings.partitions):
            redis.delete(keys.position("bench-cards-v1", number))
        written = metrics.documents.labels("bench-cards-v1")._value
        thread = threading.Thread(target=Writer(settings, Redis(Cards), metrics, stop).run)
        thread.start()
        try:
            _await(lambda: written.get() > 0, "the writer began")
            began, cpu, before = time.perf_counter(), time.process_time(), written.get()
            _await(lambda: written.get() >= documents, "all was written")
            count = documents - before
            taken = Taken(count / (time.perf_counter() - began), (time.process_time() - cpu) / count * 1e6)
            ends = {number: end for (_, number), (_, end) in _ends(settings).items()}
            _await(lambda: reader.reached(Cards) == ends, "Redis was at the end of the log")
        finally:
            stop.set()
            thread.join()
            redis.close()
        return taken


def _bare_loop(settings: Settings, documents: int) -> Taken:
    """What a loop takes that sends batches to Redis as they come, from its first one to its last."""
    consumer = Consumer(
        settings.client(group_id=f"{settings.prefix}bare", enable_auto_commit=False, isolation_level="read_committed")
    )
    redis = connect(os.environ["REDIS_URL"])
    consumer.assign([TopicPartition(_name(settings), number, 0) for number in range(settings.partitions)])
    count, first, began, cpu = 0, 0, 0.0, 0.0
    while count < documents:
        batch = {}
        for message in consumer.consume(2000, 1.0):
            if message.error() is None:
                batch[b"bare:" + (message.key() or b"")] = message.value() or b""
        if batch:
            redis.mset(batch)
            count += len(batch)
            if not first:
                first, began, cpu = count, time.perf_counter(), time.process_time()
    taken = count - first
    found = Taken(taken / (time.perf_counter() - began), (time.process_time() - cpu) / taken * 1e6)
    consumer.close()
    redis.close()
    return found


def _read(settings: Settings, documents: int, reads: int) -> Iterator[float]:
    chance = random.Random(1)
    with Documents(settings=settings) as reader:
        for _ in range(reads):
            name = f"player-{chance.randrange(documents)}"
            began = time.perf_counter()
            card = reader.get(Cards, name)
            yield time.perf_counter() - began
            if card is None or card.name != name:
                raise RuntimeError(f"{name} was read as {card}")


def _ends(settings: Settings) -> dict[tuple[str, int], tuple[int, int]]:
    return end_offsets(settings, [(_name(settings), number) for number in range(settings.partitions)])


def _await(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"within {_PATIENCE:g} s it did not happen that {what}")
        time.sleep(0.005)
