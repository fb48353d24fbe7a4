"""Topics of an edition."""

from collections.abc import Collection

from headrace.streams.admin.topics import admin, create
from headrace.streams.editions.record import Edition
from headrace.streams.settings import Settings
from headrace.topology.names import MAIN
from headrace.topology.topology import TopicSpec, Topology


def specs(settings: Settings, topology: Topology, edition: Edition) -> list[TopicSpec]:
    """The topics that an edition needs, each with as many partitions as that of main, so that both lie together.

    Those of projectors only if they run in it. Raises KafkaException.
    """
    there = admin(settings).list_topics(timeout=10).topics
    names, found = settings.names, []
    for spec in topology.topics(names, settings.partitions, edition.name, components(topology, edition.projections)):
        split = names.split(spec.name)
        assert split is not None
        main = there.get(names.topic(MAIN, split[1], split[2]))
        count = settings.partitions if main is None else len(main.partitions)
        found.append(TopicSpec(spec.name, count, spec.config))
    return found


def components(topology: Topology, projections: Collection[str]) -> list[str]:
    """The components that run in an edition: all but projectors, and of these the ones that were asked for."""
    left_out = {
        part.name
        for name, versions in topology.projectors.items()
        if name not in projections
        for spec in versions.values()
        for part in (spec, *spec.parts)
    }
    return [name for name in topology.components if name not in left_out]


def make(settings: Settings, topology: Topology, edition: Edition) -> list[str]:
    """Make the topics of an edition that are missing, in one request, and name them. Raises KafkaException."""
    return create(settings, specs(settings, topology, edition))


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
