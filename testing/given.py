"""Given, when, then: tests of one component, without Kafka and without a clock."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar, overload

from google.protobuf.message import Message

from headrace.streams.in_memory.clock import Y2K
from headrace.testing.alone import Alone, spec_of, with_upcasters
from headrace.testing.history import PastEvent
from headrace.testing.projections import ProjectionScenario
from headrace.testing.reactions import ProcessScenario, SagaScenario
from headrace.testing.scenario import Scenario
from headrace.topology.aggregate import Aggregate
from headrace.topology.inspection.aggregate import AggregateSpec
from headrace.topology.inspection.process_manager import ProcessManagerSpec
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.inspection.saga import SagaSpec
from headrace.topology.process_manager import ProcessManager
from headrace.topology.projector import Projector
from headrace.topology.saga import Saga
from headrace.topology.upcaster import Upcaster

S = TypeVar("S", bound=Message)
D = TypeVar("D")


@overload
def given(
    component: type[Aggregate[S]],
    *events: PastEvent,
    root: str = "root-1",
    now: datetime = Y2K,
    upcasters: Iterable[type[Upcaster]] = (),
) -> Scenario[S]: ...
@overload
def given(
    component: type[ProcessManager[S]],
    *events: PastEvent,
    root: str = "root-1",
    now: datetime = Y2K,
    upcasters: Iterable[type[Upcaster]] = (),
) -> ProcessScenario[S]: ...
@overload
def given(
    component: type[Projector[D]],
    *events: PastEvent,
    root: str = "root-1",
    now: datetime = Y2K,
    upcasters: Iterable[type[Upcaster]] = (),
) -> ProjectionScenario[D]: ...
@overload
def given(
    component: type[Saga], *, root: str = "root-1", now: datetime = Y2K, upcasters: Iterable[type[Upcaster]] = ()
) -> SagaScenario: ...
def given(
    component: type[Any],
    *events: PastEvent,
    root: str = "root-1",
    now: datetime = Y2K,
    upcasters: Iterable[type[Upcaster]] = (),
) -> Any:
    """A root of an aggregate or process manager that has these events in its history; a saga; or a projector, which
    projects these events of `root`.

    A process manager's root is the correlation id. `now` is the time of inputs until the test sets another. With
    `upcasters`, events may be of types of older releases or, as `OfVersion`, of older versions. Raises TopologyError
    if a declaration is wrong, LookupError if the component does not apply an event.
    """
    spec = with_upcasters(spec_of(component), upcasters)
    alone = Alone(spec)
    match spec:
        case AggregateSpec():
            return Scenario(alone, events, root, now)
        case ProcessManagerSpec():
            return ProcessScenario(alone, spec, events, root, now)
        case ProjectorSpec():
            return ProjectionScenario(spec, events, root, now)
        case SagaSpec() if not events:
            return SagaScenario(alone, spec, root, now)
    raise TypeError(f"given({spec.class_name}, …) takes no events; a {spec.kind} keeps none of its own")
