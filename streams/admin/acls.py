"""ACLs for Kafka's authorizer: for each role of a deployment the rights that it needs, and no others."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.topology.names import MAIN, Names, SinkName
from headrace.topology.topology import Topology

ROLES: Mapping[str, str] = {
    "ops": "makes topics, changes their settings, makes and deletes editions, drops versions of projectors",
    "worker": "runs components",
    "client": "sends commands and reads the answers to them",
    "facts": "states facts and reads the answers to them",
    "operator": "sees all topics, replays and discards dead letters, switches versions of projectors",
    "connect": "runs sinks, in Kafka Connect; besides this, a Connect worker needs its own group and topics",
}
"""What each role does."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a principal may do with one resource, or with all whose names begin with `name`."""

    resource: str
    """topic, group or transactional-id."""
    name: str
    operations: tuple[str, ...]
    prefixed: bool = False


def rules(
    topology: Topology,
    names: Names,
    edition: str,
    components: Iterable[str] | None = None,
    sinks: Mapping[SinkName, Sequence[str]] | None = None,
) -> dict[str, list[Rule]]:
    """Rules by role for a deployment, or for some of its components.

    `sinks` are those that Kafka Connect runs, each with further topics that its connector needs.

    Only workers and operators may write to inboxes, because the engine trusts the records there.
    """
    chosen = list(topology.components if components is None else dict.fromkeys(components))
    asked = [name for name in chosen if topology.component(name).takes_commands]
    groups = Rule("group", f"{names.prefix}headrace.", ("Read",), prefixed=True)
    answers = [
        Rule("topic", names.replies, ("Read",)),
        Rule("group", f"{names.prefix}headrace.client", ("Read",)),
    ]
    ops: tuple[str, ...] = ("Create", "Describe", "DescribeConfigs", "Alter", "AlterConfigs")
    drops: list[Rule] = []
    serving: list[Rule] = []
    switches: list[Rule] = []
    if topology.projectors:
        ops = (*ops, "Delete")  # of a projector's version that is dropped
        drops = [Rule("group", f"{names.prefix}headrace.", ("Delete", "Describe"), prefixed=True)]
        serving = [Rule("topic", names.projections, ("Read",))]
        switches = [
            Rule("topic", names.projections, ("Read", "Write")),
            Rule("transactional-id", f"{names.prefix}headrace.projections", ("Write",)),
        ]
    return {
        "ops": [
            Rule("topic", names.prefix or f"{edition}.", ops, prefixed=True),
            *_unprefixed(names, ops),
            *drops,
            *_of_registry(topology, names, edition, chosen),
        ],
        "worker": [
            *_of_workers(topology, names, edition, chosen),
            Rule("topic", names.editions, ("Read",)),
            Rule("topic", names.workers, ("Write",)),
            Rule("topic", names.replies, ("Write", "DescribeConfigs")),
            groups,
            Rule("transactional-id", f"{names.prefix}headrace.", ("Write",), prefixed=True),
        ],
        "client": [
            *(Rule("topic", names.topic(edition, name, "commands"), ("Write",)) for name in asked),
            *answers,
            *serving,
        ],
        "facts": [
            *(
                Rule("topic", names.topic(edition, name, "facts"), ("Write",))
                for name in asked
                if topology.component(name).facts
            ),
            *answers,
        ],
        "operator": [
            Rule("topic", names.prefix or f"{edition}.", ("Read",), prefixed=True),
            *(Rule("topic", inbox, ("Write",)) for inbox in _inboxes(topology, names, edition, chosen)),
            *(
                Rule("topic", names.topic(edition, name, "dead-letters"), ("Write",))
                for name in chosen
                if "inbox" not in topology.component(name).topics
            ),
            *(
                rule
                for sink in sinks or ()
                for rule in (
                    Rule("topic", sink.topic(names, edition), ("Write",)),
                    Rule("group", _group(sink, names, edition), ("Describe",)),
                )
            ),
            groups,
            *switches,
        ],
        "connect": [rule for sink, topics in (sinks or {}).items() for rule in _of_sink(sink, topics, names, edition)],
    }


def _of_sink(sink: SinkName, topics: Sequence[str], names: Names, edition: str) -> Iterator[Rule]:
    yield Rule("topic", names.topic(edition, sink.component, "documents"), ("Read",))
    yield Rule("topic", sink.topic(names, edition), ("Write",))
    for topic in topics:
        yield Rule("topic", topic, ("Read", "Write"))
    # a reset deletes the group's offsets
    yield Rule("group", _group(sink, names, edition), ("Read", "Delete"))


def _group(sink: SinkName, names: Names, edition: str) -> str:
    return f"connect-{names.prefix}{edition}.{sink}"


def _unprefixed(names: Names, operations: tuple[str, ...]) -> list[Rule]:
    """Without a prefix, the names of topics begin with the edition, except those of the deployment's own."""
    own = (names.replies, names.projections, names.editions, names.workers)
    return [] if names.prefix else [Rule("topic", name, operations) for name in own]


def _of_registry(topology: Topology, names: Names, edition: str, chosen: list[str]) -> Iterator[Rule]:
    """What it takes to make and to delete editions."""
    if edition != MAIN:
        yield Rule("topic", f"{names.prefix}{edition}.", ("Delete",), prefixed=True)
    yield Rule("topic", names.editions, ("Read", "Write"))
    yield Rule("topic", names.workers, ("Read",))
    yield Rule("transactional-id", f"{names.prefix}headrace.editions", ("Write",))
    yield Rule("group", f"{names.prefix}headrace.reader", ("Read",))
    for name in chosen:  # where an edition begins is looked up there
        if "events" in topology.component(name).topics:
            yield Rule("topic", names.topic(edition, name, "events"), ("Read",))


def _of_workers(topology: Topology, names: Names, edition: str, chosen: list[str]) -> Iterator[Rule]:
    for name in chosen:
        own = names.topic(edition, name, "events").removesuffix("events")
        # topics that an edition does not always use are made when they are needed
        made = () if edition == MAIN else ("Create",)
        yield Rule("topic", own, (*made, "Read", "Write", "DescribeConfigs"), prefixed=True)
    read = [pair for name in chosen for pair in topology.component(name).inputs if pair[0] not in chosen]
    for name, kind in dict.fromkeys(read):
        yield Rule("topic", names.topic(edition, name, kind), ("Read", "DescribeConfigs"))
    others = [name for name in topology.components if name not in chosen]
    for inbox in _inboxes(topology, names, edition, others):
        yield Rule("topic", inbox, ("Write",))


def _inboxes(topology: Topology, names: Names, edition: str, components: Iterable[str]) -> list[str]:
    return [names.topic(edition, name, "inbox") for name in components if "inbox" in topology.component(name).topics]


# ---- forms


def kafka_acls(found: Mapping[str, list[Rule]], principals: Mapping[str, str]) -> Iterator[str]:
    """A command line of kafka-acls.sh for each rule, without `--bootstrap-server`."""
    for role, ruled in found.items():
        for rule in ruled:
            operations = " ".join(f"--operation {operation}" for operation in rule.operations)
            prefixed = " --resource-pattern-type prefixed" if rule.prefixed else ""
            yield (
                f"kafka-acls.sh --add --allow-principal {principals[role]} {operations} "
                f"--{rule.resource} {rule.name}{prefixed}"
            )


def strimzi(found: Mapping[str, list[Rule]], principals: Mapping[str, str], cluster: str) -> Iterator[str]:
    """A KafkaUser for each role, as JSON, which is valid YAML."""
    types = {"transactional-id": "transactionalId"}
    for role, ruled in found.items():
        acls = [
            {
                "resource": {
                    "type": types.get(rule.resource, rule.resource),
                    "name": rule.name,
                    "patternType": "prefix" if rule.prefixed else "literal",
                },
                "operations": list(rule.operations),
            }
            for rule in ruled
        ]
        user = {
            "apiVersion": "kafka.strimzi.io/v1beta2",
            "kind": "KafkaUser",
            "metadata": {"name": principals[role].removeprefix("User:"), "labels": {"strimzi.io/cluster": cluster}},
            "spec": {
                "authentication": {"type": "scram-sha-512"},
                "authorization": {"type": "simple", "acls": acls},
            },
        }
        yield f"---\n{json.dumps(user, indent=2)}"


def rows(found: Mapping[str, list[Rule]], principals: Mapping[str, str]) -> list[dict[str, Any]]:
    """A JSON object for each rule."""
    return [
        {
            "principal": principals[role],
            "role": role,
            "resource": rule.resource,
            "name": rule.name,
            "pattern": "prefixed" if rule.prefixed else "literal",
            "operations": list(rule.operations),
        }
        for role, ruled in found.items()
        for rule in ruled
    ]
