"""Commands and facts as records, under the name by which tests know them."""

from headrace.schemas.record import since_epoch
from headrace.streams.in_memory.requests import raw, request, sent

__all__ = ["raw", "request", "sent", "since_epoch"]
