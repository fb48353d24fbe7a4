"""The client: sends commands and facts, and reads states and events."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException
from google.protobuf.message import Message
from opentelemetry import propagate, trace

from headrace.schemas import codecs
from headrace.schemas.headers import CORRELATION, EXPECTED, FACT, NOW, ON_ERROR, REPLY_TO, SYNC_MODE, TRACEPARENT
from headrace.schemas.headrace_v1_pb2 import Event as WireEvent
from headrace.schemas.headrace_v1_pb2 import Query, QueryResult
from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.schemas.record import CloudEvent
from headrace.streams.client.connection import Connection, Request
from headrace.streams.client.editions import Editions
from headrace.streams.client.serving_cache import ServingCache
from headrace.streams.in_memory.history import History, check_history
from headrace.streams.settings import Settings
from headrace.streams.waits.cascade import CascadeWait
from headrace.streams.waits.projections import Confirming, ProjectionWait, concerned, serving_versions
from headrace.topology.as_of import AsOf, point_of
from headrace.topology.chosen_time import time_header
from headrace.topology.inspection import ComponentSpec, type_name
from headrace.topology.names import source
from headrace.topology.reply import Event, OnError, Reply, SendSync, Sync
from headrace.topology.topology import Domain, Topology

_PAGE = 1000  # events asked for at once
_REPEATED = 5.0  # seconds to wait for acknowledgements of a command that was decided before, perhaps just now


class Client:
    """Sends commands of one deployment and edition; use it as `async with Client(topology) as client`.

    If a call is not delivered, or no answer comes, it is sent again automatically under the same id; that is safe, as
    it is decided once. `timeout` is for all attempts together, in seconds. Every call may raise KafkaException if the
    brokers do not accept the client (authentication, for example), and ClientNotUsable if the client is not open, or
    was opened on another event loop or in another process. With the `sinks` of the deployment, `sync="simple"` also
    waits for those that confirm.
    """

    def __init__(
        self,
        topology: Topology,
        settings: Settings | None = None,
        *,
        bootstrap: str = "",
        sinks: Confirming | None = None,
    ) -> None:
        self._topology = topology
        self._confirmed = {} if sinks is None else sinks.confirmed
        self._settings = settings or Settings()
        if bootstrap:
            self._settings = self._settings.model_copy(update={"bootstrap": bootstrap})
        self._source = f"{source(self._settings.edition, 'client')}/{uuid.uuid4().hex[:12]}"
        self._connection = Connection(self._settings)
        self._serving = ServingCache(self._settings)

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    # ---- editions

    @property
    def editions(self) -> Editions:
        """The deployment's editions: to make, list and delete them."""
        return Editions(self._settings, self._topology)

    def edition(self, name: str) -> "Client":
        """A client of an edition, to be opened and closed like this one."""
        settings = self._settings.model_copy(update={"edition": Settings.checked_edition(name)})
        return Client(self._topology, settings)

    # ---- commands and facts

    async def execute(
        self,
        command: Message,
        *,
        root: str,
        expected_sequence: int | None = None,
        timeout: float = 60.0,
        command_id: str | None = None,
        correlation_id: str | None = None,
        domain: Domain = None,
        sync: Sync = "decision",
        on_error: OnError = "fail-fast",
        now: datetime | None = None,
    ) -> Reply:
        """Send a command and wait for its answer, `timeout` seconds at most.

        In an edition, `now` is the time at which it is decided; ValueError in main, where it is that of its record.

        With `sync="simple"`, wait also until the serving version of each projector that reads the domain has its
        events, and sinks that confirm have their documents; with `sync="cascade"`, until everything is handled that the
        command leads to, time-outs aside: then `on_error` says what to do about a failure. With `sync="isolated"`, no
        saga and no process manager reacts to its events; the aggregate must permit that.

        A rejection is an answer: see `Reply.status`. Raises OutcomeUnknown after the timeout; the same `command_id` may
        then be sent again safely. Raises LookupError when no domain handles the command; with `sync="simple"`
        ProjectionFailed if an event is dead for a projector, and ProjectionUnknown after the timeout; with
        `sync="cascade"` CascadeFailed after a failure, if `on_error` says so, and CascadeUnknown after the timeout.
        """
        spec = self._topology.handler_of(type(command), domain)
        request = self._command(
            spec,
            command,
            root,
            command_id,
            correlation_id,
            expected_sequence,
            reply=True,
            sync=sync,
            on_error=on_error,
            now=now,
        )
        if sync in ("decision", "isolated"):
            return await self._decided(spec, request, timeout, command_id)
        deadline = asyncio.get_running_loop().time() + timeout
        recorded = await self._serving.recorded() if self._topology.projectors else {}
        if sync == "cascade":
            cascade = CascadeWait(self._topology, serving_versions(self._topology, recorded), on_error)
            with self._connection.watching(request.id, cascade.take) as changed:
                reply = await self._decided(spec, request, timeout, command_id)
                if reply.accepted:
                    seconds = _left(deadline, reply)
                    await changed.until(lambda: cascade.done, seconds)
                    reply = cascade.result(reply, seconds)
            return reply
        wait = ProjectionWait(concerned(self._topology, recorded, spec.name), self._confirmed)
        with self._connection.watching(request.id, wait.take) as changed:
            reply = await self._decided(spec, request, timeout, command_id)
            if reply.accepted and reply.events:
                seconds = _left(deadline, reply)
                sequences = [event.sequence for event in reply.events]
                await changed.until(lambda: wait.done(sequences), seconds)
                wait.check(reply, seconds)
        return reply

    async def send(
        self,
        command: Message,
        *,
        root: str,
        expected_sequence: int | None = None,
        command_id: str | None = None,
        correlation_id: str | None = None,
        domain: Domain = None,
        sync: SendSync = "async",
        now: datetime | None = None,
    ) -> str:
        """Send a command without waiting for its reply, and return its id. Waits only while the send buffer is full.

        If it is rejected, it goes to the dead letters. `flush` raises an error if commands were not delivered. With
        `sync="isolated"`, no saga and no process manager reacts to its events; the aggregate must permit that. `now` is
        as in `execute`.
        """
        spec = self._topology.handler_of(type(command), domain)
        request = self._command(
            spec, command, root, command_id, correlation_id, expected_sequence, reply=False, sync=sync, now=now
        )
        await self._connection.send(request)
        return request.id

    async def record_fact(
        self,
        fact: Message,
        *,
        root: str,
        external_id: str,
        domain: Domain = None,
        timeout: float = 60.0,
        correlation_id: str | None = None,
        now: datetime | None = None,
    ) -> Reply:
        """State that something has happened outside, and wait until it is recorded; it cannot be rejected.

        `external_id` is the id that its source knows it by: if it is ever stated again, the reply has the first events
        and `already_processed`. Raises OutcomeUnknown after the timeout; it may then be stated again safely. `now` is
        as in `execute`.
        """
        spec = self._topology.recorder_for(type(fact), domain)
        fact_id = uuid.uuid4().hex
        extensions = {CORRELATION[3:]: correlation_id or fact_id, FACT[3:]: external_id, **self._time(now)}
        request = self._request(spec, "facts", fact, fact_id, root, extensions, reply=True)
        reply, _ = await self._reply(spec, request, timeout)
        if any(event.causation_id == fact_id for event in reply.events):
            return replace(reply, already_processed=False)  # an earlier attempt of this call has stated it
        return reply

    async def flush(self) -> None:
        """Wait until the brokers have everything that was sent; raises SendFailed if they did not accept some of it."""
        self._connection.check()
        await self._connection.flush()

    # ---- reads

    async def state(self, root: str, domain: Domain = None, *, as_of: AsOf | None = None, timeout: float = 60.0) -> Any:
        """The root's state, after all commands that this client has sent to it; None if it has no events.

        With `as_of`, the state as it was after the event with this sequence, or at this time; None if there were no
        events yet. Raises LookupError if the worker does not answer for the past, ValueError for a time without a time
        zone.
        """
        spec = self._read_from(domain)
        sequence, moment = point_of(as_of)
        query = Query(state=True, as_of_sequence=sequence, as_of_time=moment)
        deadline = asyncio.get_running_loop().time() + timeout
        while (result := await self._query(root, spec, query, deadline)).unfinished:
            query.as_of_sequence = result.sequence
        return None if result.sequence < 0 else spec.state_type.FromString(result.state)

    async def events(
        self,
        root: str,
        from_sequence: int = 0,
        domain: Domain = None,
        *,
        as_of: AsOf | None = None,
        timeout: float = 60.0,
        lift: bool = True,
    ) -> AsyncIterator[Event]:
        """The root's events in order, from a sequence on; `timeout` is in seconds, for each thousand events.

        With `as_of`, up to the event with this sequence, or those that were recorded by this time. Old ones are what
        upcasters make of them; without `lift`, all are as the log has them. Raises UpcastFailed, and with `as_of` what
        `state` raises.
        """
        spec = self._read_from(domain)
        async for page in self._pages(root, spec, from_sequence, as_of, timeout):
            for event in page.events:
                for one in Event.read(event, spec, root, lift=lift):
                    yield one

    async def history(
        self, roots: Mapping[str, Iterable[str]], *, as_of: AsOf | None = None, timeout: float = 60.0
    ) -> History:
        """The events of roots, by domain, for what-ifs; with `as_of` up to the event with this sequence, or to a time.

        Raises LookupError for a root without events, and for a sequence that is after a root's last event; and what
        `events` raises.
        """
        found: dict[str, dict[str, list[WireEvent]]] = {}
        for domain, names in roots.items():
            spec = self._read_from(domain)
            if isinstance(names, str):
                raise TypeError(f"history({{{domain!r}: {names!r}}}) names one root; put it into a list")
            for root in names:
                pages = self._pages(root, spec, 0, as_of, timeout)
                events = found.setdefault(domain, {})[root] = [event async for page in pages for event in page.events]
                check_history(domain, root, len(events) - 1, as_of)
        return History.answered(found)

    async def _pages(
        self, root: str, spec: ComponentSpec, from_sequence: int, as_of: AsOf | None, timeout: float
    ) -> AsyncIterator[QueryResult]:
        """A root's events as the log has them, a thousand at a time."""
        sequence, moment = point_of(as_of)
        query = Query(limit=_PAGE, as_of_sequence=sequence, as_of_time=moment)
        while True:
            query.from_sequence = from_sequence
            result = await self._query(root, spec, query, asyncio.get_running_loop().time() + timeout)
            if as_of is not None:
                query.as_of_sequence = result.sequence
            yield result
            from_sequence += len(result.events)
            if from_sequence > result.sequence:
                return
            if not result.events:  # an empty page is not the end
                raise LookupError(f"{root}: event {from_sequence} of {result.sequence} did not come")

    async def _query(self, root: str, spec: ComponentSpec, query: Query, deadline: float) -> QueryResult:
        request = self._request(spec, "commands", query, uuid.uuid4().hex, root, {}, reply=True)
        answer, _ = await self._connection.ask(request, deadline - asyncio.get_running_loop().time())
        if isinstance(answer, WireReply):
            raise LookupError(answer.reason)
        if answer.reason:
            raise LookupError(f"{root}: {answer.reason}")
        if query.WhichOneof("as_of") and not answer.as_of:
            raise LookupError(
                f"{root}: the worker is of a release that knows no as_of, and answered with the present; upgrade the "
                f"workers of {spec.name} to read the past"
            )
        return answer

    def _read_from(self, domain: Domain) -> ComponentSpec:
        name = self._topology.only_aggregate() if domain is None else domain
        return self._topology.aggregate(name if isinstance(name, str) else name.domain)

    # ---- requests

    async def _decided(self, spec: ComponentSpec, request: Request, timeout: float, command_id: str | None) -> Reply:
        reply, attempts = await self._reply(spec, request, timeout)
        if attempts > 1 and command_id is None and reply.already_processed:
            return replace(reply, already_processed=False)  # nobody but this call knows the id
        return reply

    async def _reply(self, spec: ComponentSpec, request: Request, timeout: float) -> tuple[Reply, int]:
        """The answer, and how often the request was sent."""
        try:
            answer, attempts = await self._connection.ask(request, timeout)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            return Reply.too_large(request.id, request.root, _limit(len(request.payload), self._settings)), 1
        assert isinstance(answer, WireReply)
        return Reply.read(answer, spec), attempts

    def _command(
        self,
        spec: ComponentSpec,
        command: Message,
        root: str,
        command_id: str | None,
        correlation_id: str | None,
        expected_sequence: int | None,
        *,
        reply: bool,
        sync: Sync | SendSync = "decision",
        on_error: OnError = "fail-fast",
        now: datetime | None = None,
    ) -> Request:
        command_id = command_id or uuid.uuid4().hex
        extensions = {CORRELATION[3:]: correlation_id or command_id, **self._time(now)}
        if sync not in ("decision", "async"):
            extensions[SYNC_MODE[3:]] = sync
        if sync == "cascade" and on_error != "fail-fast":
            extensions[ON_ERROR[3:]] = on_error
        if expected_sequence is not None:
            extensions[EXPECTED[3:]] = str(expected_sequence)
        return self._request(spec, "commands", command, command_id, root, extensions, reply=reply)

    def _time(self, now: datetime | None) -> dict[str, str]:
        chosen = time_header(now, self._settings.edition)
        return {} if chosen is None else {NOW[3:]: chosen}

    def _request(
        self,
        spec: ComponentSpec,
        kind: str,
        message: Message,
        message_id: str,
        root: str,
        extensions: dict[str, str],
        *,
        reply: bool,
    ) -> Request:
        self._connection.check()
        if not root:
            raise ValueError("root is empty; it is the id of the aggregate that the command is for")
        if reply:
            extensions[REPLY_TO[3:]] = self._connection.reply_to
        if trace.get_current_span().get_span_context().is_valid:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            if "traceparent" in carrier:
                extensions[TRACEPARENT[3:]] = carrier["traceparent"]
        event = CloudEvent(
            id=message_id,
            source=self._source,
            type=type_name(type(message)),
            subject=root,
            content_type=codecs.PROTOBUF,
            extensions=extensions,
        )
        edition = self._settings.edition
        topic = self._settings.names.topic(edition, spec.name, kind)
        payload = message.SerializeToString(deterministic=True)  # the same each time: the engine compares their hash
        return Request(topic, root, message_id, source(edition, spec.name), payload, event.headers())


def _left(deadline: float, reply: Reply) -> float:
    """Seconds for which what follows from a command is waited for; few if it was decided before."""
    left = deadline - asyncio.get_running_loop().time()
    return min(left, _REPEATED) if reply.already_processed else left


def _limit(size: int, settings: Settings) -> str:
    """Which limit a command of this size exceeds: the client's own, or that of the topic."""
    own = int(settings.client().get("message.max.bytes", 1_000_000))
    if size > own:
        return f"the command of {size} bytes is above the limit of {own} (the client's message.max.bytes)"
    return f"the command of {size} bytes is above a limit of the brokers (max.message.bytes of the topic)"
