"""What projectors tell the sender of a command, who waits until documents have its events."""

from headrace.schemas.headers import CAUSATION, ID, REPLY_TO, SEQUENCE, SYNC_MODE
from headrace.schemas.headrace_v1_pb2 import Projected
from headrace.schemas.ids import ReplyTarget
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.sync_modes import SIMPLE
from headrace.topology.topology import REPLIES_KEPT


class Acknowledgements:
    """Stages acknowledgements of one component. Most events want none."""

    def __init__(self, component: str, batch: Batch, context: StepContext, envelope: Envelope) -> None:
        self._component, self._batch = component, batch
        self._replies, self._partitions = context.names.replies, context.reply_partitions
        self._headers = envelope.headers("headrace.v1.Projected")
        self._staged: list[tuple[Record, Projected]] = []

    def add(self, event: Record, *, documents: int = 0, failed: bool = False) -> None:
        """Acknowledge an event, if its command's sender waits for that."""
        if event.headers.get(SYNC_MODE) == SIMPLE:
            number = event.headers.get(SEQUENCE, b"")
            # not an error, which would make a dead letter of an event that its document has already
            sequence = int(number) if number.isdigit() and len(number) < 19 else -1
            self._staged.append(
                (event, Projected(component=self._component, sequence=sequence, documents=documents, failed=failed))
            )
            self._batch.undo.append((self._staged.pop,))

    def finish(self, now: int) -> None:
        """Stage the batch's acknowledgements; not those of events so old that nobody waits, as in a rebuild."""
        for event, projected in self._staged:
            target = ReplyTarget.parse(event.headers.get(REPLY_TO, b"").decode(errors="replace"))
            if target is None or target.topic != self._replies or target.partition >= self._partitions:
                continue
            if now - event.timestamp < REPLIES_KEPT:
                command_id = event.headers.get(CAUSATION, b"")
                headers = [*self._headers, (ID, command_id)]
                value = projected.SerializeToString()
                self._batch.outputs.append((target.topic, value, command_id, target.partition, headers))

    def clear(self) -> None:
        """The batch has ended."""
        self._staged.clear()
