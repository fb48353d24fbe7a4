"""The feed of a process manager: writes events to its inbox, in the partition of their correlation id."""

from headrace.schemas.headers import CORRELATION, ID, SYNC_MODE
from headrace.schemas.record import Record, check
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.event_reader import EventReader
from headrace.streams.steps.registry import runs
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Store
from headrace.streams.steps.sync_modes import ISOLATED
from headrace.topology.inspection.process_manager import FeedSpec
from headrace.topology.topology import Topology


class FeedStep(Step):
    """One feed in one partition of the events of its sources."""

    def __init__(self, spec: FeedSpec, store: Store, context: StepContext) -> None:
        super().__init__(f"feed:{spec.process.name}", spec.name, store, context)
        process = spec.process
        wanted = {name: process.reactions[name].message for name in process.sources}
        self._events = EventReader(wanted, process.sources, process.source_upcasters)
        self._inbox = context.names.topic(context.edition, spec.process.name, "inbox")

    def attempt(self, record: Record) -> None:
        if not self._events.reads(record.headers):
            return
        headers = check(record.headers)
        if headers.get(SYNC_MODE) == ISOLATED:
            self.batch.count("ignored")
            return
        root = headers.get(CORRELATION) or headers[ID]
        partition = self._context.partition_in(self._inbox, root)
        self.outputs.append((self._inbox, record.value, root, partition, list(headers.items())))
        self.batch.count("forwarded")


@runs(FeedSpec)
def feed_step(spec: FeedSpec, topology: Topology, store: Store, context: StepContext) -> Step:
    """Makes the step of a feed."""
    return FeedStep(spec, store, context)
