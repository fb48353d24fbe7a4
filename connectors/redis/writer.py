"""Writes the documents of one projector to Redis: a loop that reads a batch and hands it to the script.

Where it goes on is Redis's word alone, partition by partition. Whenever anything is unexpected (Redis or the brokers
were away, a batch was refused, the topic is another one) it gives the partition up, asks Redis again, and goes on
there.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog
from confluent_kafka import KafkaError, KafkaException, Message

from headrace.connectors.redis.batch import Batch
from headrace.connectors.redis.confirmation import confirmations, unpack_kept
from headrace.connectors.redis.confirmer import Confirmer
from headrace.connectors.redis.connection import ERRORS
from headrace.connectors.redis.declaration import Redis, address
from headrace.connectors.redis.inputs import Member, Reader
from headrace.connectors.redis.keys import Keys
from headrace.connectors.redis.metrics import Metrics
from headrace.connectors.redis.position import Log, begun_anew_because
from headrace.connectors.redis.source import TopicMissing, describe, topic_id
from headrace.connectors.redis.store import Store
from headrace.schemas.headers import AWAITED
from headrace.streams.clock import backoff, now_ms
from headrace.streams.settings import Settings
from headrace.streams.state.messages import headers_of

log = structlog.get_logger()
_TROUBLE = (*ERRORS, KafkaException, TopicMissing)
_POLL = 0.2
_LOG_INTERVAL = 30.0  # seconds between two lines about the same trouble
_CHECK_INTERVAL = 10.0
_COMMIT_INTERVAL = 1.0
_TOUCH_INTERVAL = 5.0


@dataclass(slots=True)
class _Partition:
    """One that is being read."""

    log: Log
    next: int
    at: int
    loaded: bool
    at_end: bool = False
    """Whether all that was in the log is in Redis."""
    written: float = 0.0
    """When its position was last written, by the monotonic clock."""


class Writer:
    """The writer of one declaration. `run` is for one thread."""

    def __init__(self, settings: Settings, declared: Redis, metrics: Metrics, stop: threading.Event) -> None:
        """Raises AddressUnfit."""
        self.name = declared.component
        self.ready = False
        """Whether Redis has had all of the partitions that the group has assigned, and answers."""
        self._settings, self._metrics, self._stop = settings, metrics, stop
        self._topic = settings.names.topic(settings.edition, self.name, "documents")
        self._group = f"{settings.prefix}{settings.edition}.{self.name}.redis"
        keys = Keys(settings.prefix, settings.edition)
        self._store = Store(address(declared.url), keys, self.name, declared.expires)
        self._kind, self._confirms = declared.kind, declared.confirm
        self._confirmer: Confirmer | None = None
        self._reading: dict[int, _Partition] = {}
        self._uncommitted: dict[int, int] = {}
        self._noted = time.monotonic()
        self._checked = -_CHECK_INTERVAL
        self._complained: dict[str, float] = {}
        self._attempt = 0

    def run(self) -> None:
        """Read and write until stopped."""
        self._member = Member(self._settings, self._group, self._topic, self._report)
        self._reader = Reader(self._settings, self._group, self._topic, self._report)
        if self._confirms:
            self._confirmer = Confirmer(self._settings, self.name, self._kind, self._report)
        while not self._stop.is_set():
            try:
                self._turn()
            except _TROUBLE as error:
                self._complain("waiting for Redis" if isinstance(error, ERRORS) else "waiting for the brokers", error)
                self.ready = False
                self._give_up(list(self._reading))
                self._store.close()
                self._stop.wait(backoff(self._attempt))
                self._attempt += 1
            else:
                self.ready = self._is_ready()
        self._member.commit(self._uncommitted, wait=True)
        self._member.close()
        self._reader.close()
        self._store.close()

    def _turn(self) -> None:
        self._member.serve(0 if self._reading else _POLL)
        self._give_up(self._reading.keys() - self._member.partitions)
        self._check_topic()
        if new := self._member.partitions - self._reading.keys():
            self._place(new)
        if self._reading:
            self._write_all(self._reader.take(_POLL))
            self._touch()
            self._note()

    # ---- where to go on

    def _place(self, numbers: Iterable[int]) -> None:
        """Begin to read partitions where Redis says. What it has is dropped first if it is of no use any more."""
        held = {number: self._store.held(number) for number in numbers}
        logs = describe(self._settings, self._topic, held)
        why = {n: begun_anew_because(held[n].position, logs[n], now_ms()) for n in held}
        if anew := {number: held[number] for number, reason in why.items() if reason}:
            reasons = {number: why[number] for number in sorted(anew)}
            log.info("Redis gets partitions from their beginning", domain=self.name, reasons=reasons)
            self._store.begin_anew(anew, logs)
            self._metrics.begun_anew.labels(self.name).inc(len(anew))
            held |= {number: self._store.held(number) for number in anew}
        found = {number: each.position for number, each in held.items()}
        begun = {n: p for n, p in found.items() if p is not None and p.topic == logs[n].topic}
        if self._confirmer is not None:  # the writer before may not have told them
            self._confirmer.send([one for position in begun.values() for one in unpack_kept(position.awaited)])
        self._reading |= {n: _Partition(logs[n], p.next, p.at, p.loaded) for n, p in begun.items()}
        self._reader.begin({number: position.next for number, position in begun.items()})
        places = {number: position.next for number, position in sorted(begun.items())}
        log.info("partitions are read", domain=self.name, offsets=places)

    def _give_up(self, numbers: Iterable[int]) -> None:
        gone = list(numbers)
        self._reader.end(gone)
        for number in gone:
            del self._reading[number]
            self._uncommitted.pop(number, None)

    def _check_topic(self) -> None:
        """A group says nothing of a topic that is missing, and offsets do not tell one from another of its name."""
        if time.monotonic() - self._checked > _CHECK_INTERVAL:
            found = topic_id(self._settings, self._topic)
            self._checked = time.monotonic()
            if any(state.log.topic != found for state in self._reading.values()):
                self._give_up(list(self._reading))
                # librdkafka takes the leaders of a topic that was made anew for older ones than it knows
                self._reader.close()
                self._reader = Reader(self._settings, self._group, self._topic, self._report)

    # ---- writing

    def _write_all(self, messages: Sequence[Message]) -> None:
        batches: dict[int, Batch] = {}
        ended: set[int] = set()
        for message in messages:
            number, offset, error = message.partition() or 0, message.offset() or 0, message.error()
            if number not in self._reading:
                continue
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                self._on_error(number, error)
                continue
            if (batch := batches.get(number)) is None:
                begin = self._reading[number].next
                batch = batches[number] = Batch(begin, begin)
            if error is not None:
                batch.next = max(batch.next, offset)  # behind a transaction's markers, which are no records
                ended.add(number)
                continue
            batch.take(offset, message.key(), message.value(), message.timestamp()[1])
            if self._confirmer is not None and (awaited := headers_of(message).get(AWAITED)):
                batch.confirmations += confirmations(message.key() or b"", awaited, message.timestamp()[1])
            ended.discard(number)
            if batch.full:
                self._write(number, batches.pop(number), False)
        for number, batch in batches.items():
            if number in self._reading:
                self._write(number, batch, number in ended)

    def _write(self, number: int, batch: Batch, at_end: bool) -> None:
        state = self._reading[number]
        loaded = state.loaded or batch.next >= state.log.end
        state.at_end = at_end
        if batch.next == batch.begin and loaded == state.loaded and not self._is_due(state):
            return
        # a partition that is read from its beginning misses no deletion either, however old its records are
        batch.at = now_ms() if at_end else max(batch.at, state.at)
        if not self._store.write(number, state.log, batch, loaded):
            self._refused(number, batch)
            return
        state.next, state.at, state.loaded, state.written = batch.next, batch.at, loaded, time.monotonic()
        self._attempt = 0
        self._uncommitted[number] = batch.next
        self._metrics.documents.labels(self.name).inc(batch.records)
        if self._confirmer is not None and batch.confirmations:
            self._confirmer.send(batch.confirmations)

    def _refused(self, number: int, batch: Batch) -> None:
        """Another writer was here, or Redis was restored from an older copy."""
        held = self._store.held(number)
        where = {"domain": self.name, "partition": number, "batch": batch.begin, "redis": held.next.decode()}
        log.warning("Redis is elsewhere than this batch begins; nothing of it was written", **where)
        self._metrics.refused.labels(self.name).inc()
        self._give_up([number])

    def _touch(self) -> None:
        """What is at the end of its log says so now and then.

        By that it is known later that no deletion was missed; and a Redis that is away, or was restored from an older
        copy, is noticed while nothing is written.
        """
        for number, state in list(self._reading.items()):
            if state.at_end and self._is_due(state):
                self._write(number, Batch(state.next, state.next), True)

    @staticmethod
    def _is_due(state: _Partition) -> bool:
        return time.monotonic() - state.written > _TOUCH_INTERVAL

    # ---- what others are told

    def _note(self) -> None:
        """Commit the group's offsets, and count what is not read yet."""
        if time.monotonic() - self._noted < _COMMIT_INTERVAL:
            return
        self._noted = time.monotonic()
        if self._uncommitted:
            self._member.commit(self._uncommitted)
            self._uncommitted = {}
        lag = sum(max(0, self._reader.log_end(number) - state.next) for number, state in self._reading.items())
        self._metrics.lag.labels(self.name).set(lag)

    def _is_ready(self) -> bool:
        reading = self._reading
        return (
            self._member.joined
            and reading.keys() == self._member.partitions
            and all(state.loaded for state in reading.values())
        )

    def _on_error(self, number: int, error: KafkaError) -> None:
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.UNKNOWN_TOPIC_OR_PART):
            self._give_up([number])
        self._report(error)

    def _report(self, error: KafkaError) -> None:
        self._complain("waiting for the brokers", error)

    def _complain(self, what: str, error: object) -> None:
        now = time.monotonic()
        if now - self._complained.get(what, -_LOG_INTERVAL) >= _LOG_INTERVAL:
            self._complained[what] = now
            log.warning(what, domain=self.name, error=str(error))
