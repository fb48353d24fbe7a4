"""Where a step works, and the limits that hold there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from headrace.topology.names import Names
from headrace.topology.partitioner import partition_of

OVERHEAD = 2048
"""Bytes kept free, under the broker's limit, for headers and framing of a record."""


@dataclass(frozen=True, slots=True)
class StepContext:
    """Where a step works, and the limits that hold there."""

    names: Names
    edition: str
    partition: int
    partitions: int
    reply_partitions: int
    counts: Mapping[str, int] = field(default_factory=dict)
    """Partitions of every other topic that is written to; where one is not named, it has `partitions`."""
    hop_limit: int = 64
    """Components that one cause may lead through."""
    pause: Callable[[float], object] = lambda seconds: None
    """Waits so many seconds before a transient failure is tried again."""
    max_bytes: int = 1_048_588
    """Largest record the broker takes in the events and snapshots topics."""
    check_purity: bool = False
    """Whether to look for handlers that change the state they were given; costs two serialisations a command."""
    live_states: int = 10_000
    """State objects kept between batches."""

    @property
    def room(self) -> int:
        """Bytes that a value may have, under the broker's limit, beside headers and framing."""
        return self.max_bytes - OVERHEAD

    def partition_in(self, topic: str, root: bytes) -> int:
        """The partition of a root in another topic."""
        return partition_of(root, self.counts.get(topic, self.partitions))
