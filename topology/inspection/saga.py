"""Reads the declaration of a saga."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from headrace.schemas.headrace_v1_pb2 import Aborted
from headrace.topology.context import EventContext
from headrace.topology.describe import Description, Reads, Route
from headrace.topology.inspection.signatures import (
    add_reaction,
    begin_of,
    check_sends,
    component_name,
    instance_of,
    marked_methods,
)
from headrace.topology.inspection.spec import ComponentSpec, Reaction, Replay, inspects, type_name
from headrace.topology.inspection.upcaster import resolve_sources
from headrace.topology.saga import Cascade, Saga


@dataclass(slots=True, kw_only=True)
class SagaSpec(ComponentSpec):
    """A saga as the engine uses it."""

    source: str
    """Aggregate whose events it reads."""
    on_rejection: Cascade
    reactions: dict[str, Reaction] = field(default_factory=dict)
    """By event type name."""

    kind: ClassVar[str] = "saga"
    topics: ClassVar[tuple[str, ...]] = ("inbox", "snapshots", "dead-letters")
    sends: ClassVar[bool] = True
    replay: ClassVar[Replay] = Replay.BY_ROOT

    @property
    def inputs(self) -> list[tuple[str, str]]:
        return [(self.source, "events"), (self.name, "inbox")]

    def reacts_to(self, writer: str, event_type: str) -> bool:
        return writer == self.source and (event_type in self.reactions or event_type == type_name(Aborted))

    def resolve(self, components: Mapping[str, ComponentSpec], mistakes: list[str]) -> None:
        source = components.get(self.source)
        if source is None or not source.takes_commands:
            known = ", ".join(name for name, spec in components.items() if spec.takes_commands) or "none"
            mistakes.append(f"{self.class_name}: reads events of unknown domain {self.source!r}; there are: {known}")
            return
        for event, reaction in self.reactions.items():
            if event not in source.appliers:
                mistakes.append(f"{reaction.where}: {self.source} writes no {event}")
        resolve_sources(self, [source])
        check_sends(self.reactions, components, mistakes)

    def describe(self) -> Description:
        return Description(
            kind=self.kind,
            class_name=self.class_name,
            state="",
            note=f"; rejected: {self.on_rejection.value}",
            shape=("{{", "}}"),
            reads=[Reads(self.source, "events", tuple(reaction_route(*one) for one in self.reactions.items()))],
            writes=("dead-letters",),
            sends=sent_types(self.reactions),
        )


def reaction_route(name: str, reaction: Reaction) -> Route:
    """A reaction as a description shows it."""
    return Route(name, tuple(type_name(command) for command in reaction.sends))


def sent_types(reactions: Mapping[str, Reaction]) -> frozenset[str]:
    """Types of commands that reactions declare."""
    return frozenset(type_name(command) for reaction in reactions.values() for command in reaction.sends)


@inspects(Saga)
def inspect_saga(saga: type[Saga], mistakes: list[str]) -> SagaSpec | None:
    """The declaration of `saga`; what is wrong with it is appended to `mistakes`, a line each."""
    name, source = component_name(saga, "name", mistakes), component_name(saga, "source", mistakes)
    if name is None or source is None or (instance := instance_of(saga, mistakes)) is None:
        return None
    spec = SagaSpec(name=name, class_name=saga.__name__, source=source, on_rejection=saga.on_rejection)
    spec.begin = begin_of(saga, mistakes)
    for method in marked_methods(instance, ["reacts"], mistakes):
        add_reaction(spec.reactions, method, 0, EventContext, mistakes)
    if not spec.reactions:
        mistakes.append(f"{spec.class_name}: has no method marked @reacts")
    return spec
