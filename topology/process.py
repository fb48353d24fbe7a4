"""What a workflow author declares: process managers, and what they can ask for besides commands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar

from google.protobuf.message import Message

from headrace.topology.saga import Cascade, EventContext

S = TypeVar("S", bound=Message)


@dataclass(frozen=True, slots=True)
class After:
    """A message to itself, later. Made by `after`."""

    delay: timedelta
    message: Message
    name: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """The end of a time-out that has not come. Made by `cancel`."""

    name: str


@dataclass(frozen=True, slots=True)
class Need:
    """The state of another root that a reaction wants to know. Made by `state_of`."""

    domain: str
    root: str


@dataclass(frozen=True, slots=True)
class Known:
    """What was found of another root: its state (None when it has no events) and the sequence it was read at."""

    state: Any
    sequence: int


def after(delay: timedelta, message: Message, *, name: str = "") -> After:
    """Have `message` brought to this process after `delay`; one more of the same name takes the place of the first.

    `name` is the message's type when it is left out.
    """
    return After(delay, message, name or message.DESCRIPTOR.full_name)


def cancel(name: str | type[Message]) -> Cancel:
    """Forget the time-out of a name, or of a message type; nothing happens when there is none."""
    return Cancel(name if isinstance(name, str) else name.DESCRIPTOR.full_name)


def state_of(domain: str, root: str) -> Need:
    """For `needs`: the state of another root."""
    return Need(domain, root)


@dataclass(slots=True)
class ProcessContext(EventContext):
    """What a reaction of a process manager may know besides state and event."""

    known: Mapping[Need, Known] = field(default_factory=dict)
    """States that its `needs` named."""


class ProcessManager(Generic[S]):
    """A workflow with a state of its own, across domains; its root is the correlation id.

    `name` names its topics and group. Reactions must be pure; what they yield is done in one transaction with the
    state. Which domains it listens to follows from the events that its reactions take.
    """

    name: ClassVar[str]
    on_rejection: ClassVar[Cascade] = Cascade.COMPENSATE

    def finished(self, state: S) -> bool:
        """Whether the workflow is over, so that time-outs that still come are ignored."""
        return False
