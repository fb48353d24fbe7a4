"""The names, partition and limits with which a step works."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from headrace.streams.steps.errors import InvalidArgument
from headrace.topology.names import Names
from headrace.topology.partitioner import partition_of

LONGEST_ROOT = 1024
"""Bytes of the longest root."""
OVERHEAD = 2048
"""Bytes of the broker's limit that are reserved for headers and framing of a record."""


@dataclass(frozen=True, slots=True)
class StepContext:
    """The names, partition and limits with which a step works."""

    names: Names
    edition: str
    partition: int
    partitions: int
    reply_partitions: int
    counts: Mapping[str, int] = field(default_factory=dict)
    """Number of partitions of other topics that are written to; a topic that is not named has `partitions`."""
    hop_limit: int = 64
    """The most components that one cause may lead through."""
    pause: Callable[[float], object] = lambda seconds: None
    """Waits this number of seconds before a transient failure is tried again."""
    max_bytes: int = 1_048_588
    """Largest record the broker takes in the events and snapshots topics."""
    check_purity: bool = False
    """Whether to detect handlers that change the state they were given; costs two serialisations per command."""
    live_states: int = 10_000
    """State objects kept between batches."""

    @property
    def room(self) -> int:
        """Bytes that a value may have, so that with headers and framing the record is below the broker's limit."""
        return self.max_bytes - OVERHEAD

    def partition_in(self, topic: str, root: bytes) -> int:
        """The partition of a root in another topic; InvalidArgument for one that is too long to be a root.

        The partitioner takes a second for 2 MB, and remembers what it has seen.
        """
        if len(root) > LONGEST_ROOT:
            raise InvalidArgument(f"{root[:99]!r}… has {len(root)} bytes; a root has at most {LONGEST_ROOT}")
        return partition_of(root, self.counts.get(topic, self.partitions))
