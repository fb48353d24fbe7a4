"""What a workflow author declares: process managers, and what they can ask for besides commands."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Generic, TypeVar

from google.protobuf.message import Message

from headrace.topology.saga import Begin, Cascade

S = TypeVar("S", bound=Message)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Delivers `message` to this process after `delay`; another one of the same name replaces the first.

    `name` is the message's type where it is left out.
    """

    delay: timedelta
    message: Message
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.message.DESCRIPTOR.full_name)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Forgets the time-out of a name, or of a message type; nothing happens when there is none."""

    name: str

    def __init__(self, name: str | type[Message]) -> None:
        object.__setattr__(self, "name", name if isinstance(name, str) else name.DESCRIPTOR.full_name)


class ProcessManager(Generic[S]):
    """A workflow with a state of its own, across domains; its root is the correlation id.

    `name` names its topics and group. Reactions must be pure; what they yield is done in one transaction with the
    state. Which domains it listens to follows from the events that its reactions take; `begin` is as
    that of a saga.
    """

    name: ClassVar[str]
    begin: ClassVar[Begin] = ""
    on_rejection: ClassVar[Cascade] = Cascade.COMPENSATE

    def finished(self, state: S) -> bool:
        """Whether the workflow is over, so that time-outs that still come are ignored."""
        return False
