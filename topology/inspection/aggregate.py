"""Reads the declaration of an aggregate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from google.protobuf.message import Message

from headrace.topology.aggregate import Aggregate
from headrace.topology.cascades import COMPENSATION
from headrace.topology.describe import Description, Reads, Route
from headrace.topology.inspection.signatures import (
    add_applier,
    add_handler,
    check_kept,
    check_returns_events,
    component_name,
    instance_of,
    marked_methods,
    missing_applier,
    snapshots_of,
    state_type,
)
from headrace.topology.inspection.spec import AnyHandler, ComponentSpec, MessageType, inspects, type_name


@dataclass(slots=True, kw_only=True)
class AggregateSpec(ComponentSpec):
    """An aggregate as the engine uses it."""

    state: MessageType
    isolated: bool = False
    """Whether it permits commands whose events no saga and no process manager reacts to."""
    compensated: bool = False
    """Whether the topology can undo what its commands lead to."""
    compensators: dict[str, AnyHandler] = field(default_factory=dict)
    """By type name of the rejected command."""

    kind: ClassVar[str] = "aggregate"
    topics: ClassVar[tuple[str, ...]] = ("commands", "facts", "inbox", "events", "snapshots", "dead-letters")

    @property
    def inputs(self) -> list[tuple[str, str]]:
        return [(self.name, kind) for kind in ("commands", "facts", "inbox")]

    def resolve(self, components: Mapping[str, ComponentSpec], mistakes: list[str]) -> None:
        self.compensated = COMPENSATION in components

    def describe(self) -> Description:
        tables = (
            ("commands", self.commands, ""),
            ("facts", self.facts, "fact"),
            ("inbox", self.compensators, "rejected"),
        )
        reads = [
            Reads(self.name, kind, tuple(handler_route(name, handler, note) for name, handler in table.items()))
            for kind, table, note in tables
            if table
        ]
        return Description(
            kind=self.kind,
            class_name=self.class_name,
            state=type_name(self.state),
            note="",
            shape=("[", "]"),
            reads=reads,
            writes=("events", "snapshots", "dead-letters"),
            answers=True,
            upcasts=upcast_routes(self),
        )


def upcast_routes(spec: ComponentSpec) -> list[Route]:
    """What upcasters make of the older events of a component, as a description shows it."""
    return [Route(str(taken), tuple(map(str, made))) for taken, made in spec.upcasters.steps]


def handler_route(name: str, handler: AnyHandler, note: str = "") -> Route:
    """A handler as a description shows it; with its merge strategy if there is no other note."""
    events = tuple(type_name(event) for event in handler.events)
    return Route(name, events, f"  [{note or handler.merge.value}]", (("merge", handler.merge.value),))


@inspects(Aggregate)
def inspect_aggregate(aggregate: type[Aggregate[Message]], mistakes: list[str]) -> AggregateSpec | None:
    """The declaration of `aggregate`; what is wrong with it is appended to `mistakes`, a line each."""
    name = component_name(aggregate, "domain", mistakes)
    state = state_type(aggregate, Aggregate, mistakes)
    if name is None or state is None or (instance := instance_of(aggregate, mistakes)) is None:
        return None
    spec = AggregateSpec(
        name=name,
        class_name=aggregate.__name__,
        state=state,
        snapshots=snapshots_of(aggregate, mistakes),
        isolated=aggregate.isolated,
    )
    if not isinstance(aggregate.isolated, bool):
        mistakes.append(f"{spec.class_name}: isolated is {aggregate.isolated!r}; it is True or False")
    tables = {"handles": spec.commands, "records": spec.facts, "compensates": spec.compensators}
    for method in marked_methods(instance, [*tables, "applies"], mistakes):
        if method.mark.role == "applies":
            add_applier(spec, method, mistakes)
        else:
            add_handler(spec, tables[method.mark.role], method, aggregate.merge, mistakes)
            check_returns_events(method, mistakes)
    if not spec.commands and not spec.facts:
        mistakes.append(f"{spec.class_name}: has no method marked @handles")
    for table in tables.values():
        _check_applied(spec, table, mistakes)
    check_kept(spec, mistakes)
    return spec


def _check_applied(spec: AggregateSpec, table: dict[str, AnyHandler], mistakes: list[str]) -> None:
    for handler in table.values():
        for event in handler.events:
            if spec.appliers[type_name(event)].call is missing_applier:
                mistakes.append(
                    f"{handler.where}: no handler for {type_name(event)}, which it returns; "
                    f"add an @applies method to {spec.class_name} that takes it"
                )
