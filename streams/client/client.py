"""The client: commands out, answers in. One producer and one reply consumer a process, thousands of calls in flight."""

import asyncio
import random
import threading
import time
import uuid
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from google.protobuf.message import Message as Protobuf
from opentelemetry import propagate, trace

from headrace.schemas import codecs
from headrace.schemas.headers import CORRELATION, EXPECTED, FACT, REPLY_TO, TRACEPARENT, Headers
from headrace.schemas.headrace_v1_pb2 import Query, QueryResult
from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.schemas.record import CloudEvent
from headrace.streams.client.reply import Event, OutcomeUnknown, Reply, SendFailed
from headrace.streams.clock import backoff
from headrace.streams.settings import Settings
from headrace.topology.aggregate import Aggregate
from headrace.topology.inspection import ComponentSpec, type_name
from headrace.topology.names import source
from headrace.topology.topology import Topology

log = structlog.get_logger()
Domain = str | type[Aggregate[Any]] | None
_PAGE = 1000  # events asked for at once
_PASSING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
)


class Client:
    """Sends commands of one deployment and edition; use it as `async with Client(topology) as client`.

    Every call may raise KafkaException when the brokers refuse the client (authentication, say).
    """

    def __init__(self, topology: Topology, settings: Settings | None = None, *, bootstrap: str = "") -> None:
        self._topology = topology
        self._settings = settings or Settings()
        if bootstrap:
            self._settings = self._settings.model_copy(update={"bootstrap": bootstrap})
        self._names = self._settings.names
        self._source = f"{source(self._settings.edition, 'client')}/{uuid.uuid4().hex[:12]}"
        self._waiting: dict[bytes, asyncio.Future[Message]] = {}
        self._failed = 0
        self._failure: KafkaError | None = None
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    # ---- commands

    async def execute(
        self,
        command: Protobuf,
        *,
        root: str,
        expected_sequence: int | None = None,
        timeout: float = 10.0,
        command_id: str | None = None,
        correlation_id: str | None = None,
        domain: Domain = None,
    ) -> Reply:
        """Send a command and wait for its answer, `timeout` seconds at most.

        A refusal is an answer: see `Reply.status`. Raises OutcomeUnknown after the timeout; the same `command_id`
        may then be sent again safely. Raises LookupError when no domain handles the command.
        """
        spec = self._spec(domain, command)
        command_id = command_id or uuid.uuid4().hex
        extensions = {CORRELATION[3:]: correlation_id or command_id}
        if expected_sequence is not None:
            extensions[EXPECTED[3:]] = str(expected_sequence)
        payload, headers = self._command(command, command_id, root, extensions, reply=True)
        try:
            answer = await self._ask(spec, root, command_id, payload, headers, timeout)
        except TooLargeToSend as error:
            return Reply.too_large(command_id, root, str(error))
        return Reply.read(WireReply.FromString(answer.value() or b""), spec)

    async def send(
        self,
        command: Protobuf,
        *,
        root: str,
        expected_sequence: int | None = None,
        command_id: str | None = None,
        correlation_id: str | None = None,
        domain: Domain = None,
    ) -> str:
        """Send a command and do not wait for an answer; its id. Waits only while too much is on its way.

        A refused command goes to the dead letters, since nobody listens. `flush` says whether all were delivered.
        """
        spec = self._spec(domain, command)
        command_id = command_id or uuid.uuid4().hex
        extensions = {CORRELATION[3:]: correlation_id or command_id}
        if expected_sequence is not None:
            extensions[EXPECTED[3:]] = str(expected_sequence)
        payload, headers = self._command(command, command_id, root, extensions, reply=False)
        await self._produce(spec, root, payload, headers, self._sent)
        return command_id

    async def record_fact(
        self,
        fact: Protobuf,
        *,
        root: str,
        external_id: str,
        domain: Domain = None,
        timeout: float = 10.0,
        correlation_id: str | None = None,
    ) -> Reply:
        """Tell of something that has happened outside, and wait until it is recorded; it is not refused.

        `external_id` is the id that its source knows it by: stated again, ever, it answers the first events, with
        `already_processed`. Raises OutcomeUnknown after the timeout, after which it may be stated again safely.
        """
        spec = (
            self._topology.aggregate(self._topology.recorder_of(type(fact))) if domain is None else self._spec(domain)
        )
        fact_id = uuid.uuid4().hex
        extensions = {CORRELATION[3:]: correlation_id or fact_id, FACT[3:]: external_id}
        payload, headers = self._command(fact, fact_id, root, extensions, reply=True)
        try:
            answer = await self._ask(spec, root, fact_id, payload, headers, timeout, "facts")
        except TooLargeToSend as error:
            return Reply.too_large(fact_id, root, str(error))
        return Reply.read(WireReply.FromString(answer.value() or b""), spec)

    async def flush(self) -> None:
        """Wait until the brokers have all that was sent; raises SendFailed when they did not take some of it."""
        await asyncio.to_thread(self._producer.flush)
        if self._failed:
            failed, self._failed = self._failed, 0
            raise SendFailed(f"{failed} command(s) were not delivered; the last because: {self._failure}")

    # ---- reads

    async def state(self, root: str, of: Domain = None, *, timeout: float = 10.0) -> Any:
        """The root's state, after all commands that this client sent for it before; None if it has no events."""
        result = await self._query(root, of, Query(state=True), timeout)
        if result.sequence < 0:
            return None
        return self._spec(of).state_type.FromString(result.state)

    async def events(
        self, root: str, from_sequence: int = 0, of: Domain = None, *, timeout: float = 10.0
    ) -> AsyncIterator[Event]:
        """The root's events in order, from a sequence on; `timeout` seconds for each thousand of them."""
        spec = self._spec(of)
        while True:
            result = await self._query(root, of, Query(from_sequence=from_sequence, limit=_PAGE), timeout)
            for event in result.events:
                yield Event.read(event, spec)
            from_sequence += len(result.events)
            if not result.events or from_sequence > result.sequence:
                return

    async def _query(self, root: str, of: Domain, query: Query, timeout: float) -> QueryResult:
        spec = self._spec(of)
        query_id = uuid.uuid4().hex
        payload, headers = self._command(query, query_id, root, {}, reply=True)
        answer = await self._ask(spec, root, query_id, payload, headers, timeout)
        if dict(answer.headers() or ()).get("ce_type") == b"headrace.v1.Reply":
            raise LookupError(WireReply.FromString(answer.value() or b"").reason)
        result = QueryResult.FromString(answer.value() or b"")
        if result.reason:
            raise LookupError(f"{root}: {result.reason}")
        return result

    # ---- out

    def _spec(self, domain: Domain, command: Protobuf | None = None) -> ComponentSpec:
        if domain is None:
            if command is not None:
                return self._topology.aggregate(self._topology.domain_of(type(command)))
            if len(self._topology.aggregates) != 1:
                raise LookupError(
                    f"name the domain with of=…; this topology has: {', '.join(self._topology.aggregates)}"
                )
            return next(iter(self._topology.aggregates.values()))
        return self._topology.aggregate(domain if isinstance(domain, str) else domain.domain)

    def _command(
        self, command: Protobuf, command_id: str, root: str, extensions: dict[str, str], *, reply: bool
    ) -> tuple[bytes, Headers]:
        if reply:
            extensions[REPLY_TO[3:]] = self._reply_to
        if trace.get_current_span().get_span_context().is_valid:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            if "traceparent" in carrier:
                extensions[TRACEPARENT[3:]] = carrier["traceparent"]
        event = CloudEvent(
            id=command_id,
            source=self._source,
            type=type_name(type(command)),
            subject=root,
            content_type=codecs.PROTOBUF,
            extensions=extensions,
        )
        return command.SerializeToString(), event.headers()

    async def _ask(
        self,
        spec: ComponentSpec,
        root: str,
        message_id: str,
        payload: bytes,
        headers: Headers,
        timeout: float,
        kind: str = "commands",
    ) -> Message:
        loop = asyncio.get_running_loop()
        key = message_id.encode()
        future: asyncio.Future[Message] = self._waiting.setdefault(key, loop.create_future())

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                loop.call_soon_threadsafe(_fail, future, KafkaException(error))

        try:
            async with asyncio.timeout(timeout):
                await self._produce(spec, root, payload, headers, delivered, kind)
                return await asyncio.shield(future)
        except TimeoutError:
            raise OutcomeUnknown(message_id, root, timeout) from None
        except KafkaException as error:
            if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise TooLargeToSend(_limit(len(payload), self._settings)) from None
            raise
        finally:
            self._waiting.pop(key, None)

    async def _produce(
        self, spec: ComponentSpec, root: str, payload: bytes, headers: Headers, delivered: Any, kind: str = "commands"
    ) -> None:
        topic = self._names.topic(self._settings.edition, spec.name, kind)
        if not root:
            raise ValueError("root is empty; it is the id of the aggregate that the command is for")
        while True:
            try:
                self._producer.produce(topic, payload, root, headers=headers, on_delivery=delivered)
                return
            except BufferError:
                await asyncio.to_thread(self._producer.poll, 0.05)

    def _sent(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed += 1
            self._failure = error

    # ---- in

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._producer = Producer(
            # no linger: a lone command does not wait, and many make batches while others are on their way
            self._settings.producer(enable_idempotence=True, linger_ms=0, queue_buffering_max_messages=50_000)
        )
        self._consumer = Consumer(
            self._settings.client(
                group_id=f"{self._settings.prefix}headrace.client",  # required, not joined
                enable_auto_commit=False,
                isolation_level="read_committed",
                auto_offset_reset="latest",
                fetch_wait_max_ms=100,
            )
        )
        await asyncio.to_thread(self._take_reply_partition)
        for target in (self._receive, self._deliver):
            thread = threading.Thread(target=target, name=f"headrace-client{target.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._producer.flush, 10)
        self._stop.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._consumer.close()

    def _take_reply_partition(self) -> None:
        topic = self._names.replies
        found = self._consumer.list_topics(topic, timeout=10).topics[topic]
        if found.error is not None:
            raise LookupError(f"the topic {topic} is missing; `headrace topics create` makes it")
        partition = random.randrange(len(found.partitions))
        place = TopicPartition(topic, partition)
        attempt = 0
        while True:
            try:
                # the end as committed readers see it: no answer to this client can lie before
                _, place.offset = self._consumer.get_watermark_offsets(place, timeout=10)
                break
            except KafkaException as error:  # a new topic's leader is not known everywhere at once
                if error.args[0].code() not in _PASSING or attempt == 8:
                    raise
                time.sleep(backoff(attempt))
                attempt += 1
        self._consumer.assign([place])
        self._reply_to = f"{topic}/{partition}"

    def _receive(self) -> None:
        while not self._stop.is_set():
            first = self._consumer.poll(0.1)
            if first is None:
                continue
            batch = [first, *self._consumer.consume(500, 0)]
            mine = [m for m in batch if m.error() is None and m.key() in self._waiting]
            if mine:
                self._loop.call_soon_threadsafe(self._resolve, mine)

    def _resolve(self, messages: list[Message]) -> None:
        for message in messages:
            future = self._waiting.get(message.key() or b"")
            if future is not None and not future.done():
                future.set_result(message)

    def _deliver(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(0.1)


class TooLargeToSend(RuntimeError):
    """A command above the brokers' limit."""


def _limit(size: int, settings: Settings) -> str:
    """Which limit a command of this size has met: the client's own, or that of the topic."""
    own = int(settings.client().get("message.max.bytes", 1_000_000))
    if size > own:
        return f"the command of {size} bytes is above the limit of {own} (the client's message.max.bytes)"
    return f"the command of {size} bytes is above a limit of the brokers (max.message.bytes of the topic)"


def _fail(future: asyncio.Future[Message], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
