"""Writes to a compacted topic of one partition, by one writer at a time, who has read all that earlier ones wrote."""

from collections.abc import Callable, Iterable, Mapping

from confluent_kafka import KafkaError, KafkaException, Producer

from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import read

_SECONDS = 30
_REFUSED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,
)

Latest = Mapping[bytes, bytes]
"""The latest value of each key; a key that was deleted is left out."""
Rows = Iterable[tuple[bytes, bytes]]
"""Keys and values to write."""


class NotConfirmed(RuntimeError):
    """Another writer has taken over, or no answer came: what was to be written is in the topic, or will never be."""


def latest(settings: Settings, topic: str) -> dict[bytes, bytes]:
    """The latest value of each key. Raises KafkaException, or TimeoutError while somebody's transaction is open."""
    found: dict[bytes, bytes] = {}
    for message in read(settings, topic):
        key, value = message.key() or b"", message.value()
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def compare_and_set(settings: Settings, topic: str, writer: str, decide: Callable[[Latest], Rows]) -> None:
    """Write what `decide` makes of the topic's latest values, in one transaction; if it raises, nothing is written.

    All writers of a topic have the same transactional id, `writer`: the brokers refuse an earlier one as soon as a
    later one has begun, and a transaction that was left open ends then. So nobody writes between reading and writing.

    Raises NotConfirmed, KafkaException, TimeoutError, and what `decide` raises.
    """
    producer = Producer(settings.producer(transactional_id=f"{settings.prefix}{writer}"))
    try:
        producer.init_transactions(_SECONDS)
        rows = list(decide(latest(settings, topic)))  # read after that, so that no earlier writer can follow
        if not rows:
            return
        producer.begin_transaction()
        for key, value in rows:
            producer.produce(topic, value, key, 0)
        producer.commit_transaction(_SECONDS)
    except KafkaException as error:
        if error.args[0].code() in _REFUSED:
            raise
        raise NotConfirmed(str(error)) from error
