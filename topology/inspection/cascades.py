"""The component that undoes failed cascades, as the engine uses it."""

from dataclasses import dataclass
from typing import ClassVar

from headrace.topology.cascades import COMPENSATION, CascadeCompensation
from headrace.topology.describe import Description
from headrace.topology.inspection.spec import ComponentSpec, Replay, inspects


@dataclass(slots=True, kw_only=True)
class CompensationSpec(ComponentSpec):
    """The component that undoes failed cascades."""

    kind: ClassVar[str] = "cascade compensation"
    topics: ClassVar[tuple[str, ...]] = ("inbox", "snapshots", "dead-letters")
    sends: ClassVar[bool] = True
    replay: ClassVar[Replay] = Replay.NEVER

    @property
    def inputs(self) -> list[tuple[str, str]]:
        return [(self.name, "inbox")]

    def describe(self) -> Description:
        return Description(
            kind=self.kind,
            class_name=self.class_name,
            state="",
            note="",
            shape=("{{", "}}"),
            reads=[],
            writes=("dead-letters",),
        )


@inspects(CascadeCompensation)
def inspect_compensation(compensation: type[CascadeCompensation], mistakes: list[str]) -> CompensationSpec:
    """Its spec; there is nothing to declare."""
    return CompensationSpec(name=COMPENSATION, class_name=compensation.__name__)
