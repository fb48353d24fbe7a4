"""Commands and facts as records, under the name by which tests know them."""

from headrace.streams.in_memory.requests import raw, request, sent, since_epoch

__all__ = ["raw", "request", "sent", "since_epoch"]
