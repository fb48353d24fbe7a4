"""Compares the cluster's topics with those that a topology needs, and creates or repairs them."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException

# an application's strict mypy reads this module too, and these names are not exported explicitly there
from confluent_kafka.admin import (  # type: ignore[attr-defined,unused-ignore]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import end_offsets
from headrace.topology.topology import TopicSpec, Topology, projections_topic, replies_topic

_WRAPPING = 64 * 1024
"""Bytes by which a record that waits is larger than it was, at most."""
# what a topic's setting must be for the engine to be right; others, such as retention, are the operator's
_CHECKED = ("cleanup.policy", "max.message.bytes", "message.timestamp.type")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the cluster has it."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str] = field(default_factory=dict)


class TopicsUnfit(RuntimeError):
    """The cluster's topics are not what the topology needs; `problems` has a line for each difference."""

    def __init__(self, problems: Sequence[str]) -> None:
        lines = "\n".join(f"  - {p}" for p in problems)
        super().__init__(
            f"{len(problems)} topic(s) are not as the topology needs them:\n{lines}\n"
            "`headrace topics create` makes missing topics, `headrace topics create --repair` changes settings"
        )
        self.problems = list(problems)


def admin(settings: Settings) -> AdminClient:
    """An admin client of the deployment's cluster."""
    return AdminClient(settings.client())


def wanted(settings: Settings, topology: Topology, domains: Iterable[str] | None = None) -> list[TopicSpec]:
    """All topics that a deployment of `topology` needs."""
    return [
        *topology.topics(settings.names, settings.partitions, settings.edition, domains),
        *([projections_topic(settings.names)] if topology.projectors else []),
        replies_topic(settings.names, settings.reply_partitions),
    ]


def describe(client: AdminClient, names: Iterable[str]) -> dict[str, Topic]:
    """Those of the named topics that exist. Raises KafkaException if the cluster does not answer."""
    found = client.list_topics(timeout=10).topics
    here = [name for name in names if name in found and found[name].error is None]
    if not here:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in here]
    answers = client.describe_configs(resources, request_timeout=10)
    configs: dict[str, dict[str, str]] = {}
    for resource, future in answers.items():
        try:
            configs[resource.name] = {name: entry.value or "" for name, entry in future.result().items()}
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:  # deleted since it was listed
                raise
    return {
        name: Topic(
            name,
            len(found[name].partitions),
            min((len(p.replicas) for p in found[name].partitions.values()), default=0),
            configs[name],
        )
        for name in here
        if name in configs
    }


def problems(wanted: Sequence[TopicSpec], actual: dict[str, Topic], *, fixed_partitions: bool) -> list[str]:
    """The differences between the cluster's topics and the needed ones, a line each.

    Topics of one domain must have the same number of partitions, and exactly the wanted one if `fixed_partitions`.
    """
    lines: list[str] = []
    first: dict[str, TopicSpec] = {}
    for spec in wanted:
        topic = actual.get(spec.name)
        if topic is None:
            lines.append(f"{spec.name} is missing")
            continue
        domain = spec.name.rsplit(".", 1)[0]
        leader = first.setdefault(domain, spec)
        if fixed_partitions and topic.partitions != spec.partitions:
            lines.append(f"{spec.name} has {topic.partitions} partitions, not {spec.partitions}")
        elif topic.partitions != actual[leader.name].partitions:
            lines.append(
                f"{spec.name} has {topic.partitions} partitions, but {leader.name} has "
                f"{actual[leader.name].partitions}; topics of one domain need the same number"
            )
        for name in _CHECKED:
            need, have = spec.config.get(name), topic.config.get(name, "")
            if need is None or have == need or (name == "max.message.bytes" and int(have or 0) >= int(need)):
                continue
            lines.append(f"{spec.name} has {name}={have}, not {need}")
    return lines


def create(settings: Settings, specs: Iterable[TopicSpec]) -> list[str]:
    """Create topics, and return the names of those that did not exist. Raises KafkaException naming the topic."""
    new = [
        NewTopic(s.name, num_partitions=s.partitions, replication_factor=settings.replication, config=s.config)
        for s in specs
    ]
    if not new:
        return []
    made: list[str] = []
    client = admin(settings)  # its futures complete only while it is referenced
    for name, future in client.create_topics(new, request_timeout=30, operation_timeout=30).items():
        try:
            future.result()
            made.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    _await_leaders(settings, [topic for topic in new if topic.topic in made])
    return made


def _await_leaders(settings: Settings, made: Sequence[NewTopic], seconds: float = 30) -> None:
    """Wait until new topics can be used: brokers learn about a topic and its leaders a moment after its creation."""
    partitions = [(topic.topic, number) for topic in made for number in range(topic.num_partitions)]
    deadline = time.monotonic() + seconds
    while True:
        try:
            end_offsets(settings, partitions)
            return
        except KafkaException:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def repair(settings: Settings, wanted: Sequence[TopicSpec], actual: dict[str, Topic]) -> list[str]:
    """Correct settings, and add partitions to empty topics; returns a line for each change."""
    client = admin(settings)
    done: list[str] = []
    for spec in wanted:
        topic = actual.get(spec.name)
        if topic is None:
            continue
        wrong = {k: v for k, v in spec.config.items() if k in _CHECKED and topic.config.get(k) != v}
        if wrong:
            entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in wrong.items()]
            resource = ConfigResource(ResourceType.TOPIC, spec.name, incremental_configs=entries)
            for future in client.incremental_alter_configs([resource]).values():
                future.result()
            done.append(f"{spec.name}: set " + ", ".join(f"{k}={v}" for k, v in wrong.items()))
        if topic.partitions < spec.partitions and _empty(settings, topic):
            for future in client.create_partitions([NewPartitions(spec.name, spec.partitions)]).values():
                future.result()
            done.append(f"{spec.name}: {spec.partitions} partitions instead of {topic.partitions}")
    return done


def _empty(settings: Settings, topic: Topic) -> bool:
    ends = end_offsets(settings, [(topic.name, number) for number in range(topic.partitions)])
    return all(end == 0 for _, end in ends.values())


def fit(settings: Settings, topology: Topology, domains: Iterable[str] | None = None) -> dict[str, Topic]:
    """The topics that a worker needs, as the cluster has them; raises TopicsUnfit if they differ from what it needs."""
    *own, replies = wanted(settings, topology, domains)
    components = list(topology.components if domains is None else domains)
    read = {component: _read(settings, topology, component) for component in components}
    others = dict.fromkeys(name for names in read.values() for name in names)
    client = admin(settings)
    actual = describe(client, dict.fromkeys([*(spec.name for spec in (*own, replies)), *others]))
    found = problems(own, actual, fixed_partitions="partitions" in settings.model_fields_set)
    found += problems([replies], actual, fixed_partitions=False)
    found += [f"{name} is missing" for name in others if name not in actual]
    found += _outdated(client, settings, topology, components)
    for component in components:
        counts = {name: actual[name].partitions for name in read[component] if name in actual}
        found += _too_small(settings, topology, component, actual)
        if len(set(counts.values())) > 1:
            text = ", ".join(f"{name} ({count})" for name, count in counts.items())
            found.append(f"the inputs of {component} need the same number of partitions: {text}")
    if found:
        raise TopicsUnfit(list(dict.fromkeys(found)))
    return actual


def _too_small(settings: Settings, topology: Topology, component: str, actual: dict[str, Topic]) -> list[str]:
    """Inputs with records that could not wait in the component's changelog, behind a dead one."""
    spec, names = topology.component(component), settings.names
    changelog = actual.get(names.topic(settings.edition, component, "snapshots"))
    if spec.takes_commands or "inbox" not in spec.topics or changelog is None:
        return []
    room = _limit(changelog) - _WRAPPING
    return [
        f"{name} has max.message.bytes={limit}, and such a record could not wait in {changelog.name}, which takes "
        f"{room + _WRAPPING}: set it there to {limit + _WRAPPING} or more"
        for name in topology.inputs(component, names, settings.edition)
        if name in actual and (limit := _limit(actual[name])) > room
    ]


def _limit(topic: Topic) -> int:
    return int(topic.config.get("max.message.bytes") or 0)


def _read(settings: Settings, topology: Topology, component: str) -> list[str]:
    """Topics that a component reads, and the topic whose partitions its group distributes."""
    names, edition = settings.names, settings.edition
    return [topology.subscription(component, names, edition), *topology.inputs(component, names, edition)]


def _outdated(client: AdminClient, settings: Settings, topology: Topology, components: Iterable[str]) -> list[str]:
    """Topics of a release without inboxes: records in them would wait forever."""
    there = client.list_topics(timeout=10).topics
    found = []
    for component in components:
        if not topology.component(component).takes_commands:
            continue
        inbox = settings.names.topic(settings.edition, component, "inbox")
        old = f"{inbox.removesuffix('.inbox')}.rejections"
        if old in there:
            found.append(f"{old} is of an earlier release; {inbox} took its place, and nothing reads it: delete it")
    return found


def reply_partitions(consumer: Consumer, topic: str) -> int:
    """Partitions of the replies topic; 0 when it is missing."""
    metadata: Any = consumer.list_topics(topic, timeout=10).topics.get(topic)
    return 0 if metadata is None or metadata.error else len(metadata.partitions)
