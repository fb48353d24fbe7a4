"""Up to where an edition sees its parent: a moment, with exceptions for domains and roots. All ends are inclusive."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Root = tuple[str, str]
"""Component and root."""


@dataclass(frozen=True, slots=True)
class DomainCut:
    """The cut as it concerns the roots of one component."""

    moment: int | None = None
    """Recorded time of the last events that are seen, in milliseconds; None where the parent is followed."""
    sequence: int | None = None
    """Sequence of the last event of each root; None where the moment decides."""
    roots: Mapping[str, int] = field(default_factory=dict)
    """Sequence of the last event of single roots; -1 for a root of which nothing is seen."""
    settled: int | None = None
    """Recorded time in milliseconds at which the cut was settled: where a sequence decides, later events are not seen,
    even if the root had fewer events then."""

    def sequence_of(self, root: str) -> int | None:
        """Sequence of the last event of a root that is seen; None where the moment decides."""
        return self.roots.get(root, self.sequence)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where an edition leaves its parent.

    A root's own exception comes before its domain's, and that before the moment. A root that has no events up to there
    is not in the edition.
    """

    moment: int | None = None
    """Recorded time in milliseconds: an event belongs to the edition if it was recorded by then. None means follow: the
    edition sees all of a root in the parent until it writes the root's first event itself."""
    domains: Mapping[str, int] = field(default_factory=dict)
    """Sequence of the last event of each root, by component."""
    roots: Mapping[Root, int] = field(default_factory=dict)
    """Sequence of the last event, by component and root."""

    def __post_init__(self) -> None:
        if self.moment is not None and self.moment < 0:
            raise ValueError(f"moment={self.moment}; a moment is in milliseconds since 1970")
        for name, sequence in [*self.domains.items(), *self.roots.items()]:
            if sequence < -1:
                raise ValueError(f"{name}: {sequence}; sequences begin with 0, and -1 stands for no event at all")

    def of(self, component: str) -> DomainCut:
        """The part of the cut that concerns one component."""
        roots = {root: sequence for (name, root), sequence in self.roots.items() if name == component}
        return DomainCut(self.moment, self.domains.get(component), roots)
