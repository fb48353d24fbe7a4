"""The sinks of a deployment: which documents go to which other systems. Declared next to the topology."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from headrace.connectors.connect.rendering import Rendered, Source
from headrace.topology.names import Names
from headrace.topology.projector import Projector, version_name


class Sink(Protocol):
    """A system to which the documents of a projector go."""

    kind: ClassVar[str]
    """One word for the system; a projector's version has at most one sink of a kind."""

    @property
    def projector(self) -> type[Projector[Any]]:
        """Whose documents."""
        ...


@runtime_checkable
class ConnectSink(Sink, Protocol):
    """One that Kafka Connect runs."""

    def render(self, source: Source, offered: Collection[str]) -> Rendered:
        """The sink for Connect; `offered` are the classes of the plug-ins that the cluster has, if it was asked.

        SecretInPlain, a ValueError, names a secret that is no reference; ValueError what else does not fit.
        """
        ...


class SinkMistake(ValueError):
    """All mistakes in the declared sinks at once, a line each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__(f"{len(mistakes)} mistake(s) in the sinks:\n" + "\n".join(f"  - {m}" for m in mistakes))
        self.mistakes = mistakes


class Sinks:
    """The declared sinks. Raises SinkMistake if two of them are one and the same."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks
        seen: set[tuple[str, str]] = set()
        mistakes = []
        for sink in sinks:
            if (place := (_component(sink), sink.kind)) in seen:
                mistakes.append(f"{_text(sink)}: {place[0]} has a {sink.kind} sink already; keep one of them")
            seen.add(place)
        if mistakes:
            raise SinkMistake(mistakes)

    def __iter__(self) -> Iterator[Sink]:
        return iter(self._sinks)

    @property
    def confirmed(self) -> Mapping[str, str]:
        """By projector's version, as a component: the kind of the sink that acknowledges documents which it has."""
        return {_component(sink): sink.kind for sink in self._sinks if getattr(sink, "confirm", False)}

    def check(self, components: Collection[str]) -> None:
        """Raises SinkMistake for sinks whose projector is none of a topology's components."""
        known = ", ".join(components) or "none"
        mistakes = [
            f"{_text(sink)}: the topology has no {name}; it has: {known}. Add {sink.projector.__name__} to the topology"
            for sink in self._sinks
            if (name := _component(sink)) not in components
        ]
        if mistakes:
            raise SinkMistake(mistakes)

    def render(self, names: Names, edition: str, offered: Collection[str] = ()) -> list[Rendered]:
        """Those that Connect runs; SinkMistake if one of them cannot be rendered."""
        found, mistakes = [], []
        for sink in self._sinks:
            if isinstance(sink, ConnectSink):
                try:
                    found.append(sink.render(Source(names, edition, sink.projector, sink.kind), offered))
                except (ValueError, TypeError) as error:
                    mistakes.append(str(error))
        if mistakes:
            raise SinkMistake(mistakes)
        return found


def _component(sink: Sink) -> str:
    return version_name(sink.projector.name, sink.projector.version)


def _text(sink: Sink) -> str:
    return f"{type(sink).__name__}({sink.projector.__name__})"
