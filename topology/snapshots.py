"""How the author of a state says when snapshots of it are written, which are kept, and that its meaning has changed."""

from dataclasses import dataclass

from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class Snapshots:
    """How the states of an aggregate or process manager are kept: `snapshots = Snapshots(every=100, version=2)`.

    A snapshot of a root is written with each batch that changes it or, with `every`, with the batch in which there are
    so many events since the last one. A newer snapshot replaces it. With `keep`, one more is written after each event
    of these types, and kept for ever: reads of the past begin there.

    A stored state is used as long as its message type and `version` are the same; else it is folded anew from the
    events when its root is next used. So increase `version` when an `@applies` method is repaired.
    """

    every: int = 1
    keep: tuple[type[Message], ...] = ()
    version: int = 1

    def __post_init__(self) -> None:
        if self.version < 1:
            raise ValueError(f"version={self.version}; versions begin with 1")
        if not 1 <= self.every <= MOST:
            raise ValueError(f"every={self.every}; it is a number of events from 1 to {MOST}")
        if not isinstance(self.keep, tuple) or not all(isinstance(event, type) for event in self.keep):
            raise ValueError(f"keep={self.keep!r}; it is a tuple of event types, such as keep=(MonthClosed,)")


MOST = 10_000
"""The most events between two snapshots: all of them are folded when the root is next loaded."""
