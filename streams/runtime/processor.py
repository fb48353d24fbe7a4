"""Processes records, each batch in its own transaction: first the usual case, then errors and recovery."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from headrace.schemas.headers import UNREADABLE
from headrace.schemas.record import Record, RecordError
from headrace.streams.clock import now_ms
from headrace.streams.observability.metrics import Metrics
from headrace.streams.observability.tracing import Tracing
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.partition import Interrupted, Partition
from headrace.streams.runtime.partitions import Partitions
from headrace.streams.runtime.suspects import ALL, Suspects, place
from headrace.streams.runtime.transaction import CommitOutcomeUnknown, Transaction
from headrace.streams.steps.errors import HandlerError, RecordTooLarge, SnapshotTooLarge
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import StoreFailed

log = structlog.get_logger()
_SEND_EVERY = 200  # records after which outputs go to the producer, which sends them while the step continues
_START_TIMEOUT = 10.0
Alert = Callable[[dict[str, str]], None]
"""Tells a person about an escalation."""


class Group(Protocol):
    """The group under whose membership offsets are committed."""

    @property
    def kafka(self) -> Consumer:
        """A member, or a former one whose offsets the broker then refuses."""


class TopicsMissing(Exception):
    """Topics that the component writes to are missing: any record would fail, so none is handled until they exist."""

    def __init__(self, topics: Sequence[str]) -> None:
        super().__init__(", ".join(topics))


class Processor:
    """Gives records to steps, commits the outputs, and updates the stores. All methods are for one thread."""

    def __init__(
        self,
        config: ComponentConfig,
        transaction: Transaction,
        partitions: Partitions,
        group: Group,
        suspects: Suspects,
        metrics: Metrics,
        tracing: Tracing,
        alert: Alert,
    ) -> None:
        self._name, self._assignment, self._membership = config.name, partitions, group
        self._partitions, self._suspects = partitions.partitions, suspects
        self._metrics, self._tracing, self._alert = metrics, tracing, alert
        metrics.doubts.labels(self._name)  # so that the metric exists while it is zero
        self._transaction = transaction
        self._store_topics = {config.topic(e, kind): kind for e in config.editions for kind in config.restored_kinds}
        """Kind of each topic that the stores are restored from."""
        self._written, self._group = config.written, config.group
        self._longest = config.settings.transaction_timeout / 4
        """Seconds for which a transaction may be open while records are handled."""
        self._batch = self._most = config.settings.batch
        """The most records in one transaction: by the settings, and at present."""
        self._too_slow: dict[tuple[str, int, int], float] = {}
        """Seconds that records took which alone outlasted their transaction, twice; they go to the dead letters."""
        self._began = self._handling = 0.0
        """When the last transaction began, and the seconds that handling its records took; without the brokers'."""
        self._outlasted: dict[tuple[str, int], int] = {}
        """Offsets of records that did so once: perhaps the process was frozen, or a handler waited for history."""
        self.in_doubt = True
        """Whether the outcome of the last transaction is unknown; at the start, that of a predecessor's."""

    @property
    def at_work_for(self) -> float:
        """Seconds for which the record at work has been handled; 0 where none is. May be asked by other threads."""
        return time.perf_counter() - self._began - self._handling if self._suspects.busy else 0.0

    # ---- the usual case: step, flush, offsets, commit, store

    def process_input(self, records: Sequence[Record]) -> None:
        """Process a batch of input. Afterwards it is committed, or its records will be read again.

        Records that are committed already are skipped, whatever position the consumer had.
        """
        partitions = self._partitions
        first = {record[:2]: record for record in reversed(records)}
        if any(record.offset < partitions[number].offsets[topic] for (topic, number), record in first.items()):
            records = [r for r in records if r.offset >= partitions[r.partition].offsets[r.topic]]
        if records:
            self.process(records)

    def process(self, records: Sequence[Record]) -> bool:
        """Process records: those of inputs, or time-outs, which have negative offsets; in one transaction, if possible.

        Returns whether all were processed. If not, records of inputs will be read again, and none behind them may be
        processed before.
        """
        end, done = time.perf_counter() + self._longest, True
        while done and records:
            count = self._suspects.together(records)
            done = self._process(records[:count])
            records = records[count:]
            if records and (not done or time.perf_counter() > end):
                return self._leave(records)
        return done

    def _process(self, records: Sequence[Record]) -> bool:
        """Process records in one transaction, or in smaller ones if that cannot be."""
        if self.in_doubt:
            return False
        some = records[: self._most]
        self._look_ahead(some)
        try:
            with self._suspects.alone(some):
                done = self._transact(some)
            self._most = min(2 * self._most, self._batch)
            return self._leave(records[done:])
        except SnapshotTooLarge:
            self._abort()
            return self._process_carefully(records)
        except RecordTooLarge as error:
            self._abort()
            done_all = self._divide(some, error)
            return self._leave(records[len(some) :]) and done_all
        except CommitOutcomeUnknown as error:
            self._most = max(1, len(some) // 2)  # perhaps it was too much for one transaction's time
            if len(some) == 1 and self._handling > 3 * self._longest:  # it left no time for the brokers
                topic, partition, offset = place(some[0])
                if self._outlasted.get((topic, partition)) == offset:
                    self._too_slow[topic, partition, offset] = self._handling
                self._outlasted[topic, partition] = offset
            self._doubt(error)
        except StoreFailed as error:
            self.repair(error)
        except Interrupted:
            self._abort()
        return False

    def record_positions(
        self, partitions: Sequence[Partition], ends: Mapping[tuple[str, int], int] | None = None
    ) -> None:
        """Commit how far the inputs of these partitions are handled, for a restart and for tools that show lag.

        `ends` are offsets behind the last records, by topic and partition.
        """
        if self.in_doubt:
            return
        try:
            self._transaction.begin()
            offsets = {(topic, p.number): offset for p in partitions for topic, offset in p.offsets.items()}
            offsets |= ends or {}
            self._commit({step: p for p in partitions for step in p.stores}, offsets, time.perf_counter(), 0)
        except CommitOutcomeUnknown as error:
            self._doubt(error)

    def _look_ahead(self, records: Sequence[Record]) -> None:
        """Show each step its records of the batch, if this component's steps look ahead."""
        if not records or not self._step(records[0]).looks_ahead:
            return
        batches: dict[Step, list[Record]] = {}
        for record in records:
            batches.setdefault(self._step(record), []).append(record)
        for step, batch in batches.items():
            step.ahead(batch)

    def _step(self, record: Record) -> Step:
        return self._partitions[record.partition].steps[record.topic]

    def _transact(self, records: Sequence[Record], refusal: Exception | None = None, *, whole: bool = True) -> int:
        """One transaction: handle records, or make them dead letters because of `refusal`. Returns their number.

        It may be smaller than that of `records`: the transaction is committed early before the brokers would end it,
        as the same batch would then be read again, and take too long again, forever.
        """
        started, now = time.perf_counter(), now_ms()
        self._began = started
        self._handling = 0.0
        self._transaction.begin()
        touched: dict[Step, Partition] = {}
        partitions, suspects = self._partitions, self._suspects
        ends = _ends(records)
        if refusal is None:
            suspects.begin({(t, p): (partitions[p].offsets[t], end) for (t, p), end in ends.items()})
        at, watched = suspects.at, suspects.any
        for number, record in enumerate(records, 1):
            partition = partitions[record.partition]
            step = partition.steps[record.topic]
            if step not in touched:
                step.begin(now)
                touched[step] = partition
            if self._too_slow and (seconds := self._too_slow.pop(place(record), 0.0)):
                step.refuse(record, HandlerError(f"it took {seconds:.0f} s, and a transaction ends before"))
            elif why := refusal or (suspects.refusal(record) if watched else None):
                step.refuse(record, why, whole=whole)
            elif record.offset < 0:
                at[0] = place(record)[2]
                step.fire(record)
            elif UNREADABLE in record.headers:
                step.refuse(record, RecordError(record.headers[UNREADABLE].decode()), whole=record.value is not None)
            elif self._tracing.on:
                at[0] = record.offset
                with self._tracing.span(self._name, self._group, record):
                    step.handle(record)
            else:
                at[0] = record.offset
                step.handle(record)
            if number % _SEND_EVERY == 0:
                self._send(touched)
            self._handling = time.perf_counter() - started
            if self._handling > self._longest:
                break
        if records[0].offset < 0:  # committed already; with them the broker refuses a worker that lost the partition
            offsets = {(t, p.number): max(0, offset) for p in touched.values() for t, offset in p.offsets.items()}
        else:
            offsets = ends if number == len(records) else _ends(records[:number])
            if number > 1:
                at[0] = ALL  # states are written now, which may be too much as well
        self._commit(touched, offsets, started, number)
        suspects.passed(records[:number], offsets)
        return number

    def _leave(self, records: Sequence[Record]) -> bool:
        """Have records read again, in the next batch (time-outs come again by themselves); whether there were none."""
        if left := {record.partition for record in records if record.offset >= 0}:
            self._assignment.rewind(left)
        return not records

    def _commit(
        self, touched: dict[Step, Partition], offsets: dict[tuple[str, int], int], started: float, records: int
    ) -> None:
        now = now_ms()
        for step, partition in touched.items():
            step.record_positions(partition.positions(step, offsets))
        staged = [(step, partition, step.finish(now)) for step, partition in touched.items()]
        self._send(touched)
        self._suspects.clear()  # from here on the brokers are waited for, and no record is to blame for how long
        decided = time.perf_counter()
        self._transaction.commit([TopicPartition(t, p, o) for (t, p), o in offsets.items()], self._membership.kafka)
        for (topic, number), offset in offsets.items():
            self._partitions[number].offsets[topic] = offset
        for step, partition, writes in staged:
            partition.stores[step].put(writes, self._checkpoints(partition))
            self._metrics.written(self._name, step.committed())
            for escalation in writes.escalations:
                self._alert(escalation)
            step.enforce_state_size = False
        if records:
            self._metrics.batch(self._name, records, decided - started, time.perf_counter() - decided)

    def _send(self, touched: Mapping[Step, Partition]) -> None:
        for step in touched:
            self._transaction.send(step.outputs, self._store_topics, step.recorded)
            step.outputs.clear()

    def _checkpoints(self, partition: Partition) -> dict[str, int]:
        """The store's checkpoints for its topics, once it has the batch."""
        found: dict[str, int] = {}
        for topic, kind in self._store_topics.items():
            offset = self._transaction.offsets.get((topic, partition.number))
            if offset is not None and (kind != "events" or partition.history.is_set()):
                found[topic] = offset + 1
        return found

    # ---- a batch that cannot be committed as a whole

    def _process_carefully(self, records: Sequence[Record]) -> bool:
        """Process records again after a state has grown above the limit, and check its size after each of them."""
        for partition in self._partitions.values():
            for step in partition.stores:
                step.enforce_state_size = True
        return self._process(records)

    def _divide(self, records: Sequence[Record], error: Exception) -> bool:
        """An output of the batch is too large: halve the batch until its record is alone, and make it a dead letter."""
        try:
            self._transaction.drop()  # librdkafka has counted records that the broker did not accept
            self._transaction.start(_START_TIMEOUT)
            if len(records) == 1:
                try:
                    self._transact(records, error)
                except RecordTooLarge:  # the dead letter, or the reply, is too large itself; without the input it fits
                    self._abort()
                    self._transaction.drop()
                    self._transaction.start(_START_TIMEOUT)
                    self._transact(records, error, whole=False)
        except (RecordTooLarge, CommitOutcomeUnknown, KafkaException) as doubt:
            self._doubt(doubt)
            return False
        if (half := len(records) // 2) == 0:
            return True
        if self._process(records[:half]):
            return self._process(records[half:])
        self._leave(records[half:])  # they may be of other partitions than what the first half has left
        return False

    def _abort(self) -> None:
        self._transaction.abort()
        self._roll_back()

    def _roll_back(self) -> None:
        self._suspects.clear()
        for partition in self._partitions.values():
            for step in partition.stores:
                step.rolled_back()

    def repair(self, error: StoreFailed) -> None:
        """Roll back what is not committed, and rebuild a damaged store; raises `error` if that would not help."""
        self._abort()
        self._assignment.repair(error)

    # ---- doubt, and recovery from it

    def _doubt(self, doubt: Exception) -> None:
        """Note that the transaction's outcome is unknown; nothing is processed until `recover` has settled it."""
        log.warning("transaction in doubt; state is taken from Kafka anew", domain=self._name, error=str(doubt))
        self._metrics.doubts.labels(self._name).inc()
        self._roll_back()
        # Not aborted: a request that is still on its way could then arrive after the transaction's end, with a valid
        # epoch, and its offsets would be pending forever. New producers raise the epoch.
        self._transaction.drop()
        self.in_doubt = True

    def recover(self) -> None:
        """Create producers, which settles the last transaction, and restore all partitions.

        They are restored because what the transaction wrote may be on the log, but not in a store or in memory. Raises
        KafkaException, TopicsMissing.
        """
        self._transaction.start(_START_TIMEOUT)
        if missing := self._transaction.missing(self._written):
            raise TopicsMissing(missing)
        self._assignment.restore(set(self._partitions))
        self.in_doubt = False

    def close(self) -> None:
        """Abort what is open and close the producers."""
        self._transaction.close()


def _ends(records: Sequence[Record]) -> dict[tuple[str, int], int]:
    """By topic and partition, the offset behind the last of these records; 0 for time-outs."""
    last = {record[:2]: record for record in records}
    return {place: record.offset + 1 for place, record in last.items()}
