"""Which projectors have the events of one command, by their acknowledgements."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

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


class ProjectionWait:
    """Counts acknowledgements until projectors have the events of one command, or say that they will not.

    A direct projector acknowledges each event once. With a feed, the feed says how many documents an event concerns,
    and the projector acknowledges the event once for each.
    """

    def __init__(self, projectors: Collection[ProjectorSpec]) -> None:
        self._projectors = projectors
        self._feeds = {spec.name: next(iter(spec.parts)).name for spec in projectors if spec.fed}
        self._announced: dict[tuple[str, int], int] = {}
        self._counted: dict[tuple[str, int], int] = defaultdict(int)
        self.failed: set[str] = set()
        """Projectors that lack an event."""

    def take(self, projected: Projected) -> None:
        """Count an acknowledgement."""
        place = projected.component, projected.sequence
        if projected.failed:
            feeds = {feed: name for name, feed in self._feeds.items()}
            self.failed.add(feeds.get(projected.component, projected.component))
        if projected.component in self._feeds.values():
            self._announced[place] = projected.documents
        else:
            self._counted[place] += 1

    def missing(self, sequences: Iterable[int]) -> list[str]:
        """Projectors that have not acknowledged each of these events, nor failed."""
        wanted = list(sequences)
        return [spec.name for spec in self._projectors if not self._has(spec, wanted)]

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
