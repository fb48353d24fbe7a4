"""The graph of a topology, to look at: as lines of text, and as a Mermaid flowchart."""

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.topology.inspection import (
    AggregateSpec,
    FeedSpec,
    Handler,
    MessageType,
    ProcessSpec,
    Reaction,
    SagaSpec,
    type_name,
)
from headrace.topology.names import Names

Specs = Mapping[str, Any]
"""Specs of all components, by their words."""


def text(specs: Specs, names: Names, edition: str) -> Iterator[str]:
    """What each component reads, what that may lead to, and the topics that it writes."""
    for word, spec in specs.items():
        if isinstance(spec, ProcessSpec):
            yield f"{word} (process manager {spec.name}, state {type_name(spec.state)})"
            yield from _reactions(spec.reactions, spec.sources, names, edition)
            yield from _handlers("rejections", spec.compensators, names.topic(edition, word, "inbox"))
        elif isinstance(spec, AggregateSpec):
            yield f"{word} (aggregate {spec.name}, state {type_name(spec.state)})"
            yield from _handlers("commands", spec.handlers, names.topic(edition, word, "commands"))
            yield from _handlers("facts", spec.facts, names.topic(edition, word, "facts"))
            yield from _handlers("rejections", spec.compensators, names.topic(edition, word, "rejections"))
        elif isinstance(spec, SagaSpec):
            yield f"{word} (saga {spec.name}; refused: {spec.on_rejection.value})"
            yield from _reactions(spec.reactions, dict.fromkeys(spec.reactions, spec.source), names, edition)
        else:
            continue  # a feed is a part of its process manager
        kinds = ("events", "snapshots", "dead-letters") if isinstance(spec, AggregateSpec) else ("dead-letters",)
        for kind in kinds:
            yield f"  writes  {names.topic(edition, word, kind)}"
        if isinstance(spec, AggregateSpec) and not isinstance(spec, ProcessSpec):
            yield f"  answers {names.replies}"


def _handlers(what: str, handlers: Mapping[str, Handler], topic: str) -> Iterator[str]:
    if handlers:
        yield f"  reads   {topic}"
    for name, handler in handlers.items():
        note = {"commands": f"  [{handler.merge.value}]", "facts": "  [fact]", "rejections": "  [refused]"}[what]
        yield f"    {name} -> {_list(handler.events)}{note}"


def _reactions(
    reactions: Mapping[str, Reaction], sources: Mapping[str, str], names: Names, edition: str
) -> Iterator[str]:
    for source in dict.fromkeys(sources.get(name, "") for name in reactions):
        yield f"  reads   {names.topic(edition, source, 'events')}" if source else "  time-outs"
        for name, reaction in reactions.items():
            if sources.get(name, "") == source:
                yield f"    {name} -> {_list(reaction.sends)}"


def _list(messages: tuple[MessageType, ...]) -> str:
    return ", ".join(type_name(message) for message in messages) or "nothing"


def mermaid(specs: Specs, names: Names, edition: str) -> Iterator[str]:
    """Topics and components with the ways of the records between them."""
    yield "flowchart LR"
    for word, spec in specs.items():
        if isinstance(spec, FeedSpec):
            continue
        node = _node(word)
        if isinstance(spec, SagaSpec):
            yield f"  {node}{{{{{spec.name}}}}}"
            yield f"  {_node(spec.source)}_events --> {node}"
        elif isinstance(spec, ProcessSpec):
            yield f"  {node}{{{{{spec.name}}}}}"
            for source in sorted(set(spec.sources.values())):
                yield f"  {_node(source)}_events --> {node}"
            yield from _topics(node, word, ("events", "snapshots"), names, edition)
        else:
            yield f"  {node}[{spec.name}]"
            yield f'  {node}_commands[("{names.topic(edition, word, "commands")}")]'
            yield f"  {node}_commands --> {node}"
            if spec.facts:
                yield f'  {node}_facts[("{names.topic(edition, word, "facts")}")]'
                yield f"  {node}_facts --> {node}"
            yield from _topics(node, word, ("events", "snapshots"), names, edition)
            yield f'  {node} -.-> replies[("{names.replies}")]'
        if isinstance(spec, SagaSpec | ProcessSpec):
            for domain in _receivers(spec, specs):
                yield f"  {node} --> {_node(domain)}_commands"
        yield from _topics(node, word, ("dead-letters",), names, edition)


def _topics(node: str, word: str, kinds: tuple[str, ...], names: Names, edition: str) -> Iterator[str]:
    for kind in kinds:
        topic = f"{node}_{_node(kind)}"
        yield f'  {topic}[("{names.topic(edition, word, kind)}")]'
        yield f"  {node} --> {topic}"


def _receivers(spec: SagaSpec | ProcessSpec, specs: Specs) -> list[str]:
    """Domains that handle what the reactions say that they send."""
    sent = {type_name(command) for reaction in spec.reactions.values() for command in reaction.sends}
    plain = {w: s for w, s in specs.items() if isinstance(s, AggregateSpec) and not isinstance(s, ProcessSpec)}
    return [word for word, other in plain.items() if sent & set(other.handlers)]


def _node(word: str) -> str:
    return word.replace("-", "_")
