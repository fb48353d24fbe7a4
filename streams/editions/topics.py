"""Topics of an edition: those that are always used, which are made with it, and those that are made when needed."""

from collections.abc import Collection

from headrace.streams.admin.topics import admin, create
from headrace.streams.settings import Settings
from headrace.topology.names import MAIN
from headrace.topology.topology import TopicSpec, Topology

_ALWAYS = ("commands", "events", "snapshots")
"""Kinds of topics that an aggregate uses as soon as it gets a command."""


def specs(settings: Settings, topology: Topology, edition: str) -> list[TopicSpec]:
    """All topics that an edition may need, each with as many partitions as that of main, so that both lie together.

    Raises KafkaException.
    """
    there = admin(settings).list_topics(timeout=10).topics
    names, found = settings.names, []
    for spec in topology.topics(names, settings.partitions, edition):
        split = names.split(spec.name)
        assert split is not None
        main = there.get(names.topic(MAIN, split[1], split[2]))
        count = settings.partitions if main is None else len(main.partitions)
        found.append(TopicSpec(spec.name, count, spec.config))
    return found


def make_first(settings: Settings, topology: Topology, edition: str) -> list[str]:
    """Make the topics of an edition that are always used; the names of those that were not there yet."""
    first = {settings.names.topic(edition, name, kind) for name in topology.aggregates for kind in _ALWAYS}
    return make(settings, topology, edition, first)


def make(settings: Settings, topology: Topology, edition: str, wanted: Collection[str]) -> list[str]:
    """Make those of an edition's topics that are wanted and missing, in one request; the names of those made.

    A worker says first that it holds the edition (`Holder`), so that none is made after the edition was deleted.
    Raises KafkaException.
    """
    return create(settings, [spec for spec in specs(settings, topology, edition) if spec.name in wanted])


def owned(settings: Settings, edition: str) -> list[str]:
    """Topics of an edition that the cluster has, whatever the topology says. Raises KafkaException."""
    begin = f"{settings.prefix}{edition}."
    there = admin(settings).list_topics(timeout=10).topics
    return sorted(topic for topic in there if topic.startswith(begin) and settings.names.split(topic) is not None)


def delete(settings: Settings, topics: Collection[str]) -> None:
    """Delete topics, and wait until they are gone. Raises KafkaException."""
    client = admin(settings)
    for future in client.delete_topics(list(topics), operation_timeout=30).values() if topics else ():
        future.result()
