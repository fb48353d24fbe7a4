"""What a caller gets that sends a command, states a fact or reads a root, from a client or from the test driver."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Self

from google.protobuf.message import Message

from headrace.schemas import codecs
from headrace.schemas.headrace_v1_pb2 import Event as WireEvent
from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.topology.inspection import ComponentSpec

Sync = Literal["decision", "simple", "cascade", "isolated"]
"""How long `execute` waits: until the command is decided (as `isolated` does, whose events nothing reacts to), until
documents have its events too, or until all that the command leads to is handled."""
SendSync = Literal["async", "isolated"]
"""As `Sync`, of a command whose sender does not wait."""
OnError = Literal["fail-fast", "continue", "dead-letter", "compensate"]
"""What `execute` does about failures in a cascade: raise the first one; list them; list them, and keep rejected
commands in the dead letters; or raise them, once the sources of all commands that were carried out are told to undo
them."""


class Status(StrEnum):
    """How a command ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a root. `data` is None if this program does not know its type; `raw` always has its bytes."""

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
        """The event, with its message decoded if `spec` applies messages of this type."""
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
class Failure:
    """Something that a command led to, and that was rejected or is dead."""

    component: str
    """Who has rejected it, or could not handle it."""
    root: str
    type: str
    """Full protobuf name of the command or event."""
    reason: str
    code: str
    rejected: bool
    """Whether it was rejected, which its source was told; else it is in the dead letters, or waits behind one."""

    def __str__(self) -> str:
        what = "rejected" if self.rejected else "could not handle"
        return f"{self.component} {what} {self.type} of {self.root}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a command. `sequence` is that of the root's last event; -1 if it has none, or it is not known."""

    command_id: str
    status: Status
    root: str
    sequence: int
    events: tuple[Event, ...] = ()
    """For an accepted command, its events; for a sequence conflict, the events since the expected sequence."""
    reason: str = ""
    code: str = ""
    retryable: bool = False
    already_processed: bool = False
    """Whether an earlier call had already sent the command, or stated the fact, and this is its answer.

    If the caller chose the command's id, this may be the answer to an earlier attempt of the same call.
    """
    correlation_id: str = ""
    failures: tuple[Failure, ...] = ()
    """What the command led to and was rejected or is dead, if the caller has waited for a cascade."""

    @property
    def accepted(self) -> bool:
        """Whether the command was carried out."""
        return self.status is Status.ACCEPTED

    @property
    def messages(self) -> list[Any]:
        """The messages of `events`; None in place of each whose type this program does not know."""
        return [event.data for event in self.events]

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
        """The reply to a command that was not sent, because it is too large for the brokers."""
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
