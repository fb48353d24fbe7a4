"""The bare loop that a rebuild is measured against: the same events and documents, and nothing else.

It consumes the events, parses them, calls the same methods on the same dataclasses in a dictionary, and writes each
document that a batch has changed once, in a transaction with the offsets. It keeps no store, checks nothing, routes
nothing, and cannot recover. The benchmark compares all documents with those that the engine writes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from typing import Any

import msgspec
from confluent_kafka import TopicPartition

from headrace.bench.bare import consumer, producer, take
from headrace.bench.cards import PlayerCard, PlayerCards
from headrace.bench.load import DOMAIN
from headrace.examples.poker import poker_pb2 as pb
from headrace.schemas.headers import Headers
from headrace.streams.runtime.worker import calm_collector
from headrace.streams.settings import Settings

COMPONENT = "player-cards-v1"
_PATIENCE = 120.0  # seconds to get partitions
_STATIC: Headers = [
    ("ce_specversion", "1.0"),
    ("ce_source", f"/main/{COMPONENT}"),
    ("ce_type", "player-cards.v1"),
    ("content-type", "application/json"),
]


class BareProjection:
    """One consumer, one transactional producer, one dictionary."""

    def __init__(self, settings: Settings, assigned: Callable[[], object] = lambda: None) -> None:
        topic, methods = settings.names.topic, PlayerCards()
        self._documents = topic(settings.edition, COMPONENT, "documents")
        self._batch = settings.batch
        self._methods: dict[bytes, tuple[Callable[[bytes], Any], Callable[[PlayerCard, Any], None]]] = {
            b"poker.v1.PlayerRegistered": (pb.PlayerRegistered.FromString, methods.registered),
            b"poker.v1.FundsDeposited": (pb.FundsDeposited.FromString, methods.deposited),
            b"poker.v1.FundsReserved": (pb.FundsReserved.FromString, methods.reserved),
            b"poker.v1.FundsReleased": (pb.FundsReleased.FromString, methods.released),
        }
        self._encode = msgspec.json.Encoder(order="deterministic").encode
        self._cards: dict[bytes, PlayerCard] = {}
        self._consumer, self._producer = consumer(settings), producer(settings)

        def on_assign(consumer: object, partitions: list[TopicPartition]) -> None:
            if partitions:
                assigned()

        self._consumer.subscribe([topic(settings.edition, DOMAIN, "events")], on_assign=on_assign)

    def poll(self, timeout: float) -> list[Any]:
        """The next batch; empty when nothing came for `timeout` seconds."""
        return take(self._consumer, self._batch, timeout)

    def process(self, messages: list[Any]) -> None:
        """Handle a batch in one transaction."""
        produce, cards, methods = self._producer.produce, self._cards, self._methods
        touched: dict[bytes, tuple[int, dict[str, bytes]]] = {}
        offsets: dict[tuple[str, int], int] = {}
        self._producer.begin_transaction()
        for message in messages:
            headers = dict(message.headers())
            root = headers["ce_subject"]
            card = cards.get(root)
            if card is None:
                card = cards[root] = PlayerCard()
            parse, method = methods[headers["ce_type"]]
            method(card, parse(message.value()))
            touched[root] = message.partition(), headers
            offsets[message.topic(), message.partition()] = message.offset() + 1
        for root, (partition, headers) in touched.items():
            cause = f"{headers['ce_source'].decode()}/{headers['ce_id'].decode()}"
            more: Headers = [
                ("ce_id", f"{cause}>{root.decode()}"),
                ("ce_subject", root),
                ("ce_time", headers["ce_time"]),
                ("ce_causationid", cause),
                ("ce_correlationid", headers["ce_correlationid"]),
            ]
            produce(self._documents, self._encode(cards[root]), root, partition, None, None, 0, [*_STATIC, *more])
        self._producer.flush()
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        self._producer.send_offsets_to_transaction(places, self._consumer.consumer_group_metadata())
        self._producer.commit_transaction()


@contextmanager
def bare_projection(settings: Settings) -> Iterator[int]:
    """The process id of a bare loop that has its partitions."""
    context = get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_serve, args=(settings, ready), daemon=True)
    process.start()
    try:
        if not ready.wait(_PATIENCE):
            raise RuntimeError(f"the bare loop has no partitions after {_PATIENCE:g} s")
        yield process.pid or 0
    finally:
        process.terminate()
        process.join()


def _serve(settings: Settings, ready: Event) -> None:
    loop = BareProjection(settings, ready.set)
    calm_collector()
    while True:
        if messages := loop.poll(0.2):
            loop.process(messages)
