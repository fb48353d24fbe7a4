"""Which projectors have the events of one command, by their acknowledgements."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from headrace.schemas.headrace_v1_pb2 import Projected
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.reply import Reply
from headrace.topology.reply_errors import ProjectionFailed, ProjectionUnknown
from headrace.topology.topology import Topology


def serving_versions(topology: Topology, serving: Mapping[str, int]) -> list[ProjectorSpec]:
    """The version of each projector that serves; `serving` has those that are recorded."""
    found = [versions.get(serving.get(name, next(iter(versions)))) for name, versions in topology.projectors.items()]
    return [spec for spec in found if spec is not None]


def concerned(topology: Topology, serving: Mapping[str, int], domain: str) -> list[ProjectorSpec]:
    """Those of them that read a domain's events."""
    return [spec for spec in serving_versions(topology, serving) if domain in spec.sources.values()]


class Confirming(Protocol):
    """The sinks of a deployment, as far as somebody waits for them."""

    @property
    def confirmed(self) -> Mapping[str, str]:
        """By projector's version, as a component: the kind of the sink that acknowledges documents which it has."""
        ...


class ProjectionWait:
    """Counts acknowledgements until projectors have the events of one command, or say that they will not.

    A direct projector acknowledges each event once. With a feed, the feed says how many documents an event concerns,
    and the projector acknowledges the event once for each. A sink that is to confirm acknowledges each document that
    the projector has changed, at least once.
    """

    def __init__(self, projectors: Collection[ProjectorSpec], confirmed: Mapping[str, str] | None = None) -> None:
        self._projectors, self._confirmed = projectors, confirmed or {}
        self._feeds = {spec.name: next(iter(spec.parts)).name for spec in projectors if spec.fed}
        self._announced: dict[tuple[str, int], int] = {}
        self._counted: dict[tuple[str, int], int] = defaultdict(int)
        self._changed: dict[tuple[str, int], int] = defaultdict(int)
        """Documents that a projector has changed because of an event."""
        self._in_sinks: dict[tuple[str, int], set[str]] = defaultdict(set)
        """Those of them that the projector's sink has."""
        self.failed: set[str] = set()
        """Projectors that lack an event."""

    def take(self, projected: Projected) -> None:
        """Count an acknowledgement."""
        place = projected.component, projected.sequence
        if projected.sink:
            self._in_sinks[place].add(projected.document)
            return
        if projected.failed:
            feeds = {feed: name for name, feed in self._feeds.items()}
            self.failed.add(feeds.get(projected.component, projected.component))
        if projected.component in self._feeds.values():
            self._announced[place] = projected.documents
        else:
            self._counted[place] += 1
            self._changed[place] += projected.documents

    def missing(self, sequences: Iterable[int]) -> list[str]:
        """Projectors, and sinks, that have not acknowledged each of these events."""
        wanted, found = list(sequences), []
        for spec in self._projectors:
            if not self._has(spec, wanted):
                found.append(spec.name)
            elif (sink := self._confirmed.get(spec.name)) and not self._in_sink(spec, wanted):
                found.append(f"{spec.name} in {sink}")
        return found

    def done(self, sequences: Iterable[int]) -> bool:
        """Whether each projector has acknowledged each of these events, or one has failed."""
        return bool(self.failed) or not self.missing(sequences)

    def check(self, reply: Reply, seconds: float) -> None:
        """Raise ProjectionFailed if a projector lacks an event of the reply, ProjectionUnknown if that is not known.

        The caller has waited for `seconds`.
        """
        if self.failed:
            raise ProjectionFailed(reply, sorted(self.failed))
        if missing := self.missing(event.sequence for event in reply.events):
            raise ProjectionUnknown(reply, missing, seconds)

    def _has(self, spec: ProjectorSpec, sequences: list[int]) -> bool:
        feed = self._feeds.get(spec.name)
        for sequence in sequences:
            wanted = 1 if feed is None else self._announced.get((feed, sequence))
            if wanted is None or self._counted[spec.name, sequence] < wanted:
                return False
        return True

    def _in_sink(self, spec: ProjectorSpec, sequences: list[int]) -> bool:
        places = [(spec.name, sequence) for sequence in sequences]
        return all(len(self._in_sinks[place]) >= self._changed[place] for place in places)
