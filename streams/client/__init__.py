"""The client: commands out, answers in."""

from headrace.streams.client.client import Client
from headrace.streams.client.reply import Event, OutcomeUnknown, Reply, SendFailed, Status

__all__ = ["Client", "Event", "OutcomeUnknown", "Reply", "SendFailed", "Status"]
