"""The client: sends commands and facts, and reads states and events."""

from headrace.streams.client.client import Client
from headrace.streams.client.errors import (
    ClientNotUsable,
    OutcomeUnknown,
    SendFailed,
)
from headrace.topology.reply import Event, Failure, Reply, Status
from headrace.topology.reply_errors import CascadeFailed, CascadeUnknown, ProjectionFailed, ProjectionUnknown

__all__ = [
    "CascadeFailed",
    "CascadeUnknown",
    "Client",
    "ClientNotUsable",
    "Event",
    "Failure",
    "OutcomeUnknown",
    "ProjectionFailed",
    "ProjectionUnknown",
    "Reply",
    "SendFailed",
    "Status",
]
