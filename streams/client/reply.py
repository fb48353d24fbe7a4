"""What a client gets back: answers to commands, events, and the errors that are no answers."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

from google.protobuf.message import Message

from headrace.schemas import codecs
from headrace.schemas.headrace_v1_pb2 import Event as WireEvent
from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.topology.inspection import ComponentSpec


class OutcomeUnknown(TimeoutError):
    """No answer in time. The command may have been handled or may be yet; `command_id` may be sent again safely."""

    def __init__(self, command_id: str, root: str, seconds: float) -> None:
        super().__init__(
            f"no answer for {root} within {seconds:g} s, so the outcome of command {command_id} is unknown; "
            "send it again with the same command_id, which is safe: it is decided once. Is a worker running?"
        )
        self.command_id = command_id


class SendFailed(RuntimeError):
    """The brokers did not take some of what was sent."""


class Status(Enum):
    """How a command ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a root. `data` is None when this program does not know its type; `raw` are its bytes always."""

    sequence: int
    type: str
    data: Message | None
    raw: bytes
    time: str
    causation_id: str
    correlation_id: str
    fact_id: str

    @classmethod
    def read(cls, event: WireEvent, spec: ComponentSpec) -> Self:
        """The event with its message decoded, if `spec` applies such messages."""
        known = spec.appliers.get(event.type)
        data = None if known is None else codecs.decode(event.data, known[0], event.content_type or None)
        return cls(
            sequence=event.sequence,
            type=event.type,
            data=data,
            raw=event.data,
            time=event.time,
            causation_id=event.causation_id,
            correlation_id=event.correlation_id,
            fact_id=event.fact_id,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a command. `sequence` is the root's last event's; -1 when it has none or is not known."""

    command_id: str
    status: Status
    root: str
    sequence: int
    events: tuple[Event, ...] = ()
    """Those of an accepted command; after a sequence conflict, those since the expected one."""
    reason: str = ""
    code: str = ""
    retryable: bool = False
    already_processed: bool = False
    """This answer was given before: the command had been sent already."""
    correlation_id: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the command was carried out."""
        return self.status is Status.ACCEPTED

    @classmethod
    def read(cls, reply: WireReply, spec: ComponentSpec) -> Self:
        """From the message in the replies topic."""
        return cls(
            command_id=reply.command_id,
            status=Status(WireReply.Status.Name(reply.status).lower()),
            root=reply.root,
            sequence=reply.sequence,
            events=tuple(Event.read(event, spec) for event in reply.events),
            reason=reply.reason,
            code=reply.code,
            retryable=reply.retryable,
            already_processed=reply.already_processed,
            correlation_id=reply.correlation_id,
        )

    @classmethod
    def too_large(cls, command_id: str, root: str, reason: str) -> Self:
        """A command that never left, since no broker takes one as large."""
        return cls(command_id, Status.FAILED, root, -1, reason=reason, code="too-large")

    def data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "command_id": self.command_id,
            "status": self.status.value,
            "root": self.root,
            "sequence": self.sequence,
            "reason": self.reason,
            "code": self.code,
            "retryable": self.retryable,
            "already_processed": self.already_processed,
        }
