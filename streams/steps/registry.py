"""Which step runs which kind of component."""

from headrace.streams.steps.aggregate import AggregateStep
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.process_manager import FeedStep, ProcessStep
from headrace.streams.steps.saga import SagaStep
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Store
from headrace.topology.inspection import FeedSpec, ProcessSpec, SagaSpec
from headrace.topology.topology import Topology


def make_step(topology: Topology, word: str, store: Store, place: StepContext) -> Step:
    """A component at work in one partition."""
    spec = topology.component(word)
    if isinstance(spec, SagaSpec):
        return SagaStep(spec, topology.command_routes, store, place)
    if isinstance(spec, FeedSpec):
        return FeedStep(spec, store, place)
    if isinstance(spec, ProcessSpec):
        return ProcessStep(spec, topology.aggregates, store, place)
    return AggregateStep(spec, store, place)
