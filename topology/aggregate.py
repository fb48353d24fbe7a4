"""What the author of a domain declares: an aggregate, its handlers, and how it rejects a command."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar, overload

from google.protobuf.message import Message

from headrace.topology.marks import F, Mark, mark
from headrace.topology.merge import Merge
from headrace.topology.snapshots import Snapshots

S = TypeVar("S", bound=Message)


class Rejected(Exception):
    """Raised by a handler to reject a command: no event is written, and the caller is told why.

    `code` is for programs; `retryable` says that the same command may succeed later.
    """

    def __init__(self, reason: str, *, code: str = "rejected", retryable: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.retryable = retryable


class Aggregate(Generic[S]):
    """Turns commands into events, given a state that is folded from its own events. Handlers must be pure.

    A subclass names its `domain` and its state message, and marks methods with `@handles` and `@applies`;
    their annotations say which messages they take.
    """

    domain: ClassVar[str]
    merge: ClassVar[Merge] = Merge.COMMUTATIVE
    snapshots: ClassVar[Snapshots] = Snapshots()
    isolated: ClassVar[bool] = False
    """Whether clients may send commands whose events no saga and no process manager reacts to."""


@overload
def handles(function: F) -> F: ...
@overload
def handles(*, merge: Merge) -> Callable[[F], F]: ...
def handles(function: Any = None, *, merge: Merge | None = None) -> Any:
    """Marks `method(self, state, command[, context]) -> event | list of events | None`.

    `merge` overrides the aggregate's strategy for this command. The method must not change `state`.
    """
    if function is not None:
        return mark(function, Mark("handles"))
    return lambda f: mark(f, Mark("handles", merge))


def applies(function: F) -> F:
    """Marks `method(self, state, event) -> None`, which changes `state` to what it is after `event`."""
    return mark(function, Mark("applies"))


def records(function: F) -> F:
    """Marks `method(self, state, fact[, context]) -> event | list of events | None`: a fact cannot be rejected."""
    return mark(function, Mark("records"))


def compensates(function: F) -> F:
    """Marks `method(self, state, command, rejection) -> event | list of events | Flag`.

    Called when `command`, which a saga or process manager sent because of an event of this aggregate, was rejected.
    """
    return mark(function, Mark("compensates"))


class Flag(Enum):
    """What a compensation can return instead of events."""

    REVOKE = "revoke"
    """Write a `headrace.v1.Revoked` event: what the event led to is void."""
    DEAD_LETTER = "dead-letter"
    """Keep the rejection in the dead letters, for a person to look at."""
    ESCALATE = "escalate"
    """As DEAD_LETTER, and tell a person now, by a log line and the webhook."""
    ABORT = "abort"
    """Write a `headrace.v1.Aborted` event: sagas handle nothing more of this root until a person decides."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a compensation is told about the rejected command."""

    reason: str
    code: str
    component: str
    """The component that rejected the command."""
    root: str
    """The root that the command was for."""
    command_id: str
    sequence: int
    """Sequence of the event of this root that the command was sent for; -1 if it was an event of another root."""
