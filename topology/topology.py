"""What a deployment runs, checked as a whole: its components, their topics, and a graph of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from headrace.topology import describe
from headrace.topology.aggregate import Aggregate
from headrace.topology.inspection import ComponentSpec, inspect_component, type_name
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.inspection.upcaster import add_upcasters
from headrace.topology.names import MAIN, Names
from headrace.topology.upcaster import Upcaster

Domain = str | type[Aggregate[Any]] | None
"""How a caller names an aggregate: by its domain or its class, or not at all if only one is possible."""
_PLAIN = Names()
_DAY = 24 * 60 * 60 * 1000
_COMPACT = {"cleanup.policy": "compact"}
_WEEK = {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY)}
_LARGE = {"max.message.bytes": str(16 * 1024 * 1024)}  # a dead letter holds a whole record, which may be at its limit
_INPUT = {**_WEEK, "message.timestamp.type": "LogAppendTime"}  # a sender's clock must not decide what retention deletes
_CONFIGS = {
    "commands": _INPUT,
    "facts": _INPUT,
    "inbox": {**_INPUT, **_LARGE},  # what a dead letter holds whole can be replayed
    "events": {**_COMPACT, "message.timestamp.type": "CreateTime"},  # the engine says when an event is recorded
    "documents": _COMPACT,
    "snapshots": {**_COMPACT, "max.message.bytes": str(17 * 1024 * 1024)},  # any input can wait there, wrapped
    "dead-letters": {"cleanup.policy": "delete", "retention.ms": str(30 * _DAY), **_LARGE},
}


class TopologyError(ValueError):
    """All mistakes in a topology's declarations at once; `mistakes` has a line for each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__(f"{len(mistakes)} mistake(s) in the topology:\n" + "\n".join(f"  - {m}" for m in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic that must exist, with the settings that matter for it."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


REPLIES_KEPT = 60 * 60 * 1000
"""Milliseconds for which replies are kept; they are useful only for minutes."""


def replies_topic(names: Names, partitions: int) -> TopicSpec:
    """The deployment's topic for replies."""
    return TopicSpec(names.replies, partitions, {"cleanup.policy": "delete", "retention.ms": str(REPLIES_KEPT)})


def projections_topic(names: Names) -> TopicSpec:
    """The deployment's topic of the versions that serve."""
    return TopicSpec(names.projections, 1, _COMPACT)


def editions_topics(names: Names) -> list[TopicSpec]:
    """The deployment's topics of editions, and of the workers that hold some."""
    # what a worker holds is old when its record is, whatever the worker's clock says
    held = {**_COMPACT, "message.timestamp.type": "LogAppendTime"}
    return [TopicSpec(names.editions, 1, _COMPACT), TopicSpec(names.workers, 1, held)]


class Topology:
    """What a deployment runs. Raises TopologyError, with all mistakes, if the declarations are wrong.

    `components` are aggregates, sagas, process managers and projectors, and upcasters of their events.
    """

    def __init__(self, *components: type[Any]) -> None:
        self.components: dict[str, ComponentSpec] = {}
        """By name, parts of others last."""
        mistakes: list[str] = []
        upcasters = [one for one in components if isinstance(one, type) and issubclass(one, Upcaster)]
        specs = [
            spec
            for component in components
            if component not in upcasters and (spec := inspect_component(component, mistakes)) is not None
        ]
        self._add(specs, "domain {!r} is {}'s already; keep one of them", mistakes)
        add_upcasters(upcasters, self.components, mistakes)
        for spec in specs:
            spec.resolve(self.components, mistakes)
        parts = [part for whole in specs for part in whole.parts]
        self._add(parts, "name {!r} is {}'s already; give one of them another", mistakes)
        if mistakes:
            raise TopologyError(mistakes)

    def _add(self, specs: Iterable[ComponentSpec], taken: str, mistakes: list[str]) -> None:
        for spec in specs:
            if (other := self.components.setdefault(spec.name, spec)) is not spec:
                mistakes.append(f"{spec.class_name}: {taken.format(spec.name, other.class_name)}")

    @property
    def aggregates(self) -> dict[str, ComponentSpec]:
        """Components that take commands from clients, by domain."""
        return {name: spec for name, spec in self.components.items() if spec.takes_commands}

    @property
    def projectors(self) -> dict[str, dict[int, ProjectorSpec]]:
        """Versions of each projector, the lowest first, by the name that they share."""
        found: dict[str, dict[int, ProjectorSpec]] = {}
        specs = [spec for spec in self.components.values() if isinstance(spec, ProjectorSpec)]
        for spec in sorted(specs, key=lambda spec: spec.version):
            found.setdefault(spec.projector, {})[spec.version] = spec
        return found

    @property
    def command_routes(self) -> dict[str, set[str]]:
        """Command types that each domain handles."""
        return {domain: set(spec.commands) for domain, spec in self.aggregates.items()}

    def component(self, name: str) -> ComponentSpec:
        """A component by its name; LookupError names the known ones."""
        return self._find(name, self.components)

    def aggregate(self, domain: str) -> ComponentSpec:
        """The component that takes a domain's commands; LookupError names the known ones."""
        return self._find(domain, self.aggregates)

    def folded(self, name: str) -> ComponentSpec:
        """A component that folds events into a state; LookupError for any other one."""
        spec = self.component(name)
        assert spec.state_type
        return spec

    def domain_of(self, command: type[Message]) -> str:
        """The one domain that handles a command type; LookupError if none or several do."""
        name = type_name(command)
        return _only(name, [domain for domain, spec in self.aggregates.items() if name in spec.commands])

    def recorder_of(self, fact: type[Message]) -> str:
        """The one domain that records a fact type; LookupError if none or several do."""
        name = type_name(fact)
        return _only(name, [domain for domain, spec in self.aggregates.items() if name in spec.facts])

    def handler_of(self, command: type[Message], domain: Domain = None) -> ComponentSpec:
        """The aggregate that a command is for; LookupError unless it is named or is the only one that handles it."""
        return self.aggregate(_name(domain) or self.domain_of(command))

    def recorder_for(self, fact: type[Message], domain: Domain = None) -> ComponentSpec:
        """The aggregate that a fact is for; LookupError unless it is named or is the only one that records it."""
        return self.aggregate(_name(domain) or self.recorder_of(fact))

    def only_aggregate(self) -> str:
        """The domain of the only aggregate; LookupError unless there is exactly one."""
        if len(self.aggregates) != 1:
            raise LookupError(f"name the domain with domain=…; this topology has: {', '.join(self.aggregates)}")
        return next(iter(self.aggregates))

    def inputs(self, name: str, names: Names, edition: str) -> list[str]:
        """Topics that a component reads."""
        return [names.topic(edition, component, kind) for component, kind in self.component(name).inputs]

    def subscription(self, name: str, names: Names, edition: str) -> str:
        """The topic whose partitions a component's group distributes to its members."""
        return names.topic(edition, *self.component(name).subscription)

    def topics(
        self, names: Names, partitions: int, edition: str = MAIN, components: Iterable[str] | None = None
    ) -> list[TopicSpec]:
        """Topics that these components have in an edition, each with so many `partitions`."""
        return [
            TopicSpec(names.topic(edition, name, kind), partitions, dict(_CONFIGS[kind]))
            for name in (self.components if components is None else components)
            for kind in self.component(name).topics
        ]

    @property
    def descriptions(self) -> describe.Descriptions:
        """What each component reads and leads to; parts of others are left out."""
        found = {name: spec.describe() for name, spec in self.components.items()}
        return {name: description for name, description in found.items() if description is not None}

    def text(self, names: Names = _PLAIN, edition: str = MAIN) -> str:
        """The graph as indented lines: what each component reads, what that may lead to, and the topics it writes."""
        return "\n".join(describe.text(self.descriptions, names, edition))

    def mermaid(self, names: Names = _PLAIN, edition: str = MAIN) -> str:
        """The graph as a Mermaid flowchart of topics and components."""
        return "\n".join(describe.mermaid(self.descriptions, names, edition))

    def _find(self, name: str, among: dict[str, ComponentSpec]) -> ComponentSpec:
        try:
            return among[name]
        except KeyError:
            known = ", ".join(among) or "none"
            raise LookupError(f"unknown domain {name!r}; this topology has: {known}") from None


def _name(domain: Domain) -> str | None:
    return domain if domain is None or isinstance(domain, str) else domain.domain


def _only(name: str, domains: list[str]) -> str:
    if len(domains) == 1:
        return domains[0]
    if not domains:
        raise LookupError(f"no aggregate handles {name}")
    raise LookupError(f"{name} is handled by {', '.join(domains)}; name the domain")
