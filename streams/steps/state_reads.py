"""States of other roots that a reaction reads: requested by queries, and kept until all of them have arrived."""

from collections.abc import Iterable, Mapping

from headrace.schemas.changelog import read_key
from headrace.schemas.headers import CAUSATION, CORRELATION, ID, REPLY_TO, SUBJECT, TYPE, Headers
from headrace.schemas.headrace_v1_pb2 import Query, QueryResult, Reply
from headrace.schemas.ids import ReadRef, ReplyTarget
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.errors import HandlerError
from headrace.streams.steps.handlers import States
from headrace.topology.context import RootState, StateOf
from headrace.topology.inspection import ComponentSpec, type_name

_RESULT, _REPLY = type_name(QueryResult).encode(), type_name(Reply).encode()


class Waiting(Exception):
    """An event waits for the states of other roots."""


class StateReads:
    """The queries of one component for states of others, and the answers."""

    def __init__(
        self,
        spec: ComponentSpec,
        aggregates: Mapping[str, ComponentSpec],
        batch: Batch,
        context: StepContext,
        envelope: Envelope,
    ) -> None:
        self._spec, self._batch, self._context, self._envelope = spec, batch, context, envelope
        self._states = {name: States(other) for name, other in aggregates.items()}
        self._answer_to = str(ReplyTarget(context.names.topic(context.edition, spec.name, "inbox"), context.partition))

    def is_answer(self, record: Record) -> bool:
        """Whether a record answers a query."""
        return record.headers[TYPE] in (_RESULT, _REPLY)

    def keep(self, record: Record, root: bytes) -> None:
        """Keep an answer until the event that waits for it is handled."""
        value = record.value or b""
        if record.headers[TYPE] == _REPLY:  # the query failed, and this says why
            value = QueryResult(sequence=-1, reason=Reply.FromString(value).reason).SerializeToString()
        self._batch.set_entry(read_key(root, record.headers[ID]), value)

    def take(self, root: bytes, cause: str, wanted: Iterable[StateOf]) -> dict[StateOf, RootState]:
        """The states that the event `cause` needs; raises Waiting, after asking for them, if they are not known yet."""
        reads = list(dict.fromkeys(wanted))
        ids = [str(ReadRef(cause, self._spec.name, index)) for index in range(len(reads))]
        keys = [read_key(root, read_id.encode()) for read_id in ids]
        found = [self._batch.entry(key) for key in keys]
        if reads and not any(found):
            for read, read_id in zip(reads, ids, strict=True):
                self._ask(root, read, read_id, cause)
        if not all(found):
            raise Waiting
        for key in keys:
            self._batch.set_entry(key, None)
        results = (QueryResult.FromString(value or b"") for value in found)
        return {read: self._read(read, result) for read, result in zip(reads, results, strict=True)}

    def _read(self, read: StateOf, result: QueryResult) -> RootState:
        if result.reason:
            raise HandlerError(f"the state of {read.domain} {read.root!r} could not be read: {result.reason}")
        state = self._states[read.domain].parse(result.state) if result.sequence >= 0 else None
        return RootState(state, result.sequence)

    def _ask(self, root: bytes, read: StateOf, read_id: str, cause: str) -> None:
        if read.domain not in self._states or not read.root:
            raise HandlerError(
                f"{self._spec.class_name} reads the state of {read.domain!r} {read.root!r}; no such root"
            )
        headers: Headers = [
            *self._envelope.headers(type_name(Query)),
            (ID, read_id),
            (SUBJECT, read.root),
            (CORRELATION, root),
            (CAUSATION, cause),
            (REPLY_TO, self._answer_to),
        ]
        topic = self._context.names.topic(self._context.edition, read.domain, "inbox")
        partition = self._context.partition_in(topic, read.root.encode())
        self._batch.outputs.append((topic, Query(state=True).SerializeToString(), read.root, partition, headers))
