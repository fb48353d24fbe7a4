"""What an author declares. An author's module imports it from `headrace` alone."""

from typing import Any

from headrace import moved
from headrace.topology.aggregate import (
    Aggregate,
    Flag,
    Rejected,
    Rejection,
    applies,
    compensates,
    handles,
    records,
)
from headrace.topology.cascades import CascadeCompensation
from headrace.topology.context import Context, EventContext, ProcessContext, ProjectionContext, RootState, StateOf
from headrace.topology.merge import Merge
from headrace.topology.names import Names
from headrace.topology.process_manager import Cancel, ProcessManager, Schedule
from headrace.topology.projector import DELETED, Deleted, Projector, projects
from headrace.topology.reply import Event, Reply, Status
from headrace.topology.saga import Cascade, Saga, Send, Transient, reacts
from headrace.topology.snapshots import Snapshots
from headrace.topology.topology import Topology, TopologyError
from headrace.topology.upcaster import Upcaster, UpcastFailed, upcasts

__all__ = [
    "DELETED",
    "Aggregate",
    "Cancel",
    "Cascade",
    "CascadeCompensation",
    "Context",
    "Deleted",
    "Event",
    "EventContext",
    "Flag",
    "Merge",
    "Names",
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
    "Send",
    "Snapshots",
    "StateOf",
    "Status",
    "Topology",
    "TopologyError",
    "Transient",
    "UpcastFailed",
    "Upcaster",
    "applies",
    "compensates",
    "handles",
    "projects",
    "reacts",
    "records",
    "upcasts",
]


def __getattr__(name: str) -> Any:
    if name in moved.NAMES:
        raise ImportError(f"{name} has moved; it is {moved.NAMES[name]} now")
    raise AttributeError(f"module 'headrace.topology' has no attribute {name!r}")
