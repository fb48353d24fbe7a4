"""Rejections of commands: the notice to the component that caused the command, and the outcome of a compensation."""

from collections.abc import Container, Mapping
from dataclasses import dataclass

from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.headers import (
    CASCADE,
    CAUSATION,
    CONTENT_TYPE,
    CORRELATION,
    ID,
    PATH,
    REJECT_TO,
    SOURCE,
    SPECVERSION,
    SUBJECT,
    TRACEPARENT,
    TYPE,
    Headers,
)
from headrace.schemas.headrace_v1_pb2 import Aborted, Follows, Reply, Revoked
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.ids import EventRef, IssuerRef, RejectionRef
from headrace.schemas.record import Record, RecordError
from headrace.streams.steps.batch import Output
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.errors import Uncompensated
from headrace.streams.steps.sender import event_id
from headrace.streams.steps.sync_modes import reported_to
from headrace.topology.aggregate import Flag
from headrace.topology.names import is_name
from headrace.topology.saga import Cascade


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rejection leads to."""

    events: tuple[object, ...] = ()
    dead: Uncompensated | None = None
    """Why the rejection goes to the dead letters, if it does."""
    escalated: bool = False


def notice(record: Record, reply: Reply, component: str, context: StepContext, source: str) -> Output:
    """The record that reports a rejected command to its issuer; RecordError if the issuer's address is not valid."""
    headers = record.headers
    issuer, address = IssuerRef.parse(headers[REJECT_TO].decode()), headers[REJECT_TO]
    if issuer is None or not is_name(issuer.component):
        raise RecordError(f"ce_rejectto is {address!r}; it must be COMPONENT:ROOT")
    topic = context.names.topic(context.edition, issuer.component, "inbox")
    if context.counts and topic not in context.counts:
        raise RecordError(f"ce_rejectto is {address!r}; this deployment has no topic {topic}")
    out: Headers = [
        (SPECVERSION, "1.0"),
        (ID, str(RejectionRef(reply.command_id))),
        (SOURCE, source),
        (TYPE, "headrace.v1.Rejection"),
        (SUBJECT, issuer.root),
        (CONTENT_TYPE, PROTOBUF),
        (CAUSATION, headers[ID]),
        (CORRELATION, headers.get(CORRELATION) or headers[ID]),
    ]
    out.extend((name, headers[name]) for name in (TRACEPARENT, PATH) if name in headers)
    out += reported_to(record)
    partition = context.partition_in(topic, issuer.root.encode())
    return topic, make_rejection(record, reply, component).SerializeToString(), issuer.root, partition, out


def make_rejection(record: Record, reply: Reply, component: str) -> WireRejection:
    """What `component` says about a command that it has rejected, or that is to be undone."""
    headers = record.headers
    return WireRejection(
        component=component,
        root=reply.root,
        command_id=reply.command_id,
        command_type=headers[TYPE].decode(),
        command=record.value or b"",
        content_type=(headers.get(CONTENT_TYPE) or b"").decode(),
        reason=reply.reason,
        code=reply.code,
        retryable=reply.retryable,
        issuer=headers[SOURCE].decode().rpartition("/")[2],
        cause=(headers.get(CAUSATION) or b"").decode(),
        cascade=(headers.get(CASCADE) or b"").decode(),
    )


def notified(record: Record, reply: Reply, source: str) -> list[Follows]:
    """That notice, for the report on the command."""
    issuer = IssuerRef.parse(record.headers[REJECT_TO].decode())
    return [Follows(component=issuer.component, record=f"{source}/{RejectionRef(reply.command_id)}")] if issuer else []


def flagged(where: str, rejection: WireRejection, flag: Flag, sequence: int) -> Outcome:
    """The outcome of a compensation's flag; `sequence` is that of the event for which the command was sent."""
    reason = reason_of(rejection)
    if flag is Flag.REVOKE:
        return Outcome((Revoked(sequence=sequence, reason=reason),))
    if flag is Flag.ABORT:
        return Outcome((Aborted(reason=reason),))
    if flag is Flag.ESCALATE:
        return Outcome(dead=Uncompensated(f"{where} escalates: {reason}"), escalated=True)
    return Outcome(dead=Uncompensated(f"{where} keeps for a person: {reason}"))


def uncompensated(class_name: str, rejection: WireRejection) -> Outcome:
    """The outcome by the command's cascade mode, if an aggregate has no compensation."""
    reason = reason_of(rejection)
    if rejection.cascade == Cascade.CONTINUE.value:
        return Outcome()
    if rejection.cascade == Cascade.FAIL_FAST.value:
        return Outcome((Aborted(reason=reason),))
    return Outcome(dead=Uncompensated(f"{class_name} compensates no {rejection.command_type}; {reason}"))


def passed_on(record: Record, rejection: WireRejection, context: StepContext, aggregates: Container[str]) -> Output:
    """The record that passes a process manager's rejection on to the aggregate whose event caused the command."""
    cause = EventRef.parse(rejection.cause)
    if cause is None or cause.component not in aggregates:
        raise Uncompensated(f"nobody to tell of it: {reason_of(rejection)}")
    topic = context.names.topic(context.edition, cause.component, "inbox")
    headers = {**record.headers, SUBJECT: cause.root.encode()}
    return topic, record.value, cause.root, context.partition_in(topic, cause.root.encode()), list(headers.items())


def passed_to(record: Record, rejection: WireRejection) -> list[Follows]:
    """That record, for the report on the notice."""
    cause = EventRef.parse(rejection.cause)
    return [Follows(component=cause.component, record=event_id(record))] if cause else []


def reason_of(rejection: WireRejection) -> str:
    """Who rejected what, and why."""
    return f"{rejection.component} {rejection.root} refused {rejection.command_type}: {rejection.reason}"


def sequence_of(cause: str, source: str, key: bytes) -> int:
    """Sequence of the event of this root for which a command was sent; -1 if it was an event of another root."""
    event = EventRef.parse(cause)
    return event.sequence if event is not None and (event.source, event.root) == (source, key.decode()) else -1


def escalation(rejection: WireRejection, key: bytes, headers: Mapping[str, bytes]) -> dict[str, str]:
    """What a person is told about an escalated rejection."""
    return {
        "root": key.decode(),
        "refused_by": f"{rejection.component} {rejection.root}",
        "command": rejection.command_type,
        "reason": rejection.reason,
        "correlation_id": (headers.get(CORRELATION) or b"").decode(),
    }
