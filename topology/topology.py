"""The checked whole of what a deployment runs: aggregates, their topics, and the graph of it to look at."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from headrace.topology import describe as picture
from headrace.topology.aggregate import Aggregate
from headrace.topology.inspection import (
    AggregateSpec,
    FeedSpec,
    ProcessSpec,
    SagaSpec,
    inspect_aggregate,
    inspect_process,
    inspect_saga,
    type_name,
)
from headrace.topology.names import MAIN, Names
from headrace.topology.process_manager import ProcessManager
from headrace.topology.saga import Saga

_PLAIN = Names()
_DAY = 24 * 60 * 60 * 1000
_COMPACT = {"cleanup.policy": "compact"}
_ROOMY = {"max.message.bytes": str(16 * 1024 * 1024)}  # a dead letter holds a whole record, which may be at its limit

_WEEK = {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY)}
_CONFIGS = {
    "commands": _WEEK,
    "facts": _WEEK,
    "rejections": _WEEK,
    "inbox": _WEEK,
    "events": _COMPACT,
    "snapshots": _COMPACT,
    "dead-letters": {"cleanup.policy": "delete", "retention.ms": str(30 * _DAY), **_ROOMY},
}
Spec = AggregateSpec | SagaSpec | ProcessSpec | FeedSpec
_KINDS: dict[type[Spec], tuple[str, ...]] = {
    AggregateSpec: ("commands", "facts", "rejections", "events", "snapshots", "dead-letters"),
    SagaSpec: ("inbox", "snapshots", "dead-letters"),
    ProcessSpec: ("inbox", "events", "snapshots", "dead-letters"),
    FeedSpec: ("snapshots", "dead-letters"),
}


class TopologyError(ValueError):
    """All mistakes in a topology's declarations at once; `mistakes` holds a line each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__(f"{len(mistakes)} mistake(s) in the topology:\n" + "\n".join(f"  - {m}" for m in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic that must be there, with the settings that matter for it."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


def replies_topic(names: Names, partitions: int) -> TopicSpec:
    """The deployment's topic for answers; an answer is of use for minutes only."""
    return TopicSpec(names.replies, partitions, {"cleanup.policy": "delete", "retention.ms": str(60 * 60 * 1000)})


class Topology:
    """What a deployment runs. Raises TopologyError, with all mistakes, when the declarations do not fit."""

    def __init__(self, *components: type[Aggregate[Any]] | type[Saga] | type[ProcessManager[Any]]) -> None:
        self.components: dict[str, Spec] = {}
        mistakes: list[str] = []
        for component in components:
            spec: Spec | None
            if isinstance(component, type) and issubclass(component, Aggregate):
                spec = inspect_aggregate(component, mistakes)
            elif isinstance(component, type) and issubclass(component, Saga):
                spec = inspect_saga(component, mistakes)
            elif isinstance(component, type) and issubclass(component, ProcessManager):
                spec = inspect_process(component, mistakes)
            else:
                mistakes.append(f"{component!r} is no Aggregate, Saga or ProcessManager class")
                continue
            if spec is None:
                continue
            if other := self.components.get(spec.domain):
                mistakes.append(f"{spec.name}: domain {spec.domain!r} is {other.name}'s already; keep one of them")
                continue
            self.components[spec.domain] = spec
        self._check_sagas(mistakes)
        for process in self.processes.values():
            self._find_sources(process, mistakes)
            feed = FeedSpec(f"{process.name}'s feed", f"{process.domain}-feed", process)
            self.components[feed.domain] = feed
        if mistakes:
            raise TopologyError(mistakes)

    @property
    def aggregates(self) -> dict[str, AggregateSpec]:
        """Aggregates by domain."""
        specs = self.components.items()
        return {w: s for w, s in specs if isinstance(s, AggregateSpec) and not isinstance(s, ProcessSpec)}

    @property
    def processes(self) -> dict[str, ProcessSpec]:
        """Process managers by name."""
        return {word: spec for word, spec in self.components.items() if isinstance(spec, ProcessSpec)}

    @property
    def sagas(self) -> dict[str, SagaSpec]:
        """Sagas by name."""
        return {word: spec for word, spec in self.components.items() if isinstance(spec, SagaSpec)}

    @property
    def command_routes(self) -> dict[str, set[str]]:
        """Command types that each domain handles."""
        return {domain: set(spec.handlers) for domain, spec in self.aggregates.items()}

    def _check_sagas(self, mistakes: list[str]) -> None:
        handled = {name for spec in self.aggregates.values() for name in spec.handlers}
        for saga in self.sagas.values():
            source = self.aggregates.get(saga.source)
            if source is None:
                known = ", ".join(self.aggregates) or "none"
                mistakes.append(f"{saga.name}: reads events of unknown domain {saga.source!r}; there are: {known}")
                continue
            for event, reaction in saga.reactions.items():
                where = f"{saga.name}.{reaction.method}"
                if event not in source.appliers:
                    mistakes.append(f"{where}: {saga.source} writes no {event}")
                for command in reaction.sends:
                    if type_name(command) not in handled:
                        mistakes.append(f"{where}: no aggregate handles {type_name(command)}, which it sends")

    def _find_sources(self, process: ProcessSpec, mistakes: list[str]) -> None:
        handled = {name for spec in self.aggregates.values() for name in spec.handlers}
        for event, reaction in process.reactions.items():
            where = f"{process.name}.{reaction.method}"
            writers = [domain for domain, spec in self.aggregates.items() if event in spec.appliers]
            if len(writers) > 1:
                mistakes.append(f"{where}: {event} is written by {' and '.join(writers)}; a reaction needs one source")
            for domain in writers[:1]:
                process.sources[event] = domain
            for command in reaction.sends:
                if type_name(command) not in handled:
                    mistakes.append(f"{where}: no aggregate handles {type_name(command)}, which it sends")
        if not process.sources and process.reactions:
            mistakes.append(f"{process.name}: reacts to no event that a domain of this topology writes")

    def component(self, word: str) -> Spec:
        """An aggregate by its domain, or a saga by its name; LookupError names the known ones."""
        try:
            return self.components[word]
        except KeyError:
            known = ", ".join(self.components) or "none"
            raise LookupError(f"unknown domain {word!r}; this topology has: {known}") from None

    def folded(self, word: str) -> AggregateSpec:
        """What folds events: an aggregate or a process manager; LookupError for anything else."""
        spec = self.component(word)
        if not isinstance(spec, AggregateSpec):
            raise LookupError(f"{word} has no state of its own")
        return spec

    def inputs(self, word: str, names: Names, edition: str) -> list[str]:
        """Topics that a component reads."""
        spec = self.component(word)
        if isinstance(spec, SagaSpec):
            return [names.topic(edition, spec.source, "events"), names.topic(edition, word, "inbox")]
        if isinstance(spec, FeedSpec):
            return [names.topic(edition, domain, "events") for domain in sorted(set(spec.process.sources.values()))]
        if isinstance(spec, ProcessSpec):
            return [names.topic(edition, word, "inbox")]
        return [names.topic(edition, word, kind) for kind in ("commands", "facts", "rejections")]

    def aggregate(self, domain: str) -> AggregateSpec:
        """The aggregate of a domain; LookupError names the known ones."""
        try:
            return self.aggregates[domain]
        except KeyError:
            known = ", ".join(self.aggregates) or "none"
            raise LookupError(f"unknown domain {domain!r}; this topology has: {known}") from None

    def domain_of(self, command: type[Message]) -> str:
        """The one domain that handles a command type; LookupError when none or several do."""
        return _only(type_name(command), [d for d, s in self.aggregates.items() if type_name(command) in s.handlers])

    def recorder_of(self, fact: type[Message]) -> str:
        """The one domain that records a fact type; LookupError when none or several do."""
        return _only(type_name(fact), [d for d, s in self.aggregates.items() if type_name(fact) in s.facts])

    def topics(
        self, names: Names, partitions: int, edition: str = MAIN, domains: Iterable[str] | None = None
    ) -> list[TopicSpec]:
        """Topics that these domains need in an edition; `partitions` is the count of each of them."""
        wanted: list[TopicSpec] = []
        for word in self.components if domains is None else domains:
            for kind in _KINDS[type(self.component(word))]:
                wanted.append(TopicSpec(names.topic(edition, word, kind), partitions, dict(_CONFIGS[kind])))
        return wanted

    def text(self, names: Names = _PLAIN, edition: str = MAIN) -> str:
        """The graph as indented lines: what each component reads, what that may lead to, and its topics."""
        return "\n".join(picture.text(self.components, names, edition))

    def mermaid(self, names: Names = _PLAIN, edition: str = MAIN) -> str:
        """The graph as a Mermaid flowchart of topics and components."""
        return "\n".join(picture.mermaid(self.components, names, edition))


def _only(name: str, domains: list[str]) -> str:
    if len(domains) == 1:
        return domains[0]
    if not domains:
        raise LookupError(f"no aggregate handles {name}")
    raise LookupError(f"{name} is handled by {', '.join(domains)}; name the domain")
