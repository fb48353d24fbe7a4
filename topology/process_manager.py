"""What the author of a workflow declares: process managers, and the time-outs that they schedule and cancel."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Generic, TypeVar

from google.protobuf.message import Message

from headrace.topology.saga import Begin, Cascade
from headrace.topology.snapshots import Snapshots

S = TypeVar("S", bound=Message)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Delivers `message` to this process after `delay`: a time-out. Another one with the same name replaces it.

    If `name` is left out, it is the message's type. A time-out that was scheduled by another one, and is overdue by
    then because no worker ran, waits until a whole number of delays has passed; with `catch_up`, each one is delivered.
    """

    delay: timedelta
    message: Message
    name: str = field(default="", kw_only=True)
    catch_up: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.message.DESCRIPTOR.full_name)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancels the time-out with a name, or of a message type; does nothing if there is none."""

    name: str

    def __init__(self, name: str | type[Message]) -> None:
        object.__setattr__(self, "name", name if isinstance(name, str) else name.DESCRIPTOR.full_name)


class ProcessManager(Generic[S]):
    """A workflow across domains, with a state of its own; its root is the correlation id.

    `name` names its topics and group. Reactions must be pure; what they yield is committed in one transaction with the
    state. Its reactions determine from which domains it reads events; `begin` is as for a saga.
    """

    name: ClassVar[str]
    begin: ClassVar[Begin] = ""
    on_rejection: ClassVar[Cascade] = Cascade.COMPENSATE
    snapshots: ClassVar[Snapshots] = Snapshots()

    def finished(self, state: S) -> bool:
        """Whether the workflow is over, so that its remaining time-outs are ignored."""
        return False
