"""Commands of sagas and process managers as records."""

from collections.abc import Callable
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
    SOURCE,
    SUBJECT,
    TIME,
    TRACEPARENT,
    Headers,
)
from headrace.schemas.record import Record, rfc3339
from headrace.streams.steps.context import HandlerError, HopLimit, InvalidArgument, StepContext
from headrace.topology.inspection import type_name
from headrace.topology.saga import Send


def event_id(record: Record) -> str:
    """Source and id of an event, which no other event has."""
    return f"{record.headers[SOURCE].decode()}/{record.headers[ID].decode()}"


@dataclass(frozen=True, slots=True)
class Sender:
    """Makes the commands of one component."""

    word: str
    place: StepContext
    command_routes: dict[str, set[str]]
    """Command types that each domain handles."""
    cascade: str
    static: Callable[[str], Headers]
    """Headers that all commands of a type have."""
    routes: dict[tuple[str, type], tuple[str, Headers]] = field(default_factory=dict)
    """Topic and static headers, by domain and message type, of what was sent before."""

    def command(self, where: str, record: Record, send: Any, index: int, reject_to: str) -> Any:
        """The record for one command that `where` sent because of the event in `record`."""
        if not isinstance(send, Send):
            raise HandlerError(f"{where} yielded {type(send).__name__}; a reaction yields to(domain, root, command)")
        topic, static = self.routes.get((send.domain, send.message.__class__)) or self._route(where, send)
        if not send.root:
            raise InvalidArgument(f"{where} sends {type_name(type(send.message))} to {send.domain} without a root")
        headers = record.headers
        path = headers.get(PATH) or b""
        if path.count(b">") >= self.place.hop_limit:
            raise HopLimit(f"{self.place.hop_limit} hops led here and no end: {path.decode()}{self.word}")
        cause = event_id(record)
        out: Headers = [
            *static,
            # the same event, component and index give the same id, so that doing it again changes nothing
            (ID, f"{cause}>{self.word}/{index}"),
            (SUBJECT, send.root),
            (TIME, headers.get(TIME) or rfc3339(record.timestamp)),
            (CORRELATION, headers.get(CORRELATION) or headers[ID]),
            (CAUSATION, cause),
            (PATH, path + self.word.encode() + b">"),
            (REJECT_TO, reject_to),
        ]
        if send.expected_sequence is not None:
            out.append((EXPECTED, str(send.expected_sequence)))
        if self.cascade != "compensate":
            out.append((CASCADE, self.cascade))
        if (trace := headers.get(TRACEPARENT)) is not None:
            out.append((TRACEPARENT, trace))
        partition = self.place.partition_in(topic, send.root.encode())
        return topic, send.message.SerializeToString(), send.root, partition, out

    def _route(self, where: str, send: Send[Any]) -> tuple[str, Headers]:
        name = type_name(type(send.message))
        if name not in self.command_routes.get(send.domain, ()):
            known = ", ".join(sorted(self.command_routes))
            raise InvalidArgument(f"{where} sends {name} to {send.domain!r}, which handles none; domains: {known}")
        topic = self.place.names.topic(self.place.edition, send.domain, "commands")
        route = self.routes[send.domain, type(send.message)] = topic, self.static(name)
        return route
