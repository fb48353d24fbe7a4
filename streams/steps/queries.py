"""Answers to queries: a root's state and events, now or as of a point in the past."""

from headrace.schemas import codecs
from headrace.schemas.headers import REPLY_TO
from headrace.schemas.headrace_v1_pb2 import Query
from headrace.schemas.record import Record, RecordError
from headrace.streams.steps import replies
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.checks import check_ids
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.handlers import State, States
from headrace.streams.steps.state_cache import CachedState, StateCache

PAGE = 1000
"""The most events in the answer to one query: a whole history would delay all other records."""
FOLDED = 20_000
"""The most events that are folded for one query, for the same reason; that takes some dozens of milliseconds."""


class Queries:
    """Answers queries about the roots of one partition."""

    def __init__(
        self, states: States, cache: StateCache, batch: Batch, replier: replies.Replier, context: StepContext
    ) -> None:
        self._states, self._cache, self._batch = states, cache, batch
        self._replier, self._room = replier, context.room

    def answer(self, record: Record, key: bytes, live: CachedState, *, inboxes: bool) -> None:
        """Stage the answer to a query; to an inbox only if `inboxes` may be answered. Raises RecordError."""
        answer_to = self._replier.target(record.headers.get(REPLY_TO), inboxes=inboxes)
        if answer_to is None:
            raise RecordError("a query needs ce_replyto")
        check_ids(record.headers)
        query = codecs.decode(record.value, Query, None)
        last = self._last(query, key, live)
        first = max(0, query.from_sequence)
        count = min(query.limit, PAGE, last + 1 - first)
        events = self._cache.events(key, live, first, count) if count > 0 else []
        state = self._state(query, key, live, last)
        self._batch.count("queries")
        result = replies.query_result(
            query,
            key.decode(),
            last,
            self._states.type_name,
            b"" if state is None else self._states.serialise(state),
            events,
            self._room,
        )
        result.as_of = query.WhichOneof("as_of") is not None
        result.unfinished = query.state and state is None
        self._batch.outputs.append(self._replier.result(result, answer_to, record.headers))

    def _last(self, query: Query, key: bytes, live: CachedState) -> int:
        """Sequence of the last event that counts; -1 if none does."""
        match query.WhichOneof("as_of"):
            case "as_of_time":
                return self._cache.last_at(key, live, query.as_of_time, self._batch.recorded)
            case "as_of_sequence":
                return max(-1, min(query.as_of_sequence, live.sequence))
        return live.sequence

    def _state(self, query: Query, key: bytes, live: CachedState, last: int) -> State | None:
        """The state that is asked for; None if none is, or if the query has to be asked again."""
        if not query.state:
            return None
        return live.state if last == live.sequence else self._cache.state_within(key, live, last, FOLDED)
