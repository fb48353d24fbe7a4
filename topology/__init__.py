"""What an author declares, and the pure step that runs it. An author's module imports from here alone."""

from headrace.topology.aggregate import (
    Aggregate,
    Context,
    Flag,
    Merge,
    Refusal,
    Rejected,
    applies,
    compensates,
    handles,
    records,
)
from headrace.topology.driver import TopologyDriver
from headrace.topology.graph import Topology, TopologyError
from headrace.topology.harness import given
from headrace.topology.names import Names
from headrace.topology.saga import Cascade, EventContext, Saga, Send, Transient, reacts, to

__all__ = [
    "Aggregate",
    "Cascade",
    "Context",
    "EventContext",
    "Flag",
    "Merge",
    "Names",
    "Refusal",
    "Rejected",
    "Saga",
    "Send",
    "Topology",
    "TopologyDriver",
    "TopologyError",
    "Transient",
    "applies",
    "compensates",
    "given",
    "handles",
    "reacts",
    "records",
    "to",
]
