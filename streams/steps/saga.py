"""The step of a saga: events of its source become commands for others; no event overtakes a dead one of its root."""

from headrace.schemas.headers import SUBJECT, SYNC_MODE, TYPE
from headrace.schemas.headrace_v1_pb2 import Aborted, Reply
from headrace.schemas.ids import IssuerRef
from headrace.schemas.record import Record, check
from headrace.streams.steps.batch import Written
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.contexts import event_context
from headrace.streams.steps.errors import WorkflowAborted
from headrace.streams.steps.event_reader import EventReader
from headrace.streams.steps.handlers import react
from headrace.streams.steps.ordered_queue import OrderedQueue
from headrace.streams.steps.registry import runs
from headrace.streams.steps.sender import Sender, event_root
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Store
from headrace.streams.steps.sync_modes import ISOLATED
from headrace.topology.inspection import type_name
from headrace.topology.inspection.saga import SagaSpec
from headrace.topology.topology import Topology

ABORTED = type_name(Aborted).encode()


class SagaStep(Step):
    """One saga in one partition of its source's events; `Step` describes what happens to a batch."""

    def __init__(self, spec: SagaSpec, topology: Topology, store: Store, context: StepContext) -> None:
        super().__init__(f"saga:{spec.name}", spec.name, store, context)
        self._spec = spec
        self._inbox = context.names.topic(context.edition, spec.name, "inbox")
        self._reactions = {reaction.message: reaction for reaction in spec.reactions.values()}
        wanted = {name: reaction.message for name, reaction in spec.reactions.items()}
        self._events = EventReader(wanted, dict.fromkeys(wanted, spec.source), spec.source_upcasters)
        self._queue = OrderedQueue(self.batch, self._component)
        self._sender = Sender(spec.name, context, self._envelope, topology.command_routes, spec.on_rejection)

    def attempt(self, record: Record) -> None:
        if record.topic == self._inbox:
            root = record.headers.get(SUBJECT) or record.key or b""
            self._queue.settle(record, root, self._handled, self._dead_letters)
            return
        if not self._events.reads(record.headers) and record.headers.get(TYPE) != ABORTED:
            return
        if record.headers.get(SYNC_MODE) == ISOLATED:
            self.batch.count("ignored")
            return
        root = event_root(record)
        if self._queue.holds(root):
            self._reports.add(record, status=Reply.FAILED, reason=f"it waits behind a dead event of {root.decode()}")
        self._queue.take(record, root, self._handled)

    def refuse(self, record: Record, error: Exception, *, whole: bool = True) -> None:
        super().refuse(record, error, whole=whole)
        # nothing of its root overtakes it, as behind any other dead event
        if whole and record.topic != self._inbox and self._events.reads(record.headers):
            self._queue.add(record, event_root(record))

    def committed(self) -> Written:
        self._queue.committed()
        return super().committed()

    def rolled_back(self) -> None:
        self._queue.rolled_back()
        super().rolled_back()

    # ---- one event

    def _handled(self, record: Record, root: bytes) -> bool:
        """Handle one event; False if it is dead, so that later ones of its root wait."""
        return self._all_or_nothing(record, lambda record: self._react(record, root))

    def _react(self, record: Record, root: bytes) -> None:
        check(record.headers)
        if record.headers[TYPE] == ABORTED:
            raise WorkflowAborted(f"{root.decode()} was aborted: {Aborted.FromString(record.value or b'').reason}")
        reject_to, sends = IssuerRef(self._spec.source, root.decode()), list[object]()
        for event in self._events.read(record):
            reaction = self._reactions[event.__class__]
            context = (event_context(record, root, self._context.edition),) if reaction.wants_context else ()
            for send in react(reaction, (event, *context), self._context.pause):
                self.outputs.append(self._sender.command(reaction.where, record, send, len(sends), reject_to))
                self.batch.count("sends")
                sends.append(send)
        self.batch.count("accepted")
        self._reports.add(record, follows=self._sender.follows(record, sends))


@runs(SagaSpec)
def saga_step(spec: SagaSpec, topology: Topology, store: Store, context: StepContext) -> Step:
    """Makes the step of a saga."""
    return SagaStep(spec, topology, store, context)
