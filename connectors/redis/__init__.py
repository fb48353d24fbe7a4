"""Documents of projectors in Redis: declared with `Redis`, written by `headrace sinks redis`, read with `get`.

Names are imported when they are first used: a topology that declares a sink needs no client of Redis.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.connectors.redis.declaration import Redis as Redis
    from headrace.connectors.redis.documents import AsyncDocuments as AsyncDocuments
    from headrace.connectors.redis.documents import Documents as Documents
    from headrace.connectors.redis.documents import aget as aget
    from headrace.connectors.redis.documents import get as get
    from headrace.connectors.redis.reads import DocumentUnreadable as DocumentUnreadable
    from headrace.connectors.redis.reads import NotLoaded as NotLoaded

_HOMES = {
    "Redis": "declaration",
    **dict.fromkeys(("AsyncDocuments", "Documents", "aget", "get"), "documents"),
    **dict.fromkeys(("DocumentUnreadable", "NotLoaded"), "reads"),
}
__all__ = ["AsyncDocuments", "DocumentUnreadable", "Documents", "NotLoaded", "Redis", "aget", "get"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'headrace.connectors.redis' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"headrace.connectors.redis.{_HOMES[name]}"), name)
    return value
