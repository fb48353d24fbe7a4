"""What a caller is answered: replies, states and events as JSON."""

from base64 import b64encode
from typing import Any

from google.protobuf import json_format

from headrace.connectors.gateway.problems import Problem
from headrace.topology.reply import Event, Reply

CONFLICT, TOO_LARGE = "sequence-conflict", "too-large"


def outcome(reply: Reply) -> dict[str, Any]:
    """The body for an accepted command or fact. Raises Problem for any other."""
    if reply.accepted:
        return reply_data(reply)
    status = {CONFLICT: 409, TOO_LARGE: 413}.get(reply.code, 422)
    raise Problem(status, reply.reason, **{key: value for key, value in reply_data(reply).items() if key != "status"})


def reply_data(reply: Reply) -> dict[str, Any]:
    """A reply with its events."""
    failures = [str(failure) for failure in reply.failures]
    return {
        **reply.data(),
        "correlation_id": reply.correlation_id,
        "events": [event_data(event) for event in reply.events],
        **({"failures": failures} if failures else {}),
    }


def event_data(event: Event) -> dict[str, Any]:
    """An event; its data as JSON or, of a type that this gateway does not know, in base64."""
    data: dict[str, Any] = {"sequence": event.sequence, "type": event.type, "time": event.time}
    data |= {"causation_id": event.causation_id, "correlation_id": event.correlation_id}
    if event.fact_id:
        data["fact_id"] = event.fact_id
    if event.data is None:
        return data | {"data_base64": b64encode(event.raw).decode()}
    return data | {"data": json_format.MessageToDict(event.data)}
