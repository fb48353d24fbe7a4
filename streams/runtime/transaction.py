"""The transactional producers: what one batch writes and the offsets it read, all of it or nothing."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
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
Call = tuple[Callable[[], None], "SimpleQueue[Exception | None]"]


class CommitOutcomeUnknown(RuntimeError):
    """The transaction did not commit, or nobody knows; whatever it did must be taken from Kafka anew."""


class InterruptibleCall:
    """Calls that may never return, in a thread of their own; a thread that does not come back from one is abandoned."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Call | None] | None = None

    def call(self, function: Callable[[], None], timeout: float, hopeless: Callable[[], bool]) -> None:
        """Call `function`; TimeoutError when it has not returned after `timeout` seconds, or once it is hopeless."""
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

    Two producers take turns. A commit is answered when it is decided; its markers are then still on their way to the
    partitions, and until the last of them is written the coordinator refuses the producer's next transaction, which
    librdkafka begins again only 20 ms later. The other producer is not held up: what it writes comes after, since the
    commit before it is decided. At no time are two transactions open that are not decided.

    Producers that have lost a broker are made anew before the next transaction. They remember the broker as the one
    that coordinates the group; asked for it, librdkafka waits for a connection that nobody opens (its issue 5511).
    """

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self._ids = (f"{transactional_id}.0", f"{transactional_id}.1")
        self._config = settings.producer(
            transaction_timeout_ms=int(settings.transaction_timeout * 1000),
            message_max_bytes=100_000_000,  # the topics' own limits are checked before, and by the broker
            queue_buffering_max_messages=10_000_000,
            queue_buffering_max_kbytes=1024 * 1024,
            # larger requests, while many commands are decided; the flush before the commit ends it, so nobody waits
            linger_ms=20,
            compression_type="lz4",
        )
        self._config["error_cb"] = self._on_error
        self._timeout = settings.transaction_timeout
        self._topic = settings.names.replies
        self._producers: deque[Producer] = deque()
        """The one whose turn it is stands first; empty when none is usable."""
        self._open = False
        self._brokers: set[int] = set()
        """Those that were there when the producers were made."""
        self._lost = False
        """Whether one of them could not be reached since, or has left."""
        self.offsets: dict[tuple[str, int], int] = {}
        """Offset that a tracked record got, by topic and partition; the last one in this transaction."""
        self._interruptible = InterruptibleCall()

    def start(self, timeout: float) -> None:
        """Make producers if there are none, which ends what others of the same ids left open. Raises KafkaException."""
        if not self._producers:
            made = [Producer({**self._config, "transactional.id": name}) for name in self._ids]
            for producer in made:
                producer.init_transactions(timeout)
                producer.poll(0)  # what went wrong on the way here is over
            self._brokers = self._seen(made[0], timeout)
            self._producers.extend(made)
            self._lost = False

    def missing(self, topics: Iterable[str]) -> list[str]:
        """Those of these topics that the cluster does not have. Raises KafkaException."""
        there = self._producers[0].list_topics(timeout=self._timeout).topics
        unknown = KafkaError.UNKNOWN_TOPIC_OR_PART  # other errors pass, as while a leader is elected
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

    def send(self, outputs: Sequence[Output], track: Iterable[str] = ()) -> None:
        """Hand records to the sender; the offset of the last one of each topic in `track` will be in `offsets`."""
        produce: Callable[..., None] = self._producers[0].produce
        tracked = _last_of(outputs, track)
        try:
            for index, (topic, value, key, partition, headers) in enumerate(outputs):
                callback = self._delivered if index in tracked else None
                produce(topic, value, key, partition, callback, None, 0, headers)
        except BufferError as error:  # it holds ten million records or a gigabyte
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
            # it heeds its own timeout as long as the group's coordinator is known: librdkafka's issues 5456 and 5511
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
        """Throw away what was sent since `begin`; after a doubt, the producers too."""
        if not self._open:
            return
        self._open = False
        try:
            self._producers[0].abort_transaction(5)
        except KafkaException as error:
            log.warning("transaction not aborted; the producers are made anew", error=str(error))
            self.drop()

    def drop(self) -> None:
        """Close the producers. The next `start` fences them, and so decides what became of their transactions."""
        self._open = False
        while self._producers:
            producer = self._producers.pop()
            producer.purge(True, True, True)
            with suppress(KafkaException):  # that of a fatal error, which is why it is dropped
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
