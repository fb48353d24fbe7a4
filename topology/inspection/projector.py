"""Reads the declaration of a projector, and derives the feed that brings events to its documents."""

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any, ClassVar

from headrace.schemas.documents import DocumentCodec
from headrace.topology.context import EventContext, ProjectionContext
from headrace.topology.describe import Description, Reads, Route
from headrace.topology.inspection.signatures import (
    Method,
    as_text,
    base_arguments,
    by_position,
    component_name,
    instance_of,
    is_message,
    marked_methods,
    members,
)
from headrace.topology.inspection.spec import ComponentSpec, MessageType, Replay, inspects, type_name
from headrace.topology.inspection.upcaster import resolve_sources
from headrace.topology.projector import Deleted, Projector, version_name


@dataclass(frozen=True, slots=True)
class Projection:
    """A method of a projector that changes documents because of one type of event."""

    message: MessageType
    call: Callable[..., object]
    wants_context: bool
    where: str
    key: Callable[..., object] | None
    """Names the documents of an event; None for the one that has the name of its root."""
    key_wants_context: bool


@dataclass(slots=True, kw_only=True)
class ProjectorSpec(ComponentSpec):
    """A version of a projector as the engine uses it."""

    projector: str
    """Name of the projector, which all its versions share."""
    version: int
    document: type[Any]
    projections: dict[str, Projection] = field(default_factory=dict)
    """By event type name."""
    sources: dict[str, str] = field(default_factory=dict)
    """Component that writes each event type."""

    kind: ClassVar[str] = "projector"
    topics: ClassVar[tuple[str, ...]] = ("inbox", "documents", "snapshots", "dead-letters")

    @property
    def fed(self) -> bool:
        """Whether events come by a feed, which brings each to the partition of its document."""
        keyed = any(projection.key is not None for projection in self.projections.values())
        return keyed or len(set(self.sources.values())) > 1

    @property
    def restored(self) -> tuple[str, ...]:
        return "snapshots", "documents"

    @property
    def fingerprint(self) -> str:
        """Changes with the documents' type, and with whether events come directly or by a feed."""
        way = "feed" if self.fed else "".join(set(self.sources.values()))
        return f"{DocumentCodec(self.document).fingerprint} {way}"

    @property
    def replay(self) -> Replay:  # type: ignore[override]
        return Replay.BY_KEY if self.fed else Replay.BY_ROOT

    @property
    def inputs(self) -> list[tuple[str, str]]:
        inbox = (self.name, "inbox")
        return [inbox] if self.fed else [*((name, "events") for name in set(self.sources.values())), inbox]

    @property
    def subscription(self) -> tuple[str, str]:
        return self.name, "snapshots"  # its own topic, because what it reads may change with a release

    @property
    def parts(self) -> Iterable[ComponentSpec]:
        if not self.fed:
            return []
        name, class_name = f"{self.name}-feed", f"{self.class_name}'s feed"
        return [ProjectorFeedSpec(name=name, class_name=class_name, projector=self, begin=self.begin)]

    def resolve(self, components: Mapping[str, ComponentSpec], mistakes: list[str]) -> None:
        for event, projection in self.projections.items():
            writers = [name for name, spec in components.items() if "events" in spec.topics and event in spec.appliers]
            if len(writers) == 1:
                self.sources[event] = writers[0]
            elif writers:
                both = " and ".join(writers)
                mistakes.append(f"{projection.where}: {event} is written by {both}; a projection needs one source")
            else:
                mistakes.append(f"{projection.where}: no component of this topology writes {event}")
        resolve_sources(self, [components[name] for name in sorted(set(self.sources.values()))])

    def describe(self) -> Description:
        by_source: dict[str, list[Route]] = {}
        for event in self.projections:
            route = Route(event, (self.document.__name__,))
            by_source.setdefault(self.sources.get(event, ""), []).append(route)
        return Description(
            kind=self.kind,
            class_name=self.class_name,
            state="",
            note=f"; version {self.version} of {self.projector}",
            shape=("[[", "]]"),
            reads=[Reads(source, "events", tuple(routes)) for source, routes in by_source.items()],
            writes=("documents", "dead-letters"),
        )


@dataclass(slots=True, kw_only=True)
class ProjectorFeedSpec(ComponentSpec):
    """The component that brings events to the inbox of a projector, once for each document."""

    projector: ProjectorSpec

    kind: ClassVar[str] = "feed"
    topics: ClassVar[tuple[str, ...]] = ("inbox", "snapshots", "dead-letters")
    sends: ClassVar[bool] = True
    replay: ClassVar[Replay] = Replay.BY_ROOT

    @property
    def inputs(self) -> list[tuple[str, str]]:
        sources = sorted(set(self.projector.sources.values()))
        return [*((name, "events") for name in sources), (self.name, "inbox")]

    @property
    def subscription(self) -> tuple[str, str]:
        return self.name, "snapshots"

    def describe(self) -> None:
        return None


@inspects(Projector)
def inspect_projector(projector: type[Projector[Any]], mistakes: list[str]) -> ProjectorSpec | None:
    """The declaration of `projector`; what is wrong with it is appended to `mistakes`, a line each."""
    name, version = component_name(projector, "name", mistakes), projector.version
    if type(version) is not int or version < 1:
        mistakes.append(f"{projector.__name__}: version is {version!r}; versions are 1, 2, 3, …")
        return None
    document = _document(projector, mistakes)
    if name is None or document is None or (instance := instance_of(projector, mistakes)) is None:
        return None
    spec = ProjectorSpec(
        name=version_name(name, version),
        class_name=projector.__name__,
        projector=name,
        version=version,
        document=document,
        begin="oldest",
    )
    for method in marked_methods(instance, ["projects"], mistakes):
        _add(spec, method, mistakes)
    if not spec.projections:
        mistakes.append(f"{spec.class_name}: has no method marked @projects")
    return spec


def _document(projector: type[Projector[Any]], mistakes: list[str]) -> type[Any] | None:
    """The document in `Projector[…]`; None, and a mistake, if there is none that can be kept."""
    name = projector.__name__
    found = next(base_arguments(projector, Projector), None)
    if not (is_message(found) or (isinstance(found, type) and is_dataclass(found))):
        mistakes.append(f"{name}: names no document; write class {name}(Projector[YourDocument]), a dataclass")
        return None
    if (params := getattr(found, "__dataclass_params__", None)) and params.frozen:
        mistakes.append(f"{name}: {found.__name__} is frozen; a document is changed by the projector's methods")
        return None
    try:
        DocumentCodec(found)
    except (TypeError, ValueError) as error:
        mistakes.append(
            f"{name}: {found.__name__} cannot be a document: {error}. Its fields need defaults, and types that JSON has"
        )
        return None
    return found


def _add(spec: ProjectorSpec, method: Method, mistakes: list[str]) -> None:
    where, parameters, key = method.where, method.parameters, method.mark.key
    if len(parameters) not in (2, 3):
        mistakes.append(f"{where}: takes {len(parameters)} arguments; @projects takes (document, event[, context])")
        return
    if parameters[0] is not spec.document:
        have, own = as_text(parameters[0]), spec.document.__name__
        mistakes.append(f"{where}: takes document {have}; {spec.class_name}'s is {own}")
    if parameters[2:] not in ([], [None], [ProjectionContext], [EventContext]):
        mistakes.append(f"{where}: takes {as_text(parameters[2])} as its third argument; that is the ProjectionContext")
    if inspect.isgeneratorfunction(method.call):
        mistakes.append(f"{where}: yields; @projects changes the document that it is given, and a generator never runs")
    elif any(one not in (type(None), Deleted) and one is not typing.Any for one in members(method.returned)):
        mistakes.append(
            f"{where}: wrong return type {as_text(method.returned)}; @projects changes the document that it is given "
            "and returns None or DELETED"
        )
    wants_context, wanted = len(parameters) == 3, key is not None and _takes_context(where, key, mistakes)
    for event in members(parameters[1]):
        if not is_message(event):
            mistakes.append(f"{where}: {as_text(event)} is no protobuf message, nor a union of them")
        elif other := spec.projections.get(type_name(event)):
            mistakes.append(f"{where}: {type_name(event)} is projected by {other.where} already; keep one of them")
        else:
            spec.projections[type_name(event)] = Projection(event, method.call, wants_context, where, key, wanted)


def _takes_context(where: str, key: Callable[..., object], mistakes: list[str]) -> bool:
    named = f"{where}: key={getattr(key, '__name__', key)}"
    try:
        number = len(inspect.signature(key).parameters)
    except (TypeError, ValueError):  # no function, or one of those that do not tell
        mistakes.append(f"{named} is no function whose arguments are known; write key=lambda event: event.…")
        return False
    if by_position(named, key, mistakes) and number not in (1, 2):
        mistakes.append(f"{named}: takes {number} arguments; it takes (event[, context])")
    return number == 2
