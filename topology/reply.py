"""What a caller gets that sends a command, states a fact or reads a root, from a client or from the test driver."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Self

from google.protobuf.message import Message

from headrace.schemas import codecs
from headrace.schemas.event_schema import EventSchema
from headrace.schemas.headrace_v1_pb2 import Event as WireEvent
from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.topology.inspection import ComponentSpec, type_name
from headrace.topology.upcaster import UpcastFailed

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
    """One event of a root. `data` is None if this program does not know its type, or the version of it.

    Where an upcaster has lifted it, `type` and `data` are those of today, and there may be several of one sequence.
    """

    sequence: int
    type: str
    data: Message | None
    raw: bytes
    """Its bytes on the log, which are of the type and version in `stored`."""
    time: str
    causation_id: str
    correlation_id: str
    fact_id: str
    stored: EventSchema

    @classmethod
    def read(cls, event: WireEvent, spec: ComponentSpec, root: str, *, lift: bool = True) -> list[Self]:
        """What an event of a root is today; without `lift`, the event as it is on the log.

        Raises UpcastFailed.
        """
        stored = EventSchema(event.type, event.version or 1)
        message = _message(stored, spec)
        if message is None:
            return [cls._of(event, stored, event.type, None)]
        data = codecs.decode(event.data, message, event.content_type or None)
        try:
            lifted = spec.upcasters.lift(stored, data) if lift else [data]
        except UpcastFailed as failed:
            raise failed.at(root, event.sequence) from failed.__cause__
        return [cls._of(event, stored, type_name(type(one)), one) for one in lifted]

    @classmethod
    def _of(cls, event: WireEvent, stored: EventSchema, type_of_data: str, data: Message | None) -> Self:
        return cls(
            sequence=event.sequence,
            type=type_of_data,
            data=data,
            raw=event.data,
            time=event.time,
            causation_id=event.causation_id,
            correlation_id=event.correlation_id,
            fact_id=event.fact_id,
            stored=stored,
        )


def _message(schema: EventSchema, spec: ComponentSpec) -> type[Message] | None:
    """The type of an event's bytes; None if this program does not know it."""
    if (old := spec.upcasters.old.get(schema.key)) is not None:
        return old[1].message
    known = spec.appliers.get(schema.type)
    return None if known is None or schema != spec.upcasters.newest(schema.type) else known.message


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
            events=tuple(one for event in reply.events for one in Event.read(event, spec, reply.root)),
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
