"""What projectors tell the sender of a command, who waits until documents have its events."""

from headrace.schemas.awaited import Awaited, pack
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
        self._staged: list[tuple[Record, Projected, bytes]] = []

    def add(self, event: Record, *, documents: int = 0, failed: bool = False, changed: bytes = b"") -> None:
        """Acknowledge an event, if its command's sender waits for that.

        `documents` is the number of those that it concerns, as a feed knows it; `changed` the one that a projector has
        changed because of it.
        """
        if event.headers.get(SYNC_MODE) == SIMPLE:
            number = event.headers.get(SEQUENCE, b"")
            # not an error, which would make a dead letter of an event that its document has already
            sequence = int(number) if number.isdigit() and len(number) < 19 else -1
            documents = 1 if changed else documents
            projected = Projected(component=self._component, sequence=sequence, documents=documents, failed=failed)
            self._staged.append((event, projected, changed))
            self._batch.undo.append((self._staged.pop,))

    def finish(self, now: int) -> dict[bytes, bytes]:
        """Stage the batch's acknowledgements; returns, by document, a header that says who waits for it.

        Events so old that nobody waits, as in a rebuild, are left out.
        """
        awaited: dict[bytes, list[Awaited]] = {}
        for event, projected, changed in self._staged:
            target = ReplyTarget.parse(event.headers.get(REPLY_TO, b"").decode(errors="replace"))
            if target is None or target.topic != self._replies or target.partition >= self._partitions:
                continue
            if now - event.timestamp < REPLIES_KEPT:
                command_id = event.headers.get(CAUSATION, b"")
                headers = [*self._headers, (ID, command_id)]
                value = projected.SerializeToString()
                self._batch.outputs.append((target.topic, value, command_id, target.partition, headers))
                if changed:
                    one = Awaited(str(target), command_id.decode(errors="replace"), projected.sequence)
                    awaited.setdefault(changed, []).append(one)
        return {document_id: pack(found) for document_id, found in awaited.items()}

    def clear(self) -> None:
        """The batch has ended."""
        self._staged.clear()
