"""Refusals on their way back: the notice that the refusing aggregate sends, and what its receiver does with it."""

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from headrace.schemas import codecs
from headrace.schemas.headers import (
    CASCADE,
    CAUSATION,
    CONTENT_TYPE,
    CORRELATION,
    ID,
    PATH,
    SOURCE,
    SPECVERSION,
    SUBJECT,
    TRACEPARENT,
    TYPE,
    Headers,
)
from headrace.schemas.headrace_v1_pb2 import Aborted, Reply, Revoked
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.record import Record, RecordError
from headrace.streams.steps.context import HandlerError, StepContext
from headrace.topology.aggregate import Flag, Rejection
from headrace.topology.inspection import AggregateSpec
from headrace.topology.names import is_name


class Uncompensated(Exception):
    """A refused command whose cause has no handler for that, or whose handler wants a person to look."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rejection comes to at the aggregate that caused it."""

    events: tuple[Message, ...] = ()
    dead: Uncompensated | None = None
    """Why it goes to the dead letters, if it does."""
    escalated: bool = False


def notice(record: Record, reply: Reply, component: str, source: str, issuer: bytes, place: StepContext) -> Any:
    """The record that reports a refused command to its issuer; RecordError when the issuer's address is none."""
    headers = record.headers
    kind, _, rest = issuer.decode().partition(":")
    domain, _, root = rest.partition(":")
    if kind not in ("rejections", "inbox") or not is_name(domain) or not root:
        raise RecordError(f"ce_rejectto is {issuer!r}; it must be rejections:DOMAIN:ROOT or inbox:NAME:ROOT")
    topic = place.names.topic(place.edition, domain, kind)
    if place.counts and topic not in place.counts:
        raise RecordError(f"ce_rejectto is {issuer!r}; this deployment has no topic {topic}")
    rejection = WireRejection(
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
    out: Headers = [
        (SPECVERSION, "1.0"),
        (ID, f"rejection/{reply.command_id}"),
        (SOURCE, source),
        (TYPE, "headrace.v1.Rejection"),
        (SUBJECT, root),
        (CONTENT_TYPE, codecs.PROTOBUF),
        (CAUSATION, headers[ID]),
        (CORRELATION, headers.get(CORRELATION) or headers[ID]),
    ]
    out.extend((name, headers[name]) for name in (TRACEPARENT, PATH) if name in headers)
    return topic, rejection.SerializeToString(), root, place.partition_in(topic, root.encode()), out


def decide(spec: AggregateSpec, rejection: WireRejection, state: Any, source: str, key: bytes) -> Outcome:
    """Ask the aggregate's `@compensates` handler; without one, do what the command's cascade mode says."""
    sequence = _sequence(rejection.cause, source, key)
    handler = spec.compensators.get(rejection.command_type)
    if handler is None:
        return _without(spec, rejection, _reason(rejection))
    command = codecs.decode(rejection.command, handler.command, rejection.content_type or None)
    answer = handler.call(state, command, refusal(rejection, sequence))
    where = f"{spec.name}.{handler.method}"
    if isinstance(answer, Flag):
        return flagged(where, rejection, answer, sequence)
    if answer is None or isinstance(answer, (str, bytes)):
        raise HandlerError(f"{where} returned {answer!r}; a compensation returns events or a Flag")
    return Outcome((answer,) if isinstance(answer, Message) else tuple(answer))


def refusal(rejection: WireRejection, sequence: int) -> Rejection:
    """What a compensation is told; `sequence` is that of the event which the command was sent for."""
    return Rejection(
        reason=rejection.reason,
        code=rejection.code,
        component=rejection.component,
        root=rejection.root,
        command_id=rejection.command_id,
        sequence=sequence,
    )


def flagged(where: str, rejection: WireRejection, flag: Flag, sequence: int) -> Outcome:
    """What a compensation's flag comes to."""
    reason = _reason(rejection)
    if flag is Flag.REVOKE:
        return Outcome((Revoked(sequence=sequence, reason=reason),))
    if flag is Flag.ABORT:
        return Outcome((Aborted(reason=reason),))
    if flag is Flag.ESCALATE:
        return Outcome(dead=Uncompensated(f"{where} escalates: {reason}"), escalated=True)
    return Outcome(dead=Uncompensated(f"{where} keeps for a person: {reason}"))


def passed_on(record: Record, rejection: WireRejection, place: StepContext, aggregates: Container[str]) -> Any:
    """The record that brings a process manager's rejection to the aggregate whose event the command was sent for."""
    _, _, domain, event = (*rejection.cause.split("/", 3), "", "", "")[:4]
    root = event.rpartition(":")[0]
    if domain not in aggregates or not root:
        raise Uncompensated(f"nobody to tell of it: {_reason(rejection)}")
    topic = place.names.topic(place.edition, domain, "rejections")
    headers = {**record.headers, SUBJECT: root.encode()}
    return topic, record.value, root, place.partition_in(topic, root.encode()), list(headers.items())


def _reason(rejection: WireRejection) -> str:
    return f"{rejection.component} {rejection.root} refused {rejection.command_type}: {rejection.reason}"


def _without(spec: AggregateSpec, rejection: WireRejection, reason: str) -> Outcome:
    if rejection.cascade == "continue":
        return Outcome()
    if rejection.cascade == "fail-fast":
        return Outcome((Aborted(reason=reason),))
    return Outcome(dead=Uncompensated(f"{spec.name} compensates no {rejection.command_type}; {reason}"))


def _sequence(cause: str, source: str, key: bytes) -> int:
    """Sequence of the event of this root that a command was sent for; -1 when it was another's."""
    prefix = f"{source}/{key.decode()}:"
    number = cause.removeprefix(prefix)
    return int(number) if cause.startswith(prefix) and number.isdecimal() else -1


def alarm(rejection: WireRejection, key: bytes, headers: Any) -> dict[str, str]:
    """What a person is told of a rejection that was escalated."""
    return {
        "root": key.decode(),
        "refused_by": f"{rejection.component} {rejection.root}",
        "command": rejection.command_type,
        "reason": rejection.reason,
        "correlation_id": (headers.get(CORRELATION) or b"").decode(),
    }
