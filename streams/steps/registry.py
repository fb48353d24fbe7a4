"""Which step runs which kind of component."""

from collections.abc import Callable
from typing import Any

from headrace.streams.steps.context import StepContext
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Store
from headrace.topology.inspection import ComponentSpec
from headrace.topology.topology import Topology

MakeStep = Callable[[Any, Topology, Store, StepContext], Step]
_STEPS: dict[type[ComponentSpec], MakeStep] = {}


def runs(spec: type[ComponentSpec]) -> Callable[[MakeStep], MakeStep]:
    """Registers the function that makes the step of a kind of component."""

    def register(make: MakeStep) -> MakeStep:
        _STEPS[spec] = make
        return make

    return register


def make_step(topology: Topology, name: str, store: Store, context: StepContext) -> Step:
    """Makes the step of a component in one partition."""
    spec = topology.component(name)
    return _STEPS[type(spec)](spec, topology, store, context)
