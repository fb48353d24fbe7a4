"""Transactional producers: the records that one batch writes and the offsets it has read, all of them or none."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from headrace.streams.settings import Settings
from headrace.streams.steps.batch import Output
from headrace.streams.steps.errors import RecordTooLarge

log = structlog.get_logger()
CHECK_INTERVAL = 0.5
"""Seconds between two checks whether a call may still succeed."""
_NO_TOPICS: Mapping[str, str] = {}
Call = tuple[Callable[[], None], "SimpleQueue[Exception | None]"]


class CommitOutcomeUnknown(RuntimeError):
    """The transaction was not committed, or that is unknown; offsets and state must be read from Kafka again."""


class InterruptibleCall:
    """Calls that may never return, made in a separate thread; if a call does not return, its thread is abandoned."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Call | None] | None = None

    def call(self, function: Callable[[], None], timeout: float, hopeless: Callable[[], bool]) -> None:
        """Call `function`; TimeoutError if it has not returned after `timeout` seconds, or once `hopeless` is true."""
        if self._calls is None:
            self._calls = SimpleQueue()
            Thread(target=_serve, args=(self._calls,), name="interruptible-call", daemon=True).start()
        result: SimpleQueue[Exception | None] = SimpleQueue()
        self._calls.put((function, result))
        deadline = time.monotonic() + timeout
        while True:
            try:
                error = result.get(timeout=CHECK_INTERVAL)
                break
            except Empty:
                if hopeless() or time.monotonic() > deadline:
                    self.close()
                    raise TimeoutError from None
        if error is not None:
            raise error

    def close(self) -> None:
        """Let the thread end."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


def _serve(calls: "SimpleQueue[Call | None]") -> None:
    while (call := calls.get()) is not None:
        function, result = call
        try:
            function()
            result.put(None)
        except Exception as error:
            result.put(error)


class Transaction:
    """One transaction after the other, for one component of one worker. Used by one thread.

    Two producers take turns. A commit is answered once its outcome is fixed, before its markers are in the partitions.
    Until the last marker is written, the coordinator does not accept the same producer's next transaction, and
    librdkafka tries again only after 20 ms. The other producer does not have to wait, and the order is kept, because
    the earlier commit can no longer fail. There are never two transactions whose outcome is open.

    If a broker is lost, the producers are replaced before the next transaction. If they still take that broker for the
    group's coordinator, librdkafka waits for a connection that nobody opens (its issue 5511).
    """

    def __init__(
        self, settings: Settings, transactional_id: str, before_send: Callable[[set[str]], None] | None = None
    ) -> None:
        """`before_send` is told of the topics that records are about to go to; it may make them."""
        self._before_send = before_send
        self._ids = (f"{transactional_id}.0", f"{transactional_id}.1")
        self._config = settings.producer(
            transaction_timeout_ms=int(settings.transaction_timeout * 1000),
            message_max_bytes=100_000_000,  # the topics' limits are checked by the steps and by the broker
            queue_buffering_max_messages=10_000_000,
            queue_buffering_max_kbytes=1024 * 1024,
            # larger requests, while many commands are handled; the flush before the commit ends the linger
            linger_ms=20,
            compression_type="lz4",
        )
        self._config["error_cb"] = self._on_error
        self._timeout = settings.transaction_timeout
        self._topic = settings.names.replies
        self._producers: deque[Producer] = deque()
        """The first is the one whose turn it is; empty when none is usable."""
        self._open = False
        self._brokers: set[int] = set()
        """Ids of the brokers that the cluster had when the producers were created."""
        self._lost = False
        """Whether one of them has become unreachable since, or has left the cluster."""
        self.offsets: dict[tuple[str, int], int] = {}
        """Offset of the last tracked record in this transaction, by topic and partition."""
        self._interruptible = InterruptibleCall()

    def start(self, timeout: float) -> None:
        """Create producers if there are none, which ends open transactions of the same ids. Raises KafkaException."""
        if not self._producers:
            made = [Producer({**self._config, "transactional.id": name}) for name in self._ids]
            for producer in made:
                producer.init_transactions(timeout)
                producer.poll(0)  # takes errors from before the start, which are over
            self._brokers = self._seen(made[0], timeout)
            self._producers.extend(made)
            self._lost = False

    def missing(self, topics: Iterable[str]) -> list[str]:
        """Those of these topics that the cluster does not have. Raises KafkaException."""
        there = self._producers[0].list_topics(timeout=self._timeout).topics
        unknown = KafkaError.UNKNOWN_TOPIC_OR_PART  # other errors are temporary, such as those of an election
        return [name for name in topics if name not in there or there[name].error == unknown]

    def begin(self) -> None:
        """Open a transaction; raises CommitOutcomeUnknown when no producer is usable."""
        if not self._producers:
            raise CommitOutcomeUnknown("no producer")
        self.offsets = {}
        self._producers.rotate()
        try:
            self._producers[0].poll(0)
            if self._lost:
                log.info("a broker was lost; the producers are made anew", producer=self._ids[0])
                self.drop()
                self.start(self._timeout)
            self._producers[0].begin_transaction()
        except KafkaException as error:
            raise CommitOutcomeUnknown(str(error)) from error
        self._open = True

    def send(self, outputs: Sequence[Output], track: Mapping[str, str] = _NO_TOPICS, recorded: int = 0) -> None:
        """Give records to the producer; `offsets` will have that of the last one in each partition of `track`.

        `track` has the kind of each topic. Records of events get the timestamp `recorded`, in milliseconds.
        """
        if self._before_send is not None:
            self._before_send({output[0] for output in outputs})
        produce: Callable[..., None] = self._producers[0].produce
        tracked = _last_of(outputs, track)
        timestamps = {topic: recorded for topic, kind in track.items() if kind == "events"}
        timestamp_of = timestamps.get
        try:
            for index, (topic, value, key, partition, headers) in enumerate(outputs):
                callback = self._delivered if index in tracked else None
                produce(topic, value, key, partition, callback, None, timestamp_of(topic, 0), headers)
        except BufferError as error:  # at ten million records or a gigabyte
            raise RecordTooLarge("the records of one transaction are more than the producer can hold") from error
        except KafkaException as error:
            raise _translated(error) from error

    def commit(self, offsets: list[TopicPartition], consumer: Consumer) -> None:
        """Commit all that was sent, and the offsets; raises CommitOutcomeUnknown on any doubt."""
        producer, timeout = self._producers[0], self._timeout
        try:
            # without this flush the records wait behind the offsets, and replies take 100 ms instead of 4
            end = time.monotonic() + timeout
            while producer.flush(CHECK_INTERVAL) and not self._lost:
                if time.monotonic() > end:
                    raise CommitOutcomeUnknown(f"records were not taken within {timeout:g} s")
            if self._lost:
                raise CommitOutcomeUnknown("a broker was lost during the transaction")
            group = consumer.consumer_group_metadata()
            # its own timeout works only while the group's coordinator is known: librdkafka's issues 5456 and 5511
            self._interruptible.call(
                lambda: producer.send_offsets_to_transaction(offsets, group, timeout), timeout + 1, self._hopeless
            )
            producer.commit_transaction(timeout)
            self._open = False
        except TimeoutError as error:
            why = "before a broker was lost" if self._lost else f"within {timeout:g} s"
            raise CommitOutcomeUnknown(f"offsets were not taken {why}") from error
        except KafkaException as error:
            raise _translated(error) from error

    def abort(self) -> None:
        """Abort what was sent since `begin`; if that fails, drop the producers."""
        if not self._open:
            return
        self._open = False
        try:
            self._producers[0].abort_transaction(5)
        except KafkaException as error:
            log.warning("transaction not aborted; the producers are made anew", error=str(error))
            self.drop()

    def drop(self) -> None:
        """Close the producers. The next `start` fences them, which settles their transactions."""
        self._open = False
        while self._producers:
            producer = self._producers.pop()
            producer.purge(True, True, True)
            with suppress(KafkaException):  # the fatal error for which it is dropped
                producer.flush(0)

    def close(self) -> None:
        """Abort what is open and close."""
        self.abort()
        self.drop()
        self._interruptible.close()

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
            self._lost = True

    def _hopeless(self) -> bool:
        producer = self._producers[0]
        producer.poll(0)
        if not self._lost:
            with suppress(KafkaException):
                self._lost = not self._brokers <= self._seen(producer, CHECK_INTERVAL)
        return self._lost

    def _seen(self, producer: Producer, timeout: float) -> set[int]:
        return set(producer.list_topics(self._topic, timeout).brokers)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.offsets[message.topic() or "", message.partition() or 0] = message.offset() or 0


def _last_of(outputs: Sequence[Output], topics: Iterable[str]) -> set[int]:
    wanted = set(topics)
    found: dict[tuple[str, int], int] = {}
    if wanted:
        for index, output in enumerate(outputs):
            if output[0] in wanted:
                found[output[0], output[3]] = index
    return set(found.values())


def _translated(error: KafkaException) -> Exception:
    if error.args[0].code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE):
        return RecordTooLarge(f"a record is above the max.message.bytes of its topic: {error.args[0].str()}")
    return CommitOutcomeUnknown(str(error))
