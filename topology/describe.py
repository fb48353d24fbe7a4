"""A topology for people to read: one model, rendered as lines of text, as a Mermaid flowchart, and for JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.topology.names import Names


@dataclass(frozen=True, slots=True)
class Route:
    """One type of message that a component reads, and the types that it may lead to."""

    type: str
    leads_to: tuple[str, ...]
    note: str = ""
    details: tuple[tuple[str, str], ...] = ()
    """More about it, for JSON."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What a component reads of one topic."""

    component: str
    """The component that the topic belongs to; empty for time-outs, which are on no topic."""
    kind: str
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """One component."""

    kind: str
    class_name: str
    state: str
    """Its state's type; empty where it has none."""
    note: str
    shape: tuple[str, str]
    """Brackets around its class in a flowchart."""
    reads: Sequence[Reads]
    writes: Sequence[str]
    """Kinds of topics."""
    sends: frozenset[str] = frozenset()
    """Types of commands."""
    answers: bool = False
    upcasts: Sequence[Route] = ()
    """What upcasters make of its older events."""

    @property
    def title(self) -> str:
        """Kind, class and state."""
        state = f", state {self.state}" if self.state else ""
        return f"{self.kind} {self.class_name}{state}{self.note}"


Descriptions = Mapping[str, Description]
"""By component name."""


def text(components: Descriptions, names: Names, edition: str) -> Iterator[str]:
    """What each component reads, what that may lead to, and the topics that it writes."""
    for name, component in components.items():
        yield f"{name} ({component.title})"
        for reads in component.reads:
            yield f"  reads   {names.topic(edition, reads.component, reads.kind)}" if reads.component else "  time-outs"
            for route in reads.routes:
                yield f"    {route.type} -> {', '.join(route.leads_to) or 'nothing'}{route.note}"
        for kind in component.writes:
            yield f"  writes  {names.topic(edition, name, kind)}"
        for route in component.upcasts:
            yield f"  upcasts {route.type} -> {', '.join(route.leads_to) or 'nothing'}"
        if component.answers:
            yield f"  answers {names.replies}"


def mermaid(components: Descriptions, names: Names, edition: str) -> Iterator[str]:
    """Topics and components, with arrows for the records between them."""
    yield "flowchart LR"
    for name, component in components.items():
        node, (left, right) = _node(name), component.shape
        yield f"  {node}{left}{component.class_name}{right}"
        for source, kind in dict.fromkeys((reads.component, reads.kind) for reads in component.reads):
            if source == name and kind in ("commands", "facts"):
                yield f'  {node}_{kind}[("{names.topic(edition, name, kind)}")]'
                yield f"  {node}_{kind} --> {node}"
            elif source and source != name:
                yield f"  {_node(source)}_{kind} --> {node}"
        for kind in component.writes:
            if kind == "dead-letters":
                continue
            yield from _topic(node, name, kind, names, edition)
        if component.answers:
            yield f'  {node} -.-> replies[("{names.replies}")]'
        for receiver in _receivers(component, components):
            yield f"  {node} --> {_node(receiver)}_commands"
        yield from _topic(node, name, "dead-letters", names, edition)


def _topic(node: str, name: str, kind: str, names: Names, edition: str) -> Iterator[str]:
    topic = f"{node}_{_node(kind)}"
    yield f'  {topic}[("{names.topic(edition, name, kind)}")]'
    yield f"  {node} --> {topic}"


def _receivers(component: Description, components: Descriptions) -> list[str]:
    """Components that handle the commands which the reactions declare."""
    return [
        name
        for name, other in components.items()
        if any(
            route.type in component.sends for reads in other.reads if reads.kind == "commands" for route in reads.routes
        )
    ]


def _node(name: str) -> str:
    return name.replace("-", "_")


def rows(components: Descriptions) -> dict[str, list[dict[str, Any]]]:
    """For JSON: `domains`, which take commands, and `workflows`, which react to events."""
    found: dict[str, list[dict[str, Any]]] = {"domains": [], "workflows": []}
    for name, component in components.items():
        upcasts = [{"type": route.type, "events": list(route.leads_to)} for route in component.upcasts]
        older: dict[str, Any] = {"upcasts": upcasts} if upcasts else {}
        if component.answers:
            commands = [
                {"type": route.type, "events": list(route.leads_to), **dict(route.details)}
                for reads in component.reads
                if reads.kind == "commands"
                for route in reads.routes
            ]
            found["domains"].append(
                {
                    "domain": name,
                    "aggregate": component.class_name,
                    "state": component.state,
                    "commands": commands,
                    **older,
                }
            )
        else:
            events = [
                {"type": route.type, "commands": [one for one in route.leads_to if one in component.sends]}
                for reads in component.reads
                if reads.kind == "events"
                for route in reads.routes
            ]
            row = {"name": name, "kind": component.kind, "class": component.class_name, "events": events, **older}
            found["workflows"].append(row)
    return found
