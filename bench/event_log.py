"""A log of players' events, written as the engine writes it, and held back until it is to be read."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from confluent_kafka import Message, Producer

from headrace.bench.load import DOMAIN, player
from headrace.examples.poker import poker_pb2 as pb
from headrace.schemas.record import rfc3339
from headrace.schemas.stored_event import event_key
from headrace.streams.settings import Settings
from headrace.streams.steps.batch import Output
from headrace.topology.inspection import type_name
from headrace.topology.partitioner import partition_of

_EPOCH = 1_790_000_000_000  # milliseconds: the same call makes the same events
_STATIC = [("ce_specversion", "1.0"), ("ce_source", f"/main/{DOMAIN}")]
_LONGEST = 900_000  # milliseconds that the brokers allow a transaction, by default


def events(settings: Settings, players: int, each: int, together: int) -> Iterator[Output]:
    """`each` events of each player, of `together` players in turn: a registration, then deposits and reservations."""
    topic, moment = settings.names.topic(settings.edition, DOMAIN, "events"), 0
    for first in range(0, players, together):
        for sequence in range(each):
            for number in range(first, min(players, first + together)):
                root, moment = player(number), moment + 1
                cause, event = f"{moment:032x}", _event(number, sequence)
                headers: list[tuple[str, str | bytes | None]] = [
                    *_STATIC,
                    ("ce_type", type_name(type(event))),
                    ("content-type", "application/protobuf"),
                    ("ce_id", f"{root}:{sequence}"),
                    ("ce_sequence", str(sequence)),
                    ("ce_subject", root),
                    ("ce_time", rfc3339(_EPOCH + moment)),
                    ("ce_correlationid", cause),
                    ("ce_causationid", cause),
                ]
                partition = partition_of(root.encode(), settings.partitions)
                yield topic, event.SerializeToString(), event_key(root, sequence), partition, headers


def _event(number: int, sequence: int) -> Any:
    if sequence == 0:
        return pb.PlayerRegistered(name=f"somebody {number}")
    table, balance = f"table-{number % 500}", 10 * sequence
    return (
        pb.FundsReserved(key=table, amount=5, new_balance=balance - 5),
        pb.FundsReleased(key=table, amount=5, new_balance=balance),
        pb.FundsDeposited(amount=10, new_balance=balance),
    )[sequence % 3]


class Held:
    """Keeps readers of what is committed from all that is written behind it, by a transaction that is left open."""

    def __init__(self, settings: Settings) -> None:
        self._producer = Producer(
            settings.producer(transactional_id=f"{settings.prefix}held", transaction_timeout_ms=_LONGEST)
        )
        self._producer.init_transactions(30)
        self._producer.begin_transaction()
        for partition in range(settings.partitions):
            self._producer.produce(settings.names.topic(settings.edition, DOMAIN, "events"), b"", b"held", partition)
        self._producer.flush()

    def release(self) -> None:
        """Let them read."""
        self._producer.abort_transaction(30)


def write(settings: Settings, players: int, each: int, together: int) -> dict[int, int]:
    """Write `events` in transactions of the engine's size; by partition, the offset behind the last one."""
    producer = Producer(
        settings.producer(
            transactional_id=f"{settings.prefix}events",
            queue_buffering_max_messages=1_000_000,
            linger_ms=20,
            compression_type="lz4",
        )
    )
    producer.init_transactions(30)
    ends: dict[int, int] = {}

    def delivered(error: object, message: Message) -> None:
        if error is None:
            ends[message.partition() or 0] = (message.offset() or 0) + 1

    log = events(settings, players, each, together)
    while batch := list(islice(log, settings.batch)):
        producer.begin_transaction()
        for topic, value, key, partition, headers in batch:
            producer.produce(topic, value, key, partition, delivered, headers=headers)
        producer.flush()
        producer.commit_transaction(30)
    return ends
