"""What an author declares, and the pure step that runs it. An author's module imports from here alone."""

from headrace.topology.aggregate import Aggregate, Context, Merge, Rejected, applies, handles
from headrace.topology.driver import TopologyDriver
from headrace.topology.graph import Topology, TopologyError
from headrace.topology.harness import given
from headrace.topology.names import Names

__all__ = [
    "Aggregate",
    "Context",
    "Merge",
    "Names",
    "Rejected",
    "Topology",
    "TopologyDriver",
    "TopologyError",
    "applies",
    "given",
    "handles",
]
