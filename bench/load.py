"""What the benchmarks share: a cluster, topics of their own, and commands produced ahead of time."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka import Producer

from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker import topology
from headrace.schemas import codecs
from headrace.schemas.record import CloudEvent
from headrace.streams import topics
from headrace.streams.alarm import Alarm
from headrace.streams.component import Component
from headrace.streams.embedded import EmbeddedKafka
from headrace.streams.metrics import Metrics
from headrace.streams.settings import Settings
from headrace.streams.shard import Plan
from headrace.streams.tracing import Tracing
from headrace.topology import Names
from headrace.topology.inspection import type_name

DOMAIN = "player"


@contextmanager
def cluster() -> Iterator[str]:
    """Brokers to measure against: those that are configured, else one of our own."""
    given = Settings().bootstrap
    if given:
        yield given
        return
    with EmbeddedKafka() as kafka:
        yield kafka.bootstrap


@contextmanager
def deployment(bootstrap: str, partitions: int) -> Iterator[Settings]:
    """Topics under a new prefix and a folder for stores; both are gone afterwards."""
    with TemporaryDirectory(prefix="headrace-bench-") as folder:
        settings = Settings(
            bootstrap=bootstrap,
            prefix=f"bench-{uuid.uuid4().hex[:8]}.",
            partitions=partitions,
            reply_partitions=4,
            state_dir=Path(folder),
        )
        admin = topics.admin(settings)
        specs = topics.wanted(settings, topology, [DOMAIN])
        topics.create(admin, specs, -1)
        try:
            yield settings
        finally:
            for future in admin.delete_topics([spec.name for spec in specs], request_timeout=30).values():
                future.exception()


def plan(settings: Settings, folder: str, max_bytes: int = 1_048_588) -> Plan:
    """The player component of a deployment, with a store folder of its own."""
    return Plan(
        topology=topology,
        word=DOMAIN,
        settings=settings,
        folder=settings.state_dir / folder,
        editions=[settings.edition],
        partitions=settings.partitions,
        reply_partitions=settings.reply_partitions,
        counts={},
        max_bytes=max_bytes,
    )


def component(settings: Settings, folder: str = "engine") -> Component:
    """The engine for players, as a worker runs it, to be driven by the benchmark's thread."""
    return Component(plan(settings, folder), "bench", Metrics(), Tracing(), Alarm(""))


def deposits(settings: Settings, roots: int, each: int) -> int:
    """Produce a registration and then `each` deposits for each of `roots` players, asking for answers.

    The number of commands produced.
    """
    producer = Producer(
        settings.producer(linger_ms=20, batch_num_messages=10_000, queue_buffering_max_messages=2_000_000)
    )
    topic = Names(settings.prefix).topic(settings.edition, DOMAIN, "commands")
    count = 0
    for turn in range(each + 1):
        message = pb.DepositFunds(amount=5) if turn else pb.RegisterPlayer(name="somebody")
        payload = message.SerializeToString()
        for number in range(roots):
            root = f"player-{number:06d}"
            count += 1
            event = CloudEvent(
                id=f"{uuid.uuid4().hex[:20]}",
                source="/bench",
                type=type_name(type(message)),
                subject=root,
                content_type=codecs.PROTOBUF,
                extensions={"replyto": f"{settings.names.replies}/{number % settings.reply_partitions}"},
            )
            producer.produce(topic, payload, root, headers=event.headers())
            if count % 10_000 == 0:
                producer.poll(0)
    producer.flush()
    return count


def until(condition: str, deadline: float, check: object) -> None:
    """Wait for `check()` to be true; raises TimeoutError that names the condition."""
    end = time.monotonic() + deadline
    while not check():  # type: ignore[operator]
        if time.monotonic() > end:
            raise TimeoutError(f"{condition} did not come true within {deadline:g} s")
