"""The step of a projector: events change documents. No event overtakes a dead one of its document."""

from google.protobuf.message import Message

from headrace.schemas.documents import DOCUMENTS, DocumentCodec
from headrace.schemas.headers import (
    AWAITED,
    CAUSATION,
    CONTENT_TYPE,
    CORRELATION,
    ID,
    REPLAY_OF,
    SOURCE,
    SPECVERSION,
    SUBJECT,
    TIME,
    TRACEPARENT,
    TYPE,
    Headers,
)
from headrace.schemas.headrace_v1_pb2 import Reply
from headrace.schemas.record import Record, check, rfc3339
from headrace.streams.steps.acknowledgements import Acknowledgements
from headrace.streams.steps.batch import Written
from headrace.streams.steps.checks import checked_root
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.document_cache import DocumentCache
from headrace.streams.steps.handlers import Projections
from headrace.streams.steps.ordered_queue import OrderedQueue
from headrace.streams.steps.registry import runs
from headrace.streams.steps.sender import event_root
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Staged, Store
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.partitioner import partition_of
from headrace.topology.topology import Topology

JSON = "application/json"


class ProjectorStep(Step):
    """One version of a projector in one partition; `Step` describes what happens to a batch."""

    def __init__(self, spec: ProjectorSpec, store: Store, context: StepContext) -> None:
        super().__init__(f"projector:{spec.name}", spec.name, store, context)
        self._fed, self._fingerprint = spec.fed, spec.fingerprint.encode()
        self._inbox = context.names.topic(context.edition, spec.name, "inbox")
        self._documents_topic = context.names.topic(context.edition, spec.name, "documents")
        self._projections = Projections(spec, context.edition)
        self._cache = DocumentCache(
            DocumentCodec(spec.document), self._change, store, context.room, context.live_states
        )
        self._queue = OrderedQueue(self.batch, self._component)
        self._acknowledgements = Acknowledgements(spec.name, self.batch, context, self._envelope)
        self._static: Headers = [
            (SPECVERSION, "1.0"),
            (SOURCE, self._envelope.source),
            (TYPE, f"{spec.projector}.v{spec.version}"),
            (CONTENT_TYPE, JSON),
        ]

    def attempt(self, record: Record) -> None:
        in_inbox = record.topic == self._inbox
        if in_inbox and REPLAY_OF in record.headers:
            self._queue.settle(record, self._document_id(record), self._handled, self._dead_letters)
        elif in_inbox and not self._fed:
            return  # only replays are read there
        elif not self._projections.reads(record.headers):
            self._acknowledgements.add(record)
        else:
            document_id = checked_root(self._document_id(record))
            if self._fed and (right := partition_of(document_id, self._context.partitions)) != self._context.partition:
                self._forward(record, right)
            else:
                waits = self._queue.holds(document_id)
                handled = self._queue.take(record, document_id, self._handled)
                changed = document_id if handled and self._cache.changed_by(record, document_id) else b""
                self._acknowledgements.add(record, failed=not handled, changed=changed)
                if waits:
                    self._reports.add(record, status=Reply.FAILED, reason=f"{document_id.decode()} has a dead event")
                elif handled:
                    self._reports.add(record)

    def refuse(self, record: Record, error: Exception, *, whole: bool = True) -> None:
        super().refuse(record, error, whole=whole)
        if REPLAY_OF in record.headers or (record.topic == self._inbox and not self._fed):
            return
        self._acknowledgements.add(record, failed=True)
        # nothing of its document overtakes it, as behind any other dead event
        if whole and self._projections.reads(record.headers):
            self._queue.add(record, self._document_id(record))

    def record_positions(self, positions: bytes) -> None:
        super().record_positions(positions)
        # also where there is no document: with a changed class, another release would begin to write some there
        if self.batch.entry(DOCUMENTS) != self._fingerprint:
            self.batch.set_entry(DOCUMENTS, self._fingerprint)

    def finish(self, now: int) -> Staged:
        staged, partition = self.batch.staged, self._context.partition
        awaited = self._acknowledgements.finish(now)
        for document_id, data, last in self._cache.changed():
            staged.documents[document_id] = data
            headers = self._headers(document_id, last)
            if document_id in awaited:
                headers.append((AWAITED, awaited[document_id]))
            self.outputs.append((self._documents_topic, data, document_id, partition, headers))
        return super().finish(now)

    def committed(self) -> Written:
        self._acknowledgements.clear()
        self._cache.committed()
        self._queue.committed()
        return super().committed()

    def rolled_back(self) -> None:
        self._acknowledgements.clear()
        self._cache.rolled_back()
        self._queue.rolled_back()
        super().rolled_back()

    # ---- one event

    def _document_id(self, record: Record) -> bytes:
        """In an inbox, a record's key is its document; on an events topic, that is the event's root."""
        return (record.key or b"") if self._fed else event_root(record)

    def _handled(self, record: Record, document_id: bytes) -> bool:
        """Handle one event; False if it is dead, so that later ones of its document wait."""
        return self._all_or_nothing(record, self._project, document_id)

    def _project(self, record: Record, document_id: bytes) -> None:
        check(record.headers)
        for event in self._projections.events(record, event_root(record), document_id):
            live = self._cache.use(document_id, self.batch)
            exists = self._change(event, record, document_id, live.document)
            self._cache.keep(document_id, live, event, record, self.batch, exists=exists)
        self.batch.count("accepted")

    def _change(self, event: Message, record: Record, document_id: bytes, document: object) -> bool:
        """Change a document because of an event; False if it is to be removed."""
        return self._projections.project(event, record, event_root(record), document_id, document)

    def _headers(self, document_id: bytes, event: Record) -> Headers:
        """Of a document that is as it is because of this event, and those before it."""
        known = event.headers
        cause = known[SOURCE] + b"/" + known[ID]  # bytes, since text would be written as bytes again
        headers: Headers = [
            *self._static,
            (ID, cause + b">" + document_id),
            (SUBJECT, document_id),
            (TIME, known.get(TIME) or rfc3339(event.timestamp)),
            (CAUSATION, cause),
        ]
        for name in (CORRELATION, TRACEPARENT):
            if value := known.get(name):
                headers.append((name, value))
        return headers


@runs(ProjectorSpec)
def projector_step(spec: ProjectorSpec, topology: Topology, store: Store, context: StepContext) -> Step:
    """Makes the step of a projector."""
    return ProjectorStep(spec, store, context)
