"""Where a step works, the limits that hold there, and the errors that a command can end in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.topology.names import Names
from headrace.topology.partitioner import partition_of


class HandlerError(Exception):
    """A handler broke its contract; the text says which one and how."""


PARK_PREFIX = b"\0park|"
"""Of changelog keys that hold events that wait for a dead one."""
NEED_PREFIX = b"\0need|"
"""Of changelog keys that hold states of other roots, asked for by an event that waits for them."""
TIMER_PREFIX = b"\0timer|"
"""Of changelog keys that hold time-outs, in order of time."""
TIMER_NAME_PREFIX = b"\0timer-of|"
"""Of changelog keys that say which time-out a root has under a name."""
FACT_PREFIX = b"\0fact|"
"""Of changelog keys that say where a fact's events are."""


class InvalidArgument(ValueError):
    """Something that this deployment does not know was asked of it; nothing of it is stored."""


class HopLimit(Exception):
    """Sagas and aggregates answer each other without end; the text holds the path."""


class WorkflowAborted(Exception):
    """A compensation said that nothing more of this root is to be handled."""


class TooLarge(Exception):
    """A record that this command would write is above the broker's limit."""


class SnapshotTooLarge(Exception):
    """A root's state outgrew the broker's limit; the batch is to be done again with `careful` set."""


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

    def partition_in(self, topic: str, root: bytes) -> int:
        """The partition of a root in another topic."""
        return partition_of(root, self.counts.get(topic, self.partitions))


class Written(NamedTuple):
    """What a batch came to: commands by outcome, and events."""

    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    repeated: int = 0
    forwarded: int = 0
    queries: int = 0
    compensations: int = 0
    sends: int = 0
    parked: int = 0
    timeouts: int = 0
    ignored: int = 0
    events: int = 0
