"""Reads declarations from their annotations, and collects every mistake in them: one module per kind of component."""

from headrace.topology.inspection import aggregate, cascades, process_manager, projector, saga
from headrace.topology.inspection.spec import ComponentSpec, inspect_component, type_name

__all__ = [
    "ComponentSpec",
    "aggregate",
    "cascades",
    "inspect_component",
    "process_manager",
    "projector",
    "saga",
    "type_name",
]
