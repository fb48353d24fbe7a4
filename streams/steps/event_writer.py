"""Writes events of one component: applies them to the state, then stages them for the log."""

from collections.abc import Sequence

from headrace.schemas.headers import (
    CAUSATION,
    CORRELATION,
    DATA_SCHEMA,
    FACT,
    ID,
    PATH,
    SEQUENCE,
    SUBJECT,
    TIME,
    TRACEPARENT,
    Headers,
)
from headrace.schemas.headrace_v1_pb2 import Reply
from headrace.schemas.record import Record, rfc3339
from headrace.schemas.stored_event import event_key, wire_version
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.errors import TooLarge
from headrace.streams.steps.handlers import NewEvent, States
from headrace.streams.steps.state_cache import SNAPSHOT_EXTRA, CachedState, StateCache


class EventWriter:
    """Writes events of the roots of one partition."""

    def __init__(
        self, component: str, states: States, cache: StateCache, batch: Batch, context: StepContext, envelope: Envelope
    ) -> None:
        self._states, self._cache, self._batch, self._envelope = states, cache, batch, envelope
        self._partition, self._limit, self._room = context.partition, context.max_bytes, context.room
        self._events_topic = context.names.topic(context.edition, component, "events")
        self._snapshots_topic = context.names.topic(context.edition, component, "snapshots")
        self._static: dict[str, tuple[bytes, Headers, int]] = {}
        """By event type: schema key, the headers that all its events have, and version."""
        self._clock = (-1, "", b"")

    def write(
        self,
        record: Record,
        key: bytes,
        live: CachedState,
        events: Sequence[NewEvent],
        cause: bytes,
        correlation: bytes,
        fact: bytes = b"",
        reply: Reply | None = None,
        waits: Sequence[tuple[str, str | bytes | None]] = (),
    ) -> None:
        """Apply and stage the events that a record has led to, and add them to its reply, if there is one.

        `waits` are headers that tell those who read the events whether somebody waits for them (see `sync_modes`).

        Raises TooLarge for an event, or a state, above the broker's limit; HandlerError for a state nobody can read.
        """
        for event in events:
            if len(event[1]) > self._room:
                raise TooLarge(f"an event of {len(event[1])} bytes is above the limit of {self._limit}")
            self._states.apply(live.state, event)
        self._states.check(live.state)
        if self._batch.enforce_state_size and (size := self._states.size(live.state) + SNAPSHOT_EXTRA) > self._room:
            raise TooLarge(f"a state of {size} bytes is above the limit of {self._limit}")
        if not events:
            return
        timestamp, headers = record.timestamp, record.headers
        if timestamp != self._clock[0]:  # many records have the same millisecond
            time = rfc3339(timestamp)
            self._clock = (timestamp, time, time.encode())
        _, time, stamp = self._clock
        common: Headers = [(SUBJECT, key), (TIME, time), (CORRELATION, correlation), (CAUSATION, cause)]
        if (trace := headers.get(TRACEPARENT)) is not None:
            common.append((TRACEPARENT, trace))
        if (path := headers.get(PATH)) is not None:
            common.append((PATH, path))
        if fact:
            common.append((FACT, fact))
        common += waits
        root, sequence, recorded = key.decode(), live.sequence, self._batch.recorded_text
        outputs, history = self._batch.outputs, self._batch.staged.history
        for name, data, _ in events:
            schema, static, version = self._static.get(name) or self._headers(name)
            sequence += 1
            ids: Headers = [(ID, f"{root}:{sequence}"), (SEQUENCE, str(sequence))]
            log_key = event_key(root, sequence)
            outputs.append((self._events_topic, data, log_key, self._partition, [*static, *ids, *common]))
            stored = b"\0".join((schema, recorded, stamp, cause, correlation, fact, b"", data))  # see stored_event
            live.pending.append(stored)
            history.append((key, sequence, stored))
            if reply is not None:
                reply.events.add(
                    type=name,
                    sequence=sequence,
                    data=data,
                    time=time,
                    correlation_id=reply.correlation_id,
                    causation_id=reply.command_id,
                    fact_id=fact.decode() if fact else "",
                )
                if version:
                    reply.events[-1].version = version
        live.sequence = sequence
        self._cache.touched[key] = live

    def _headers(self, name: str) -> tuple[bytes, Headers, int]:
        schema = self._states.schema(name)
        headers = self._envelope.headers(name)
        if schema.version > 1:
            headers.append((DATA_SCHEMA, schema.key))
        found = self._static[name] = schema.key, headers, wire_version(schema)
        return found

    def finish(self) -> None:
        """Stage one snapshot for each root that the batch changed."""
        for key, value in self._cache.snapshots(self._room, self._batch.recorded):
            self._batch.staged.snapshots[key] = value
            self._batch.outputs.append((self._snapshots_topic, value, key, self._partition, None))
