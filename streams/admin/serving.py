"""Which version of each projector serves, as a topic of the deployment records it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException, Producer

from headrace.schemas.record import rfc3339
from headrace.streams.clock import now_ms
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import read

_SECONDS = 30


class ServingChanged(RuntimeError):
    """Somebody else has switched in the meantime; nothing was written."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves for one projector."""

    version: int
    since: str
    """When it was recorded, as RFC 3339."""
    before: int | None
    """The version that served before it; None if none was recorded."""


def serving(settings: Settings) -> Mapping[str, Serving]:
    """What serves in the deployment's edition, by projector; a projector that was never switched is left out.

    Raises KafkaException, or TimeoutError while somebody else is switching.
    """
    found: dict[str, Serving] = {}
    for message in read(settings, settings.names.projections):
        edition, _, projector = (message.key() or b"").decode().partition("/")
        if edition == settings.edition and (value := message.value()) is not None:
            row = json.loads(value)
            found[projector] = Serving(row["version"], row["since"], row["before"])
    return found


def record(settings: Settings, projector: str, version: int, expected: Serving | None) -> Serving:
    """Record that a version serves from now on. Raises ServingChanged unless `expected` is what was recorded last.

    There is one writer at a time: all have the same transactional id, so that the brokers refuse an earlier one.
    """
    producer = Producer(settings.producer(transactional_id=f"{settings.prefix}headrace.projections"))
    producer.init_transactions(_SECONDS)
    before = serving(settings).get(projector)
    if before != expected:
        now = "nothing" if before is None else f"version {before.version} since {before.since}"
        raise ServingChanged(f"{projector}: {now} is recorded by now; look at it with `headrace projections list`")
    new = Serving(version, rfc3339(now_ms()), None if before is None else before.version)
    row = {"version": new.version, "since": new.since, "before": new.before}
    producer.begin_transaction()
    producer.produce(settings.names.projections, json.dumps(row), f"{settings.edition}/{projector}", 0)
    try:
        producer.commit_transaction(_SECONDS)
    except KafkaException as error:
        raise ServingChanged(f"{projector}: the switch was not recorded, or another one has won: {error}") from error
    return new
