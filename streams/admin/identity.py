"""Ids of the cluster and of topics. A topic that is deleted and created again has the same name, but another id."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from headrace.streams.settings import Settings

_SECONDS = 10
_64_BITS = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Identity:
    """Ids of a cluster and of some of its topics."""

    cluster: str = ""
    topics: dict[str, str] = field(default_factory=dict)
    """By name; those that are missing are left out."""


def identify(settings: Settings, topics: Iterable[str]) -> Identity:
    """The ids of these topics; raises KafkaException when the brokers do not answer."""
    names = list(dict.fromkeys(topics))
    client = AdminClient(settings.client())
    cluster: Any = client.list_topics(names[0], timeout=_SECONDS).cluster_id
    found: dict[str, str] = {}
    for name, future in client.describe_topics(TopicCollection(names), request_timeout=_SECONDS).items():
        try:
            described: Any = future.result()
        except KafkaException as error:
            if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                raise
            continue
        bits = described.topic_id.get_most_significant_bits(), described.topic_id.get_least_significant_bits()
        found[name] = "".join(f"{part & _64_BITS:016x}" for part in bits)
    return Identity(cluster, found)
