"""What components report to the sender of a command who waits for all that it leads to.

A report is written in the transaction that handles the record, and names the records that follow from it. So the sender
knows which reports are still to come. A time-out is no part of it: what a time-out leads to is not reported.
"""

from collections.abc import Iterable

from headrace.schemas.headers import CORRELATION, ID, ON_ERROR, REJECT_TO, REPORT_TO, SOURCE, SUBJECT, SYNC_MODE, TYPE
from headrace.schemas.headrace_v1_pb2 import Follows, Handled, Reply
from headrace.schemas.ids import EventRef, ReportTarget
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.compensation import make_rejection
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.sync_modes import COMPENSATE
from headrace.topology.cascades import COMPENSATION
from headrace.topology.topology import REPLIES_KEPT


class Reports:
    """Stages the reports of one component. Few records want one."""

    def __init__(self, component: str, name: str, batch: Batch, context: StepContext, envelope: Envelope) -> None:
        """`component` is its name in dead letters and rejections, `name` its name in topics."""
        self._component, self._name, self._source = component, name, envelope.source
        self._batch, self._context = batch, context
        self._replies, self._partitions = context.names.replies, context.reply_partitions
        self._compensation = context.names.topic(context.edition, COMPENSATION, "inbox")
        self._headers = envelope.headers("headrace.v1.Handled")
        self._staged: list[tuple[Record, Handled]] = []

    def add(
        self,
        record: Record,
        *,
        status: Reply.Status = Reply.ACCEPTED,
        reason: str = "",
        code: str = "",
        follows: Iterable[Follows] = (),
        documents: int = 0,
    ) -> None:
        """Report what became of a record, if somebody waits for that."""
        headers = record.headers
        if REPORT_TO not in headers:
            return
        handled = Handled(
            component=self._name,
            record=record_id(record),
            status=status,
            root=(headers.get(SUBJECT) or b"").decode(errors="replace"),
            type=headers.get(TYPE, b"").decode(errors="replace"),
            reason=reason,
            code=code,
            follows=follows,
            documents=documents,
            first=SYNC_MODE in headers,
        )
        if headers.get(ON_ERROR) == COMPENSATE and REJECT_TO in headers and status == Reply.ACCEPTED:
            executed = Reply(root=handled.root, command_id=headers[ID].decode())
            handled.undo.CopyFrom(make_rejection(record, executed, self._component))
            handled.undo_at = headers[REJECT_TO].decode(errors="replace")
        self._staged.append((record, handled))
        self._batch.undo.append((self._staged.pop,))

    def events(self, root: str, first: int, types: Iterable[str]) -> list[Follows]:
        """Events that this component has written, with consecutive sequences."""
        return [
            Follows(component=self._name, record=str(EventRef(self._source, root, sequence)), event_type=name)
            for sequence, name in enumerate(types, first)
        ]

    def finish(self, now: int) -> None:
        """Stage the batch's reports; not those on records so old that nobody waits, as of a replayed dead letter."""
        for record, handled in self._staged:
            target = ReportTarget.parse(record.headers[REPORT_TO].decode(errors="replace"))
            if target is None or target.topic != self._replies or target.partition >= self._partitions:
                continue
            if now - record.timestamp < REPLIES_KEPT:
                correlation = record.headers.get(CORRELATION) or target.command_id
                headers = [*self._headers, (ID, target.command_id), (CORRELATION, correlation)]
                value = handled.SerializeToString()
                self._batch.outputs.append((target.topic, value, target.command_id, target.partition, headers))
                if record.headers.get(ON_ERROR) == COMPENSATE:
                    partition = self._context.partition_in(self._compensation, target.command_id.encode())
                    headers = [*headers, (REPORT_TO, str(target))]
                    self._batch.outputs.append((self._compensation, value, target.command_id, partition, headers))

    def clear(self) -> None:
        """The batch has ended."""
        self._staged.clear()


def record_id(record: Record) -> str:
    """Source and id of any record, even one that is not valid."""
    source, name = record.headers.get(SOURCE) or b"", record.headers.get(ID) or b""
    return f"{source.decode(errors='replace')}/{name.decode(errors='replace')}"
