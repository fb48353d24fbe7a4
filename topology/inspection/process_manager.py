"""Reads the declaration of a process manager, and derives the feed that brings events to it."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from google.protobuf.message import Message

from headrace.topology.context import ProcessContext
from headrace.topology.describe import Description, Reads, Route
from headrace.topology.inspection.aggregate import handler_route, upcast_routes
from headrace.topology.inspection.saga import reaction_route, sent_types
from headrace.topology.inspection.signatures import (
    add_applier,
    add_handler,
    add_reaction,
    begin_of,
    check_kept,
    check_number,
    check_sends,
    check_state,
    component_name,
    instance_of,
    is_plain,
    marked_methods,
    snapshots_of,
    state_type,
)
from headrace.topology.inspection.spec import (
    AnyHandler,
    ComponentSpec,
    MessageType,
    Reaction,
    Replay,
    inspects,
    type_name,
)
from headrace.topology.inspection.upcaster import resolve_sources
from headrace.topology.merge import Merge
from headrace.topology.process_manager import ProcessManager
from headrace.topology.saga import Cascade


@dataclass(slots=True, kw_only=True)
class ProcessManagerSpec(ComponentSpec):
    """A process manager as the engine uses it."""

    state: MessageType
    on_rejection: Cascade
    finished: Callable[..., bool]
    reactions: dict[str, Reaction] = field(default_factory=dict)
    """By event type name."""
    compensators: dict[str, AnyHandler] = field(default_factory=dict)
    """By type name of the rejected command."""
    sources: dict[str, str] = field(default_factory=dict)
    """Aggregate that writes each event type; types of time-outs are not in it."""

    kind: ClassVar[str] = "process manager"
    topics: ClassVar[tuple[str, ...]] = ("inbox", "events", "snapshots", "dead-letters")
    has_timers: ClassVar[bool] = True
    sends: ClassVar[bool] = True

    @property
    def inputs(self) -> list[tuple[str, str]]:
        return [(self.name, "inbox")]

    @property
    def parts(self) -> Iterable[ComponentSpec]:
        return [
            FeedSpec(name=f"{self.name}-feed", class_name=f"{self.class_name}'s feed", process=self, begin=self.begin)
        ]

    def reacts_to(self, writer: str, event_type: str) -> bool:
        return self.sources.get(event_type) == writer

    def resolve(self, components: Mapping[str, ComponentSpec], mistakes: list[str]) -> None:
        for event, reaction in self.reactions.items():
            writers = [name for name, spec in components.items() if spec.takes_commands and event in spec.appliers]
            if len(writers) > 1:
                both = " and ".join(writers)
                mistakes.append(f"{reaction.where}: {event} is written by {both}; a reaction needs one source")
            for name in writers[:1]:
                self.sources[event] = name
        resolve_sources(self, [components[name] for name in sorted(set(self.sources.values()))])
        check_sends(self.reactions, components, mistakes)
        if not self.sources and self.reactions:
            mistakes.append(f"{self.class_name}: reacts to no event that a domain of this topology writes")

    def describe(self) -> Description:
        by_source: dict[str, list[Route]] = {}
        for event, reaction in self.reactions.items():
            by_source.setdefault(self.sources.get(event, ""), []).append(reaction_route(event, reaction))
        reads = [Reads(source, "events", tuple(routes)) for source, routes in by_source.items()]
        if self.compensators:
            routes = [handler_route(name, handler, "rejected") for name, handler in self.compensators.items()]
            reads.append(Reads(self.name, "inbox", tuple(routes)))
        return Description(
            kind=self.kind,
            class_name=self.class_name,
            state=type_name(self.state),
            note="",
            shape=("{{", "}}"),
            reads=reads,
            writes=("events", "snapshots", "dead-letters"),
            sends=sent_types(self.reactions),
            upcasts=upcast_routes(self),
        )


@dataclass(slots=True, kw_only=True)
class FeedSpec(ComponentSpec):
    """The component that forwards events of aggregates to a process manager's inbox."""

    process: ProcessManagerSpec

    kind: ClassVar[str] = "feed"
    topics: ClassVar[tuple[str, ...]] = ("snapshots", "dead-letters")
    sends: ClassVar[bool] = True
    replay: ClassVar[Replay] = Replay.NEVER

    @property
    def inputs(self) -> list[tuple[str, str]]:
        return [(name, "events") for name in sorted(set(self.process.sources.values()))]

    @property
    def subscription(self) -> tuple[str, str]:
        return self.name, "snapshots"  # its own topic, because what it reads may change with a release

    def describe(self) -> None:
        return None


@inspects(ProcessManager)
def inspect_process_manager(process: type[ProcessManager[Message]], mistakes: list[str]) -> ProcessManagerSpec | None:
    """The declaration of `process`; what is wrong with it is appended to `mistakes`, a line each."""
    name = component_name(process, "name", mistakes)
    state = state_type(process, ProcessManager, mistakes)
    if name is None or state is None or (instance := instance_of(process, mistakes)) is None:
        return None
    where = f"{process.__name__}.finished"
    if is_plain(where, instance.finished, mistakes):
        check_number(where, instance.finished, "(state)", mistakes)
        if inspect.isgeneratorfunction(instance.finished):
            mistakes.append(f"{where}: yields; it returns whether the workflow is over")
    spec = ProcessManagerSpec(
        name=name,
        class_name=process.__name__,
        state=state,
        snapshots=snapshots_of(process, mistakes),
        on_rejection=process.on_rejection,
        finished=instance.finished,
        begin=begin_of(process, mistakes),
    )
    for method in marked_methods(instance, ["reacts", "applies", "compensates"], mistakes):
        if method.mark.role == "applies":
            add_applier(spec, method, mistakes)
        elif method.mark.role == "compensates":  # it may yield commands and time-outs as well as events
            add_handler(spec, spec.compensators, method, Merge.AGGREGATE_HANDLES, mistakes)
        else:
            check_state(spec, method, mistakes)
            add_reaction(spec.reactions, method, 1, ProcessContext, mistakes)
    if not spec.reactions:
        mistakes.append(f"{spec.class_name}: has no method marked @reacts")
    check_kept(spec, mistakes)
    return spec
