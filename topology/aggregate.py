"""What a domain author declares: an aggregate, its handlers, and how it says no."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar, overload
from uuid import UUID, uuid5

from google.protobuf.message import Message

S = TypeVar("S", bound=Message)
F = TypeVar("F", bound=Callable[..., Any])
_IDS = UUID("6f0d1e86-2f7c-5b0e-9a53-6a5f2a1d9c11")


class Merge(Enum):
    """What to do with a command whose expected sequence is not the root's."""

    COMMUTATIVE = "commutative"
    """Refuse, as retryable, only if fields changed since then are fields that this command changes."""
    STRICT = "strict"
    """Refuse, as retryable, with the events since the expected sequence."""
    AGGREGATE_HANDLES = "aggregate-handles"
    """Do not check; the handler knows what to do."""
    MANUAL = "manual"
    """To the dead letters, for a person to decide."""


class Rejected(Exception):
    """Raised by a handler to refuse a command: nothing is written, the caller is told why.

    `code` is a word for programs; `retryable` says that the same request may succeed later.
    """

    def __init__(self, reason: str, *, code: str = "rejected", retryable: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.retryable = retryable


@dataclass(slots=True)
class Context:
    """What a handler may know besides state and command; the same at each replay of the same command."""

    root: str
    command_id: str
    correlation_id: str
    sequence: int
    """Of the root's last event before this command; -1 when there is none."""
    now: datetime
    """When the command was sent, UTC."""
    edition: str = "main"
    _random: random.Random | None = field(default=None, repr=False)
    _ids: int = field(default=0, repr=False)

    @property
    def random(self) -> random.Random:
        """A source of chance seeded by the root and the command's id."""
        if self._random is None:
            self._random = random.Random(f"{self.root}/{self.command_id}")
        return self._random

    def new_id(self) -> str:
        """A UUID that depends on the root, the command's id, and how many were asked for before."""
        self._ids += 1
        return str(uuid5(_IDS, f"{self.root}/{self.command_id}/{self._ids}"))


class Aggregate(Generic[S]):
    """Decides commands into events, from state folded out of its own events. Handlers must be pure.

    A subclass names its `domain` and its state message, and marks methods with `@handles` and `@applies`;
    which messages they take is read from their annotations.
    """

    domain: ClassVar[str]
    merge: ClassVar[Merge] = Merge.COMMUTATIVE


@dataclass(frozen=True, slots=True)
class Mark:
    """What a decorator left on a method."""

    role: str
    merge: Merge | None = None
    reads: Callable[..., Any] | None = None


def _mark(function: F, mark: Mark) -> F:
    function.__headrace__ = mark  # type: ignore[attr-defined]
    return function


@overload
def handles(function: F) -> F: ...
@overload
def handles(*, merge: Merge) -> Callable[[F], F]: ...
def handles(function: Any = None, *, merge: Merge | None = None) -> Any:
    """Marks `method(self, state, command[, context]) -> event | list of events | None`.

    `merge` overrides the aggregate's strategy for this command. The method must not change `state`.
    """
    if function is not None:
        return _mark(function, Mark("handles"))
    return lambda f: _mark(f, Mark("handles", merge))


def applies(function: F) -> F:
    """Marks `method(self, state, event) -> None`, which changes `state` to what it is after `event`."""
    return _mark(function, Mark("applies"))


def records(function: F) -> F:
    """Marks `method(self, state, fact[, context]) -> event | list of events | None`: a fact cannot be rejected."""
    return _mark(function, Mark("records"))


def compensates(function: F) -> F:
    """Marks `method(self, state, command, rejection) -> event | list of events | Flag`.

    Called when `command`, which a saga or process manager sent because of an event of this aggregate, was refused.
    """
    return _mark(function, Mark("compensates"))


class Flag(Enum):
    """What a compensation can answer with instead of events."""

    REVOKE = "revoke"
    """Write a `headrace.v1.Revoked` event: what the event led to is void."""
    DEAD_LETTER = "dead-letter"
    """Keep the rejection in the dead letters, for a person."""
    ESCALATE = "escalate"
    """As DEAD_LETTER, and tell a person now: a log line and the webhook."""
    ABORT = "abort"
    """Write a `headrace.v1.Aborted` event: sagas handle nothing more of this root until a person decides."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a compensation is told about the rejected command."""

    reason: str
    code: str
    component: str
    """That refused."""
    root: str
    """That the command was for."""
    command_id: str
    sequence: int
    """Of the event of this root that the command was sent for; -1 when it was another root's."""
