"""The step that undoes failed cascades: it collects reports by command, and notifies the sources of what was done."""

from headrace.schemas.changelog import cascade_key, result_key
from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.headers import (
    CAUSATION,
    CONTENT_TYPE,
    CORRELATION,
    ID,
    SOURCE,
    SPECVERSION,
    SUBJECT,
    TYPE,
    Headers,
)
from headrace.schemas.headrace_v1_pb2 import Handled, Reply
from headrace.schemas.ids import IssuerRef, RejectionRef
from headrace.schemas.record import Record, RecordError, check
from headrace.streams.steps.checks import checked_root
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.registry import runs
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Store
from headrace.streams.waits.cascade_tree import CascadeTree
from headrace.topology.inspection import type_name
from headrace.topology.inspection.cascades import CompensationSpec
from headrace.topology.topology import Topology

HANDLED = type_name(Handled).encode()
CODE = "cascade-failed"
_DONE = b"\0"
"""The result of a command whose cascade is over: reports that come later, of replays, lead to nothing."""


class CompensationStep(Step):
    """The commands of one partition, whose ids are the keys of its records; see `Step` for what happens to a batch."""

    def __init__(self, spec: CompensationSpec, topology: Topology, store: Store, context: StepContext) -> None:
        super().__init__(spec.name, spec.name, store, context)
        self._topology = topology

    def attempt(self, record: Record) -> None:
        if check(record.headers)[TYPE] != HANDLED:
            raise RecordError(f"{record.headers[TYPE]!r} is no report; only reports are read here")
        command_id = checked_root(record.key)
        if self.batch.result(result_key(command_id, b"")) is not None:
            self.batch.count("repeated")
            return
        reports = [Handled.FromString(value) for _, value in self.batch.entries(cascade_key(command_id))]
        self.batch.set_entry(cascade_key(command_id, len(reports)), record.value)
        reports.append(Handled.FromString(record.value or b""))
        tree = CascadeTree(self._topology)
        for report in reports:
            tree.take(report)
        if tree.complete:
            self._end(record, command_id, reports, tree.failures)
        self.batch.count("accepted")

    def _end(self, record: Record, command_id: bytes, reports: list[Handled], failures: list[Handled]) -> None:
        for number in range(len(reports)):
            self.batch.set_entry(cascade_key(command_id, number), None)
        self.batch.set_result(result_key(command_id, b""), _DONE)
        if failures:
            done = [one for one in reports if one.status == Reply.ACCEPTED and one.undo_at]
            for report in reversed(done):
                self._notify(record, report, failures[0])
            self._reports.add(record, documents=len(done))

    def _notify(self, record: Record, done: Handled, failed: Handled) -> None:
        """Tell the source of a command that was carried out to undo it."""
        source = IssuerRef.parse(done.undo_at)
        if source is None:
            raise RecordError(f"ce_rejectto was {done.undo_at!r}; it must be COMPONENT:ROOT")
        done.undo.code = CODE
        done.undo.reason = f"it was carried out and is to be undone: {failed.component} failed, {failed.reason}"
        headers: Headers = [
            (SPECVERSION, "1.0"),
            (ID, str(RejectionRef(done.undo.command_id))),
            (SOURCE, self._envelope.source),
            (TYPE, "headrace.v1.Rejection"),
            (SUBJECT, source.root),
            (CONTENT_TYPE, PROTOBUF),
            (CAUSATION, done.undo.command_id),
            (CORRELATION, record.headers.get(CORRELATION) or record.key),
        ]
        topic = self._context.names.topic(self._context.edition, source.component, "inbox")
        partition = self._context.partition_in(topic, source.root.encode())
        self.outputs.append((topic, done.undo.SerializeToString(), source.root, partition, headers))
        self.batch.count("sends")


@runs(CompensationSpec)
def compensation_step(spec: CompensationSpec, topology: Topology, store: Store, context: StepContext) -> Step:
    """Makes the step that undoes failed cascades."""
    return CompensationStep(spec, topology, store, context)
