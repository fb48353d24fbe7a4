"""A client's connection to the brokers: sends requests, and receives answers.

One producer and one reply consumer, with a thread each; thousands of calls may be in flight. A call is sent again under
its id while no answer comes: the engine decides it once, however often it is in the topic.
"""

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from headrace.schemas.headers import SOURCE, TYPE, Headers
from headrace.schemas.headrace_v1_pb2 import Handled, Projected, QueryResult
from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.streams.client.errors import ClientNotUsable, OutcomeUnknown, SendFailed
from headrace.streams.clock import backoff
from headrace.streams.settings import Settings
from headrace.streams.state.messages import headers_of

Answer = WireReply | QueryResult
SILENCE = 10.0
"""Seconds without an answer after which a delivered request is sent again; doubled for each further attempt.

Not fewer, because copies would add to the load if the engine is only busy.
"""
_REPLY = b"headrace.v1.Reply"
_REPORTS: dict[bytes, type[Projected] | type[Handled]] = {
    b"headrace.v1.Projected": Projected,
    b"headrace.v1.Handled": Handled,
}
_UNKNOWN_TOPIC = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
_TRANSIENT = (KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)
_OPENING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
)
_REFUSED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION)


class Request(NamedTuple):
    """A record for an aggregate."""

    topic: str
    root: str
    id: str
    source: str
    """The `ce_source` of its answer."""
    payload: bytes
    headers: Headers


class Connection:
    """Opened and closed once, on one event loop of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.reply_to = ""
        """Topic and partition for replies to this client."""
        self._calls: dict[bytes, list[_Call]] = {}
        self._watched: dict[bytes, Watch] = {}
        """Who counts the reports on a command, by its id."""
        self._failed, self._failure = 0, KafkaError(KafkaError.NO_ERROR)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    # ---- opening and closing

    async def open(self) -> None:
        """Connect. Raises LookupError if there is no replies topic, KafkaException if the brokers do not allow it."""
        if self._loop is not None or self._closed:
            raise ClientNotUsable("this client was opened before; make another one: async with Client(topology) as …")
        self.producer = Producer(
            # no linger: a single command does not wait, and many form batches while earlier ones are in flight
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
        try:
            await asyncio.to_thread(self._take_reply_partition)
        except BaseException:
            self._consumer.close()
            raise
        self._loop, self._pid = asyncio.get_running_loop(), os.getpid()
        for target in (self._receive, self._deliver):
            thread = threading.Thread(target=target, name=f"headrace-client{target.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    async def close(self) -> None:
        """Wait at most ten seconds until everything is delivered, and close; calls in flight raise ClientNotUsable."""
        await asyncio.to_thread(self.producer.flush, 10)
        self._closed = True
        self._stop.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._consumer.close()
        for call in [call for calls in self._calls.values() for call in calls]:
            call.fail(ClientNotUsable(f"the client was closed while command {call.request.id} waited for its answer"))

    def check(self) -> None:
        """Raise ClientNotUsable if the client cannot be used here, where a call would never return."""
        if self._closed:
            raise ClientNotUsable("this client is closed; make its calls inside of `async with Client(…) as client`")
        if self._loop is None:
            raise ClientNotUsable("this client is not open; write `async with Client(…) as client` around its calls")
        if self._pid != os.getpid():
            raise ClientNotUsable(
                f"this client was opened in process {self._pid} and does not live on in a fork; open one per process"
            )
        if asyncio.get_running_loop() is not self._loop:
            raise ClientNotUsable("this client was opened on another event loop; open one per loop")

    # ---- out

    async def ask(self, request: Request, timeout: float) -> tuple[Answer, int]:
        """The answer to a request, and how often the request was sent; OutcomeUnknown after `timeout` seconds.

        Raises KafkaException at once for a permanent error, such as a missing topic or permission.
        """
        call = _Call(self, request)
        key = request.id.encode()
        self._calls.setdefault(key, []).append(call)
        try:
            async with asyncio.timeout(timeout):
                await self._produce(request, call.produced)
                call.wait(SILENCE)
                return await call.answer, call.attempts
        except TimeoutError:
            raise OutcomeUnknown(request.id, request.root, timeout) from None
        finally:
            call.end()
            self._calls[key].remove(call)
            if not self._calls[key]:
                del self._calls[key]

    @contextmanager
    def watching(self, command_id: str, take: Callable[[Any], None]) -> Iterator["Watch"]:
        """Give each Projected or Handled of a command to `take`, on the event loop."""
        key = command_id.encode()
        self._watched[key] = watch = Watch(take)
        try:
            yield watch
        finally:
            del self._watched[key]

    async def send(self, request: Request) -> None:
        """Send a request without waiting for its delivery, but while the send buffer is full; see `flush`."""
        await self._produce(request, self._sent)

    async def flush(self) -> None:
        """Wait until the brokers have everything that was sent; raises SendFailed if they did not accept some of it."""
        await asyncio.to_thread(self.producer.flush)
        if self._failed:
            failed, self._failed = self._failed, 0
            raise SendFailed(f"{failed} command(s) were not delivered; the last because: {self._failure}")

    async def _produce(self, request: Request, delivered: Any) -> None:
        while True:
            try:
                self.produce(request, delivered)
                return
            except BufferError:
                await asyncio.to_thread(self.producer.poll, 0.05)

    def produce(self, request: Request, delivered: Any) -> None:
        """Give a record to the producer; BufferError while its buffer is full."""
        self.producer.produce(
            request.topic, request.payload, request.root, headers=request.headers, on_delivery=delivered
        )

    def _sent(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed += 1
            self._failure = error

    def _deliver(self) -> None:
        while not self._stop.is_set():
            self.producer.poll(0.1)

    # ---- in

    def _take_reply_partition(self) -> None:
        topic = self._settings.names.replies
        found = self._consumer.list_topics(topic, timeout=10).topics[topic]
        if found.error is not None:
            raise LookupError(f"the topic {topic} is missing; `headrace topics create` makes it")
        partition = random.randrange(len(found.partitions))
        position = TopicPartition(topic, partition)
        attempt = 0
        while True:
            try:
                # the end as committed readers see it: no reply to this client can be before it
                _, position.offset = self._consumer.get_watermark_offsets(position, timeout=10)
                break
            except KafkaException as error:  # brokers learn the leader of a new topic one by one
                if error.args[0].code() not in _OPENING or attempt == 8:
                    raise
                time.sleep(backoff(attempt))
                attempt += 1
        self._consumer.assign([position])
        self.reply_to = f"{topic}/{partition}"

    def _receive(self) -> None:
        assert self._loop is not None
        while not self._stop.is_set():
            first = self._consumer.poll(0.1)
            if first is None:
                continue
            batch = [first, *self._consumer.consume(500, 0)]
            mine = [m for m in batch if m.error() is None and (m.key() in self._calls or m.key() in self._watched)]
            if mine:
                self._loop.call_soon_threadsafe(self._resolve, mine)
            for error in (m.error() for m in batch):
                if error is not None and error.code() in _REFUSED:
                    self._loop.call_soon_threadsafe(self._refuse, error)

    def _resolve(self, messages: list[Message]) -> None:
        for message in messages:
            headers = headers_of(message)
            value = message.value() or b""
            if (report := _REPORTS.get(headers.get(TYPE, b""))) is not None:
                if watch := self._watched.get(message.key() or b""):
                    watch.take(report.FromString(value))
                continue
            answer = WireReply.FromString(value) if headers.get(TYPE) == _REPLY else QueryResult.FromString(value)
            source = (headers.get(SOURCE) or b"").decode()
            # calls with the same id share the answer if they are for the same root; else it is another command
            for call in self._calls.get(message.key() or b"", ()):
                if (call.request.source, call.request.root) == (source, answer.root):
                    call.succeed(answer)

    def _refuse(self, error: KafkaError) -> None:
        for calls in self._calls.values():
            for call in calls:
                call.fail(KafkaException(error))


class Watch:
    """Somebody who waits for reports on a command."""

    def __init__(self, take: Callable[[Any], None]) -> None:
        self._take = take
        self._changed = asyncio.Event()

    def take(self, report: Any) -> None:
        """Count a report."""
        self._take(report)
        self._changed.set()

    async def until(self, done: Callable[[], bool], seconds: float) -> None:
        """Return once `done` is true, or after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not done():
                    self._changed.clear()
                    await self._changed.wait()


class _Call:
    """A request in flight. It is sent again if an attempt fails, or gets no answer."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self.request, self.attempts = request, 1
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Answer] = self._loop.create_future()
        self._delivered = False
        self._timer: asyncio.TimerHandle | None = None

    def produced(self, error: KafkaError | None, _: Message) -> None:
        """The outcome of one attempt's delivery; called by the producer's thread."""
        if error is None:
            self._delivered = True
        else:
            self._loop.call_soon_threadsafe(self._not_delivered, error)

    def _not_delivered(self, error: KafkaError) -> None:
        code = error.code()
        if (error.retriable() or code in _TRANSIENT) and code not in _UNKNOWN_TOPIC:
            self._delivered = True  # librdkafka no longer tries
            self.wait(backoff(self.attempts))
        else:
            self.fail(KafkaException(error))

    def wait(self, seconds: float) -> None:
        """Send it again after this number of seconds, plus or minus a fifth, so that clients do not do so together."""
        self._cancel()
        if not self.answer.done():
            self._timer = self._loop.call_later(seconds * random.uniform(0.8, 1.2), self._again)

    def _again(self) -> None:
        if not self._delivered:  # librdkafka still tries by itself
            self.wait(SILENCE)
            return
        self._delivered = False
        try:
            self._connection.produce(self.request, self.produced)
        except BufferError:
            self._delivered = True
            self.wait(1)
        except KafkaException as error:
            self.fail(error)
        else:
            self.attempts += 1
            self.wait(SILENCE * 2 ** (self.attempts - 1))

    def succeed(self, answer: Answer) -> None:
        """End the call with an answer; only the first one counts."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        """End the call with an error."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def end(self) -> None:
        """The caller no longer waits."""
        self._cancel()
        self.answer.cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
