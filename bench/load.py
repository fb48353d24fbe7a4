"""What the benchmarks share: a cluster, topics of their own, and commands produced ahead of time."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka import Producer

from headrace.embedded import EmbeddedKafka
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker import topology
from headrace.schemas import codecs
from headrace.schemas.headers import CORRELATION, REPLY_TO, Headers
from headrace.schemas.record import CloudEvent
from headrace.streams.admin import topics
from headrace.streams.observability.alerts import Alerts
from headrace.streams.observability.metrics import Metrics
from headrace.streams.observability.tracing import Tracing
from headrace.streams.runtime.component import Component
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.settings import Settings
from headrace.topology.inspection import type_name
from headrace.topology.topology import Topology

DOMAIN = "player"
POKER = "headrace.examples.poker:topology"
Progress = Callable[[str], None]
"""Takes a line that tells how far a benchmark is."""


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
def deployment(
    bootstrap: str, partitions: int, topology: Topology = topology, components: Sequence[str] = (DOMAIN,)
) -> Iterator[Settings]:
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
        specs = topics.wanted(settings, topology, components)
        topics.create(settings, specs)
        try:
            yield settings
        finally:
            for future in admin.delete_topics([spec.name for spec in specs], request_timeout=30).values():
                future.exception()


def config(settings: Settings, folder: str) -> ComponentConfig:
    """The player component of a deployment, with a store folder of its own."""
    return ComponentConfig(
        topology=topology,
        name=DOMAIN,
        settings=settings,
        folder=settings.state_dir / folder,
        instance="bench",
        editions=[settings.edition],
        partitions=settings.partitions,
        reply_partitions=settings.reply_partitions,
        counts={},
        max_bytes=1_048_588,
    )


def component(settings: Settings, metrics: Metrics) -> Component:
    """The engine for players, as a worker runs it, to be driven by the benchmark's thread."""
    return Component(config(settings, "engine"), metrics, Tracing(), Alerts(""))


def deposits(settings: Settings, roots: int, each: int) -> int:
    """Produce a registration and then `each` deposits for each of `roots` players, asking for answers.

    The same call makes the same records. Returns their number.
    """
    producer = Producer(
        settings.producer(linger_ms=20, batch_num_messages=10_000, queue_buffering_max_messages=2_000_000)
    )
    topic = settings.names.topic(settings.edition, DOMAIN, "commands")
    count = 0
    for turn in range(each + 1):
        message = pb.DepositFunds(amount=5) if turn else pb.RegisterPlayer(name="somebody")
        payload = message.SerializeToString()
        for number in range(roots):
            root = player(number)
            headers = command_headers(settings, type_name(type(message)), root, f"{count:032x}", number)
            count += 1
            producer.produce(topic, payload, root, headers=headers)
            if count % 10_000 == 0:
                producer.poll(0)
    producer.flush()
    return count


def player(number: int) -> str:
    """The root of a player."""
    return f"player-{number:06d}"


def command_headers(settings: Settings, kind: str, root: str, command_id: str, number: int) -> Headers:
    """Headers as the Client sends them with a command that it awaits the answer to."""
    return CloudEvent(
        id=command_id,
        source="/main/client/bench",
        type=kind,
        subject=root,
        content_type=codecs.PROTOBUF,
        extensions={
            CORRELATION[3:]: command_id,
            REPLY_TO[3:]: f"{settings.names.replies}/{number % settings.reply_partitions}",
        },
    ).headers()


def at_least(name: str, value: int, least: int) -> None:
    """Raises ValueError when the option `name` is below `least`."""
    if value < least:
        raise ValueError(f"{name} is {value}; it must be {least} or more")


def median(values: Sequence[float]) -> float:
    """The middle one, or the lower of the two in the middle."""
    return sorted(values)[(len(values) - 1) // 2]


def quantile(ordered: Sequence[float], part: float) -> float:
    """The value that `part` (0 … 1) of the ordered values do not exceed; no interpolation."""
    if not ordered:
        raise ValueError("no values")
    rank = -int(-part * len(ordered) // 1)  # rounded up
    return ordered[min(len(ordered), max(1, rank)) - 1]
