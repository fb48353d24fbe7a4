"""All that one command leads to, by the reports of the components that handle it."""

from collections import Counter
from collections.abc import Collection, Iterable

from headrace.schemas.headrace_v1_pb2 import Follows, Handled, Reply
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.topology import Topology

_Place = tuple[str, str]
"""A component, and the source and id of a record that it handles."""


class CascadeTree:
    """What is reported of one command, and what is still to come, as far as the topology says who handles what.

    Reports come in any order. Each names the records that follow, so nothing is missing once each record that was named
    has its reports.
    """

    def __init__(self, topology: Topology, projectors: Collection[ProjectorSpec] = ()) -> None:
        """`projectors` are those whose documents are waited for."""
        self._topology, self._projectors = topology, projectors
        self._feeds = {part.name: spec.name for spec in projectors for part in spec.parts}
        self._wanted: dict[_Place, int] = {}
        """How many reports are to come, by place; a feed says it of the projector behind it."""
        self._seen: Counter[_Place] = Counter()
        self._begun = False
        self.failures: list[Handled] = []
        """What was rejected or is dead, in the order in which it was reported."""

    def take(self, handled: Handled) -> None:
        """Count a report, and follow what it names."""
        self._begun = self._begun or handled.first
        self._seen[handled.component, handled.record] += 1
        if handled.status != Reply.ACCEPTED:
            self.failures.append(handled)
        for follows in handled.follows:
            for name in self._readers(follows) if follows.event_type else [follows.component]:
                self._wanted.setdefault((name, follows.record), 1)
        if (projector := self._feeds.get(handled.component)) is not None and handled.documents:
            self._wanted[projector, handled.record] = handled.documents

    @property
    def complete(self) -> bool:
        """Whether the command itself was reported, and nothing is missing."""
        return self._begun and not self.missing

    @property
    def missing(self) -> list[str]:
        """What is not reported yet: components, with the records that they have not handled."""
        return [": ".join(place) for place, count in self._wanted.items() if self._seen[place] < count]

    def _readers(self, event: Follows) -> Iterable[str]:
        """Components that handle an event, the feeds of projectors in place of these."""
        for spec in self._topology.components.values():
            if spec.reacts_to(event.component, event.event_type):
                yield spec.name
        for projector in self._projectors:
            if projector.sources.get(event.event_type) == event.component:
                yield next(iter(projector.parts)).name if projector.fed else projector.name
