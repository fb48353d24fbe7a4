"""The client: sends commands and facts, and reads states and events."""

from headrace.streams.client.client import Client
from headrace.streams.client.errors import (
    CascadeFailed,
    CascadeUnknown,
    ClientNotUsable,
    OutcomeUnknown,
    ProjectionFailed,
    ProjectionUnknown,
    SendFailed,
)
from headrace.topology.reply import Event, Failure, Reply, Status

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
