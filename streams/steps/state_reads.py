"""States of other roots that a reaction reads: requested by queries, and kept until all of them have arrived.

What was asked is kept with the answer: a release that reads other states for the same event asks for those.
"""

from collections.abc import Iterable, Mapping
from itertools import count

from headrace.schemas.changelog import read_key
from headrace.schemas.headers import CAUSATION, CORRELATION, ID, REPLY_TO, SOURCE, SUBJECT, TYPE, Headers
from headrace.schemas.headrace_v1_pb2 import Query, QueryResult, Reply, StateRead
from headrace.schemas.ids import ReadRef, ReplyTarget
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.checks import LONGEST
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.errors import HandlerError
from headrace.streams.steps.handlers import States
from headrace.topology.context import RootState, StateOf
from headrace.topology.inspection import ComponentSpec, type_name
from headrace.topology.names import source

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

    def keep(self, record: Record, root: bytes) -> bool:
        """Keep an answer until the event that waits for it is handled; False if it answers nothing that was asked."""
        key = read_key(root, record.headers[ID])
        if (value := self._batch.entry(key)) is None:
            return False
        read = StateRead.FromString(value)
        if record.headers[TYPE] == _REPLY:  # the query failed, and this says why
            reply = Reply.FromString(record.value or b"")
            answer = QueryResult(root=reply.root, sequence=-1, reason=reply.reason)
        else:
            answer = QueryResult.FromString(record.value or b"")
        asked = source(self._context.edition, read.domain), read.root
        if read.HasField("answer") or (record.headers[SOURCE].decode(), answer.root) != asked:
            return False
        read.answer.CopyFrom(answer)
        self._batch.set_entry(key, read.SerializeToString())
        return True

    def take(self, root: bytes, cause: str, wanted: Iterable[StateOf]) -> dict[StateOf, RootState]:
        """The states that the event `cause` needs; raises Waiting, after asking for them, if they are not known yet."""
        reads = list(dict.fromkeys(wanted))
        answers = [self._answer(root, cause, index, read) for index, read in enumerate(reads)]
        found = [answer for answer in answers if answer is not None]
        if len(found) < len(reads):
            raise Waiting
        for index in count():  # an earlier release may have asked for more
            key = read_key(root, str(ReadRef(cause, self._spec.name, index)).encode())
            if self._batch.entry(key) is None:
                break
            self._batch.set_entry(key, None)
        return {read: self._read(read, result) for read, result in zip(reads, found, strict=True)}

    def _answer(self, root: bytes, cause: str, index: int, read: StateOf) -> QueryResult | None:
        """The answer if it is there; asks, unless that was done for the same root and the same type of state."""
        read_id = str(ReadRef(cause, self._spec.name, index))
        key = read_key(root, read_id.encode())
        known = StateRead.FromString(self._batch.entry(key) or b"")
        answer = known.answer if known.HasField("answer") else None
        if (known.domain, known.root) == (read.domain, read.root) and (
            answer is None or answer.reason or answer.state_type == self._states[read.domain].type_name
        ):
            return answer
        self._ask(root, read, read_id, cause)
        self._batch.set_entry(key, StateRead(domain=read.domain, root=read.root).SerializeToString())
        return None

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
        if len(read_id.encode()) > LONGEST:
            raise HandlerError(f"a read has an id of over {LONGEST} bytes, since a root's is long: {read_id[:99]!r}")
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
