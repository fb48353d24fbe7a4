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
from headrace.topology.process import (
    After,
    Cancel,
    Known,
    Need,
    ProcessContext,
    ProcessManager,
    after,
    cancel,
    state_of,
)
from headrace.topology.saga import Cascade, EventContext, Saga, Send, Transient, reacts, to

__all__ = [
    "After",
    "Aggregate",
    "Cancel",
    "Cascade",
    "Context",
    "EventContext",
    "Flag",
    "Known",
    "Merge",
    "Names",
    "Need",
    "ProcessContext",
    "ProcessManager",
    "Refusal",
    "Rejected",
    "Saga",
    "Send",
    "Topology",
    "TopologyDriver",
    "TopologyError",
    "Transient",
    "after",
    "applies",
    "cancel",
    "compensates",
    "given",
    "handles",
    "reacts",
    "records",
    "state_of",
    "to",
]
