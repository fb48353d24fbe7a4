"""Commands of sagas and process managers as records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.schemas.headers import (
    CASCADE,
    CAUSATION,
    CORRELATION,
    EXPECTED,
    ID,
    PATH,
    REJECT_TO,
    REPORT_TO,
    SOURCE,
    SUBJECT,
    TIME,
    TRACEPARENT,
    Headers,
)
from headrace.schemas.headrace_v1_pb2 import Follows
from headrace.schemas.ids import CommandRef, IssuerRef
from headrace.schemas.record import Record, rfc3339
from headrace.schemas.stored_event import root_of
from headrace.streams.steps.batch import Output
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.errors import HandlerError, HopLimit, InvalidArgument
from headrace.streams.steps.sync_modes import reported_to
from headrace.topology.inspection import type_name
from headrace.topology.saga import Cascade, Send


def event_id(record: Record) -> str:
    """Source and id of an event; unique in the deployment."""
    return f"{record.headers[SOURCE].decode()}/{record.headers[ID].decode()}"


def event_root(record: Record) -> bytes:
    """Root of an event on its log; an event of which no header says so has it in its key."""
    return record.headers.get(SUBJECT) or root_of(record.key)


@dataclass(frozen=True, slots=True)
class Sender:
    """Makes the commands of one component."""

    component: str
    context: StepContext
    envelope: Envelope
    command_routes: Mapping[str, set[str]]
    """Command types that each domain handles."""
    on_rejection: Cascade
    routes: dict[tuple[str, str], tuple[str, Headers]] = field(default_factory=dict)
    """Topic and first headers of commands sent before, by domain and message type."""

    def command(self, where: str, record: Record, send: object, index: int, reject_to: IssuerRef) -> Output:
        """The record for one command that `where` sent because of the event in `record`."""
        if not isinstance(send, Send):
            raise HandlerError(f"{where} yielded {type(send).__name__}; a reaction yields Send(domain, root, command)")
        name = send.message.DESCRIPTOR.full_name
        topic, first = self.routes.get((send.domain, name)) or self._route(where, send)
        if not send.root:
            raise InvalidArgument(f"{where} sends {name} to {send.domain} without a root")
        headers = record.headers
        path = headers.get(PATH) or b""
        if path.count(b">") >= self.context.hop_limit:
            raise HopLimit(f"{self.context.hop_limit} hops led here and no end: {path.decode()}{self.component}")
        cause = event_id(record)
        out: Headers = [
            *first,
            (ID, str(CommandRef(cause, self.component, index))),
            (SUBJECT, send.root),
            (TIME, headers.get(TIME) or rfc3339(record.timestamp)),
            (CORRELATION, headers.get(CORRELATION) or headers[ID]),
            (CAUSATION, cause),
            (PATH, path + self.component.encode() + b">"),
            (REJECT_TO, str(reject_to)),
        ]
        if send.expected_sequence is not None:
            out.append((EXPECTED, str(send.expected_sequence)))
        if self.on_rejection is not Cascade.COMPENSATE:
            out.append((CASCADE, self.on_rejection.value))
        if (trace := headers.get(TRACEPARENT)) is not None:
            out.append((TRACEPARENT, trace))
        out += reported_to(record)
        partition = self.context.partition_in(topic, send.root.encode())
        # deterministic: sent again, it is the same command, which a hash tells
        return topic, send.message.SerializeToString(deterministic=True), send.root, partition, out

    def follows(self, record: Record, sends: Sequence[object]) -> list[Follows]:
        """The commands that were sent because of a record, for its report."""
        if REPORT_TO not in record.headers:
            return []
        ids = (CommandRef(event_id(record), self.component, index) for index in range(len(sends)))
        return [
            Follows(component=send.domain, record=f"{self.envelope.source}/{command}")
            for send, command in zip(sends, ids, strict=True)
            if isinstance(send, Send)
        ]

    def _route(self, where: str, send: Send[Any]) -> tuple[str, Headers]:
        name = type_name(type(send.message))
        if name not in self.command_routes.get(send.domain, ()):
            known = ", ".join(sorted(self.command_routes))
            raise InvalidArgument(f"{where} sends {name} to {send.domain!r}, which handles none; domains: {known}")
        topic = self.context.names.topic(self.context.edition, send.domain, "inbox")
        route = self.routes[send.domain, name] = topic, self.envelope.headers(name)
        return route
