"""Processes records, each batch in a transaction of its own: the happy path first, then what may go wrong."""

import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from confluent_kafka import KafkaException, TopicPartition

from headrace.schemas.headers import UNREADABLE
from headrace.schemas.record import Record, RecordError
from headrace.streams.clock import now_ms
from headrace.streams.observability.metrics import Metrics
from headrace.streams.observability.tracing import Tracing
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.membership import Membership
from headrace.streams.runtime.partition import Interrupted, Partition
from headrace.streams.runtime.transaction import CommitOutcomeUnknown, Transaction
from headrace.streams.steps.errors import HandlerError, RecordTooLarge, SnapshotTooLarge
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import StoreFailed

log = structlog.get_logger()
_SEND_EVERY = 200  # records after which outputs go to the producer, which sends while the step works
_START_TIMEOUT = 10.0
Alert = Callable[[dict[str, str]], None]
"""Tells a person of an escalation."""


class TopicsMissing(Exception):
    """Topics that the component writes to are gone: any record would fail, so none is handled until they are back."""

    def __init__(self, topics: Sequence[str]) -> None:
        super().__init__(", ".join(topics))


class Processor:
    """Steps records, commits what comes of them, and puts it into the stores. All methods are for one thread."""

    def __init__(
        self,
        config: ComponentConfig,
        transactional_id: str,
        assignment: Assignment,
        membership: Membership,
        metrics: Metrics,
        tracing: Tracing,
        alert: Alert,
    ) -> None:
        self._name, self._assignment, self._membership = config.name, assignment, membership
        self._partitions = assignment.partitions
        self._metrics, self._tracing, self._alert = metrics, tracing, alert
        metrics.doubts.labels(self._name)  # to be seen at zero, too
        self._transaction = Transaction(config.settings, transactional_id)
        self._store_topics = {config.topic(e, kind): kind for e in config.editions for kind in config.restored_kinds}
        """Kind of each topic that the stores are made from."""
        self._written, self._group = config.written, config.group
        self._longest = config.settings.transaction_timeout / 4
        """Seconds for which a transaction may be open while records are handled."""
        self._batch = self._most = config.settings.batch
        """Records in one transaction: at most ever, and now."""
        self._too_slow: dict[tuple[str, int, int], float] = {}
        """Seconds that records took which outlasted their transaction alone; they would do so again and again."""
        self._handling = 0.0
        """Seconds for which the last transaction's records were handled; what brokers take is no record's doing."""
        self._outlasted: dict[tuple[str, int], int] = {}
        """Offsets of records that did so once: the process may have been frozen, or events were waited for."""
        self.in_doubt = True
        """Whether it is unknown what became of the last transaction; at the start, of a predecessor's."""

    # ---- the happy path: step, flush, offsets, commit, store

    def process_input(self, records: Sequence[Record]) -> None:
        """Process a batch of input. Afterwards it is committed, or its records will come again.

        Records that are committed already are left out, whatever position the consumer had.
        """
        partitions = self._partitions
        if fresh := [r for r in records if r.offset >= partitions[r.partition].offsets[r.topic]]:
            self.process(fresh)

    def process(self, records: Sequence[Record]) -> bool:
        """Process records in one transaction: of input, or time-outs, which have negative offsets.

        Whether all of them are done with. If not, those of input come again, and nothing behind them may be processed.
        """
        if self.in_doubt:
            return False
        some = records[: self._most]
        self._look_ahead(some)
        try:
            done = self._transact(some)
            self._most = min(2 * self._most, self._batch)
            return self._leave(records[done:])
        except SnapshotTooLarge:
            self._abort()
            return self._process_carefully(records)
        except RecordTooLarge as error:
            self._abort()
            return self._divide(some, error) and self._leave(records[len(some) :])
        except CommitOutcomeUnknown as error:
            self._most = max(1, len(some) // 2)  # it may have been too much for its time
            if len(some) == 1 and self._handling > 3 * self._longest:  # it left no time for the brokers
                topic, partition, offset = _place(some[0])
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
        """Commit how far the inputs of these partitions are handled, for a restart and for tools that ask the group.

        `ends` are offsets that are further than the last records, by topic and partition.
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
        """One transaction: handle records, or refuse them; how many were, for a batch ends by time too.

        Brokers end a transaction that lasts, and the same batch would come again, and last as long, for ever.
        """
        started, self._handling = time.perf_counter(), 0.0
        self._transaction.begin()
        touched: dict[Step, Partition] = {}
        offsets: dict[tuple[str, int], int] = {}
        for number, record in enumerate(records, 1):
            partition = self._partitions[record.partition]
            step = partition.steps[record.topic]
            touched[step] = partition
            if self._too_slow and (seconds := self._too_slow.pop(_place(record), 0.0)):
                step.refuse(record, HandlerError(f"it took {seconds:.0f} s, and a transaction ends before"))
            elif refusal is not None:
                step.refuse(record, refusal, whole=whole)
            elif record.offset < 0:
                step.fire(record)
            elif UNREADABLE in record.headers:
                step.refuse(record, RecordError(record.headers[UNREADABLE].decode()), whole=record.value is not None)
            elif self._tracing.on:
                with self._tracing.span(self._name, self._group, record):
                    step.handle(record)
            else:
                step.handle(record)
            if record.offset >= 0:
                offsets[record.topic, record.partition] = record.offset + 1
            else:  # what is committed already: with it the broker refuses a worker that has lost the partition
                offsets |= {(topic, partition.number): max(0, offset) for topic, offset in partition.offsets.items()}
            if number % _SEND_EVERY == 0:
                self._send(touched)
            self._handling = time.perf_counter() - started
            if self._handling > self._longest:
                break
        self._commit(touched, offsets, started, number)
        return number

    def _leave(self, records: Sequence[Record]) -> bool:
        """Have records come again, in a batch of their own; time-outs do so by themselves. Whether there are none."""
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
            self._transaction.send(step.outputs, self._store_topics)
            step.outputs.clear()

    def _checkpoints(self, partition: Partition) -> dict[str, int]:
        """How far the store stands for its topics, once the batch is in it."""
        found: dict[str, int] = {}
        for topic, kind in self._store_topics.items():
            offset = self._transaction.offsets.get((topic, partition.number))
            if offset is not None and (kind == "snapshots" or partition.history.is_set()):
                found[topic] = offset + 1
        return found

    # ---- a batch that cannot be committed as a whole

    def _process_carefully(self, records: Sequence[Record]) -> bool:
        """A state outgrew its limit: check its size after each record, to find the one that did it."""
        for partition in self._partitions.values():
            for step in partition.stores:
                step.enforce_state_size = True
        return self.process(records)

    def _divide(self, records: Sequence[Record], error: Exception) -> bool:
        """The broker refuses one record of the batch: halve it until that one is alone, for the dead letters."""
        try:
            self._transaction.drop()  # librdkafka counts the refused records, and the broker does not
            self._transaction.start(_START_TIMEOUT)
            if len(records) == 1:
                try:
                    self._transact(records, error)
                except RecordTooLarge:  # the dead letter is, or the answer: by reference it always fits
                    self._abort()
                    self._transaction.drop()
                    self._transaction.start(_START_TIMEOUT)
                    self._transact(records, error, whole=False)
        except (RecordTooLarge, CommitOutcomeUnknown, KafkaException) as doubt:
            self._doubt(doubt)
            return False
        if (half := len(records) // 2) == 0:
            return True
        return self.process(records[:half]) and self.process(records[half:])

    def _abort(self) -> None:
        self._transaction.abort()
        self._roll_back()

    def _roll_back(self) -> None:
        for partition in self._partitions.values():
            for step in partition.stores:
                step.rolled_back()

    def repair(self, error: StoreFailed) -> None:
        """Roll back what is not committed, and make a damaged store anew; raises `error` if that is no use."""
        self._abort()
        self._assignment.repair(error)

    # ---- doubt, and recovery from it

    def _doubt(self, doubt: Exception) -> None:
        """It is unknown whether the transaction is committed; nothing is processed until `recover` has settled it."""
        log.warning("transaction in doubt; state is taken from Kafka anew", domain=self._name, error=str(doubt))
        self._metrics.doubts.labels(self._name).inc()
        self._roll_back()
        # Not aborted: what is still on its way could then come after the end of its transaction, with an epoch that is
        # good, and its offsets would be pending for ever. The producers that follow raise the epoch.
        self._transaction.drop()
        self.in_doubt = True

    def recover(self) -> None:
        """Make producers, whose start decides what became of the last transaction.

        What it wrote may be on the log, and not in a store or in memory: all partitions are restored. Raises
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


def _place(record: Record) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset
