"""The client: sends commands and facts, and reads states and events."""

from headrace.streams.client.client import Client
from headrace.streams.client.errors import (
    ClientNotUsable,
    OutcomeUnknown,
    ProjectionFailed,
    ProjectionUnknown,
    SendFailed,
)
from headrace.topology.reply import Event, Reply, Status

__all__ = [
    "Client",
    "ClientNotUsable",
    "Event",
    "OutcomeUnknown",
    "ProjectionFailed",
    "ProjectionUnknown",
    "Reply",
    "SendFailed",
    "Status",
]
