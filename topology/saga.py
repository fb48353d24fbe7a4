"""What the author of a workflow declares: sagas, and the commands that they send."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Generic, Literal, TypeVar, overload

from google.protobuf.message import Message

from headrace.topology.marks import F, Mark, mark

M = TypeVar("M", bound=Message)
Begin = Literal["oldest", "now", ""]


class Cascade(Enum):
    """What happens when a saga's command is rejected. The source is the aggregate whose event caused the command."""

    COMPENSATE = "compensate"
    """The source compensates; without a handler, the rejection goes to its dead letters."""
    CONTINUE = "continue"
    """The source may compensate; without a handler, the rejection is only counted."""
    DEAD_LETTER = "dead-letter"
    """As COMPENSATE, and the rejected command goes to the dead letters of the aggregate that rejected it."""
    FAIL_FAST = "fail-fast"
    """The source may compensate; without a handler, its root is aborted."""


class Transient(Exception):
    """Raised by a reaction that may succeed a little later: it is tried again before its event is a dead letter."""


@dataclass(frozen=True, slots=True)
class Send(Generic[M]):
    """A command for a root of another domain.

    Only a process manager sets `expected_sequence`, because it can read the sequence of the root.
    """

    domain: str
    root: str
    message: M
    expected_sequence: int | None = field(default=None, kw_only=True)


class Saga:
    """Turns events of one domain into commands for others; has no state. Reactions must be pure.

    `name` names its consumer group and topics; `source` is the domain whose events it reads. `begin` says where it
    begins to read: with the oldest event, or with events from now on. It is required if there are events when the saga
    runs for the first time.
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

    If it is annotated as `Iterator[Send[SomeCommand | OtherCommand]]`, the topology checks that the domains of this
    deployment handle these commands. A process manager's reaction is `method(self, state, event[, context])`, and may
    also yield events of its own, `Schedule` and `Cancel`; `reads(state, event)` names the states of other roots
    (`StateOf`) that it finds in the context. With `from_inbox` it takes only events of commands that a saga or process
    manager has sent. A client cannot cause such events in another client's process, although it chooses its own
    correlation id.
    """

    found = Mark("reacts", reads=reads, from_inbox=from_inbox)
    return (lambda method: mark(method, found)) if function is None else mark(function, found)
