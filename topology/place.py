"""Where a step works, the limits that hold there, and the errors that a command can end in."""

from dataclasses import dataclass
from typing import NamedTuple

from headrace.topology.names import Names


class HandlerError(Exception):
    """A handler broke its contract; the text says which one and how."""


class TooLarge(Exception):
    """A record that this command would write is above the broker's limit."""


class SnapshotTooLarge(Exception):
    """A root's state outgrew the broker's limit; the batch is to be done again with `careful` set."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step works, and the limits that hold there."""

    names: Names
    edition: str
    partition: int
    partitions: int
    reply_partitions: int
    max_bytes: int = 1_048_588
    """Largest record the broker takes in the events and snapshots topics."""
    check_purity: bool = False
    """Whether to look for handlers that change the state they were given; costs two serialisations a command."""
    live_states: int = 10_000
    """State objects kept between batches."""


class Written(NamedTuple):
    """What a batch came to: commands by outcome, and events."""

    accepted: int
    rejected: int
    failed: int
    repeated: int
    forwarded: int
    queries: int
    events: int
