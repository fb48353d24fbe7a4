"""What a workflow author declares: sagas, and the commands that they send."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Generic, Literal, TypeVar, overload

from google.protobuf.message import Message

from headrace.topology.marks import F, Mark, mark

M = TypeVar("M", bound=Message)
Begin = Literal["oldest", "now", ""]


class Cascade(Enum):
    """What a refusal of a saga's command does, beyond reaching the aggregate that caused it."""

    COMPENSATE = "compensate"
    """The source compensates; without a handler the rejection goes to its dead letters."""
    CONTINUE = "continue"
    """The source may compensate; without a handler the rejection is counted, no more."""
    DEAD_LETTER = "dead-letter"
    """Besides, the refused command goes to the dead letters of the aggregate that refused it."""
    FAIL_FAST = "fail-fast"
    """The source may compensate; without a handler its root is aborted."""


class Transient(Exception):
    """Raised by a reaction that may succeed a little later; it is tried again before it is dead."""


@dataclass(frozen=True, slots=True)
class Send(Generic[M]):
    """A command for a root of another domain.

    Only a process manager, which may know it, gives the sequence that it expects the root to be at.
    """

    domain: str
    root: str
    message: M
    expected_sequence: int | None = field(default=None, kw_only=True)


class Saga:
    """Turns events of one domain into commands for others; keeps no state. Reactions must be pure.

    `name` names its consumer group and topics; `source` is the domain whose events it reads. `begin` says where it
    begins: with the oldest event, or with what comes now. It has to be said where there are events when it first runs.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    begin: ClassVar[Begin] = ""
    on_rejection: ClassVar[Cascade] = Cascade.COMPENSATE


@overload
def reacts(function: F) -> F: ...
@overload
def reacts(*, reads: Callable[..., Any] | None = None, from_inbox: bool = False) -> Callable[[F], F]: ...
def reacts(function: Any = None, *, reads: Callable[..., Any] | None = None, from_inbox: bool = False) -> Any:
    """Marks `method(self, event[, context]) -> Send | iterable of Send | None` of a saga.

    Annotated as `Iterator[Send[SomeCommand | OtherCommand]]`, it is checked at start-up that somebody handles them.
    A process manager's is `method(self, state, event[, context])`, and yields events of its own, `Schedule` and
    `Cancel` as well; `reads(state, event)` names the states of other roots (`StateOf`) that it finds in the context.
    With `from_inbox` it takes only events of commands that a saga or process manager has sent: a client, which chooses
    its own correlation id, cannot cause them in another's process.
    """

    found = Mark("reacts", reads=reads, from_inbox=from_inbox)
    return (lambda method: mark(method, found)) if function is None else mark(function, found)
