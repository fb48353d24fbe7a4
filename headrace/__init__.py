"""The front door: what an author of a domain imports.

Names are imported when they are first used, so that a module that declares an aggregate loads neither Kafka's client
nor RocksDB. What tests need is in `headrace.testing`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headrace import moved

if TYPE_CHECKING:
    from headrace.connectors.iceberg.declaration import Iceberg as Iceberg
    from headrace.connectors.jdbc.declaration import Jdbc as Jdbc
    from headrace.connectors.search.declaration import Search as Search
    from headrace.connectors.sinks import Sinks as Sinks
    from headrace.connectors.snowflake.declaration import Snowflake as Snowflake
    from headrace.schemas.message import Enum as Enum
    from headrace.schemas.message import Message as Message
    from headrace.schemas.message import field as field
    from headrace.schemas.message import has as has
    from headrace.streams.client import Client as Client
    from headrace.streams.client import OutcomeUnknown as OutcomeUnknown
    from headrace.streams.in_memory.history import History as History
    from headrace.streams.in_memory.what_if import WhatIf as WhatIf
    from headrace.topology import DELETED as DELETED
    from headrace.topology import Aggregate as Aggregate
    from headrace.topology import Cancel as Cancel
    from headrace.topology import Cascade as Cascade
    from headrace.topology import CascadeCompensation as CascadeCompensation
    from headrace.topology import Context as Context
    from headrace.topology import Deleted as Deleted
    from headrace.topology import Event as Event
    from headrace.topology import EventContext as EventContext
    from headrace.topology import Flag as Flag
    from headrace.topology import Merge as Merge
    from headrace.topology import Names as Names
    from headrace.topology import ProcessContext as ProcessContext
    from headrace.topology import ProcessManager as ProcessManager
    from headrace.topology import ProjectionContext as ProjectionContext
    from headrace.topology import Projector as Projector
    from headrace.topology import Rejected as Rejected
    from headrace.topology import Rejection as Rejection
    from headrace.topology import Reply as Reply
    from headrace.topology import RootState as RootState
    from headrace.topology import Saga as Saga
    from headrace.topology import Schedule as Schedule
    from headrace.topology import Send as Send
    from headrace.topology import Snapshots as Snapshots
    from headrace.topology import StateOf as StateOf
    from headrace.topology import Status as Status
    from headrace.topology import Topology as Topology
    from headrace.topology import TopologyError as TopologyError
    from headrace.topology import Transient as Transient
    from headrace.topology import Upcaster as Upcaster
    from headrace.topology import UpcastFailed as UpcastFailed
    from headrace.topology import applies as applies
    from headrace.topology import compensates as compensates
    from headrace.topology import handles as handles
    from headrace.topology import projects as projects
    from headrace.topology import reacts as reacts
    from headrace.topology import records as records
    from headrace.topology import upcasts as upcasts

__all__ = [
    "DELETED",
    "Aggregate",
    "Cancel",
    "Cascade",
    "CascadeCompensation",
    "Client",
    "Context",
    "Deleted",
    "Enum",
    "Event",
    "EventContext",
    "Flag",
    "History",
    "Iceberg",
    "Jdbc",
    "Merge",
    "Message",
    "Names",
    "OutcomeUnknown",
    "ProcessContext",
    "ProcessManager",
    "ProjectionContext",
    "Projector",
    "Rejected",
    "Rejection",
    "Reply",
    "RootState",
    "Saga",
    "Schedule",
    "Search",
    "Send",
    "Sinks",
    "Snapshots",
    "Snowflake",
    "StateOf",
    "Status",
    "Topology",
    "TopologyError",
    "Transient",
    "UpcastFailed",
    "Upcaster",
    "WhatIf",
    "applies",
    "compensates",
    "field",
    "handles",
    "has",
    "projects",
    "reacts",
    "records",
    "upcasts",
]
_HOMES = {
    "Iceberg": "headrace.connectors.iceberg.declaration",
    "Jdbc": "headrace.connectors.jdbc.declaration",
    "Search": "headrace.connectors.search.declaration",
    "Sinks": "headrace.connectors.sinks",
    "Snowflake": "headrace.connectors.snowflake.declaration",
    "Client": "headrace.streams.client",
    "OutcomeUnknown": "headrace.streams.client",
    "History": "headrace.streams.in_memory.history",
    "WhatIf": "headrace.streams.in_memory.what_if",
    **dict.fromkeys(("Enum", "Message", "field", "has"), "headrace.schemas.message"),
}
"""The module of a name, if it is not `headrace.topology`."""


moved.register()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'headrace' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES.get(name, "headrace.topology")), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
