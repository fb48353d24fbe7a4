"""The feed of a projector: writes each event to the projector's inbox, once for each document that it concerns."""

from headrace.schemas.headers import REPLAY_OF, SUBJECT, Headers
from headrace.schemas.headrace_v1_pb2 import Reply
from headrace.schemas.record import Record, check
from headrace.streams.steps.acknowledgements import Acknowledgements
from headrace.streams.steps.batch import Written
from headrace.streams.steps.checks import checked_root
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.handlers import Projections
from headrace.streams.steps.ordered_queue import OrderedQueue
from headrace.streams.steps.registry import runs
from headrace.streams.steps.sender import event_root
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Staged, Store
from headrace.topology.inspection.projector import ProjectorFeedSpec
from headrace.topology.topology import Topology


class ProjectorFeedStep(Step):
    """One feed in one partition of the events of its sources; no event overtakes a dead one of its root."""

    def __init__(self, spec: ProjectorFeedSpec, store: Store, context: StepContext) -> None:
        super().__init__(f"feed:{spec.projector.name}", spec.name, store, context)
        self._projections = Projections(spec.projector, context.edition)
        self._own_inbox = context.names.topic(context.edition, spec.name, "inbox")
        self._inbox = context.names.topic(context.edition, spec.projector.name, "inbox")
        self._queue = OrderedQueue(self.batch, self._component)
        self._acknowledgements = Acknowledgements(spec.name, self.batch, context, self._envelope)

    def attempt(self, record: Record) -> None:
        if record.topic == self._own_inbox:
            if REPLAY_OF in record.headers:
                self._queue.settle(record, event_root(record), self._handled, self._dead_letters)
        elif not self._projections.reads(record.headers):
            self._acknowledgements.add(record)
        else:
            root = event_root(record)
            if self._queue.holds(root):
                self._reports.add(record, status=Reply.FAILED, reason=f"{root.decode()} has a dead event")
            if not self._queue.take(record, root, self._handled):
                self._acknowledgements.add(record, failed=True)

    def refuse(self, record: Record, error: Exception, *, whole: bool = True) -> None:
        super().refuse(record, error, whole=whole)
        if record.topic == self._own_inbox:
            return
        self._acknowledgements.add(record, failed=True)
        if whole and self._projections.reads(record.headers):
            self._queue.add(record, event_root(record))

    def finish(self, now: int) -> Staged:
        self._acknowledgements.finish(now)
        return super().finish(now)

    def committed(self) -> Written:
        self._acknowledgements.clear()
        self._queue.committed()
        return super().committed()

    def rolled_back(self) -> None:
        self._acknowledgements.clear()
        self._queue.rolled_back()
        super().rolled_back()

    def _handled(self, record: Record, root: bytes) -> bool:
        """Handle one event; False if it is dead, so that later ones of its root wait."""
        return self._all_or_nothing(record, lambda record: self._write(record, root))

    def _write(self, record: Record, root: bytes) -> None:
        check(record.headers)
        headers: Headers = [*{**record.headers, SUBJECT: root}.items()]
        documents = self._projections.keys(record, root)
        for document_id in documents:
            partition = self._context.partition_in(self._inbox, checked_root(document_id))
            self.outputs.append((self._inbox, record.value, document_id, partition, headers))
        self._acknowledgements.add(record, documents=len(documents))
        self._reports.add(record, documents=len(documents))
        self.batch.count("forwarded")


@runs(ProjectorFeedSpec)
def projector_feed_step(spec: ProjectorFeedSpec, topology: Topology, store: Store, context: StepContext) -> Step:
    """Makes the step of a projector's feed."""
    return ProjectorFeedStep(spec, store, context)
