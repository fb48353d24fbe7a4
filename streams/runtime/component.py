"""A component at work on this worker: take a batch, run the step, commit, put into the store."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.schemas.record import Record
from headrace.streams.observability.metrics import Metrics
from headrace.streams.observability.tracing import Tracing
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.partition import ComponentConfig, Interrupted, Partition
from headrace.streams.runtime.transaction import CommitOutcomeUnknown, Transaction
from headrace.streams.state.restore import backoff, now_ms
from headrace.streams.steps.errors import RecordTooLarge, SnapshotTooLarge
from headrace.streams.steps.step import Step

log = structlog.get_logger()
_DRAIN = 200  # records after which outputs go to the sender, so that it works while the step does
_TIMER_STEP = 0.05  # seconds between two looks for time-outs that are due
_COMPLAIN = 30.0  # seconds between two complaints about the same trouble


class Component:
    """One consumer, one transactional producer, one store a partition. All methods are for one thread."""

    def __init__(
        self,
        plan: ComponentConfig,
        instance: str,
        metrics: Metrics,
        tracing: Tracing,
        alarm: Callable[[dict[str, str]], None],
    ) -> None:
        settings = plan.settings
        self.plan, self.domain = plan, plan.word
        self.assignment = Assignment(plan)
        self._metrics, self._tracing, self._alarm = metrics, tracing, alarm
        metrics.doubts.labels(self.domain)  # to be seen at zero, too
        self._transaction = Transaction(settings, f"{plan.group}.{instance}")
        self._tracked = [plan.topic(e, kind) for e in plan.editions for kind in plan.restored]
        self._failure: Any = None
        """What ended the consumer for good, if anything did."""
        self._failures = 0
        """How often that came since partitions were assigned."""
        self._consumer = self._join()
        self._recovering = True
        self._attempt = 0
        self._complained = 0.0
        self._looked = 0.0
        self._timed = plan.topology.component(plan.word).has_timers
        self._next_look = 0.0
        self._away = False

    @property
    def ready(self) -> bool:
        """Whether commands are handled: partitions assigned and restored, no transaction in doubt, brokers there."""
        return self.assignment.ready and not self._recovering and not self._away

    # ---- take a batch

    def poll(self, timeout: float) -> list[Message]:
        """The next batch; empty when nothing came for `timeout` seconds. Serves assignments meanwhile."""
        if self._failure is not None:
            self._join_again()
            return []
        if self._recovering and not self._settle(timeout):
            return []
        self.assignment.start_restored(self._consumer)
        seen = self.assignment.revocations
        self._fire_due()
        first = self._consumer.poll(timeout)
        messages: list[Message] = []
        if first is not None:
            messages = [first, *self._consumer.consume(self.plan.settings.batch - 1, 0)]
        self._look_around()
        good = [m for m in messages if m.error() is None]
        if len(good) < len(messages):
            for error in (m.error() for m in messages if m.error() is not None):
                self._complain(error)
        if self._failure is not None:
            return []
        if seen != self.assignment.revocations or not self.assignment.ready:
            return self._still_ours(good)
        return good

    def _still_ours(self, messages: list[Message]) -> list[Message]:
        """What is left of a batch while partitions come and go; the rest is read again, here or elsewhere."""
        shards = self.assignment.shards
        return [m for m in messages if (shard := shards.get(m.partition() or 0)) is not None and shard.ready]

    def _settle(self, timeout: float) -> bool:
        """Get a working producer, which decides what became of the last transaction; then begin from Kafka's word."""
        try:
            self._transaction.start(10)
        except KafkaException as error:
            self._complain(error.args[0])
            message = self._consumer.poll(min(timeout, backoff(self._attempt)))
            if message is not None and message.error() is not None:
                self._complain(message.error())
            self._attempt += 1
            return False
        self._recovering, self._attempt = False, 0
        self.assignment.renew(self._consumer)
        return True

    # ---- the step, and its commit

    def process(self, messages: Sequence[Message]) -> None:
        """Handle a batch in one transaction. Afterwards it is committed, or its records will come again.

        What is committed already is left out, wherever the consumer thinks that it stands.
        """
        shards = self.assignment.shards
        records = [_record(message) for message in messages]
        if fresh := [r for r in records if r.offset >= shards[r.partition].offsets[r.topic]]:
            self._process(fresh)

    def _process(self, records: Sequence[Record]) -> None:
        if self._recovering:
            return
        try:
            self._transact(records)
        except SnapshotTooLarge:
            self._undo()
            for shard in self.assignment.shards.values():
                for step in shard.steps.values():
                    step.enforce_state_size = True
            self._process(records)
        except RecordTooLarge as error:
            self._undo()
            self._divide(records, error)
        except CommitOutcomeUnknown as doubt:
            self._doubt(doubt)
        except Interrupted:
            self._undo()

    def _transact(self, records: Sequence[Record], refusal: Exception | None = None) -> None:
        started = time.perf_counter()
        tracing = self._tracing
        self._transaction.begin()
        touched: dict[Step, Partition] = {}
        offsets: dict[tuple[str, int], int] = {}
        for number, record in enumerate(records, 1):
            shard = self.assignment.shards[record.partition]
            step = shard.steps[record.topic]
            touched[step] = shard
            if refusal is not None:
                step.refuse(record, refusal)
            elif record.offset < 0:
                step.fire(record)
            elif tracing.on:
                with tracing.span(self.domain, record.headers):
                    step.handle(record)
            else:
                step.handle(record)
            if record.offset >= 0:
                offsets[record.topic, record.partition] = record.offset + 1
            else:  # what is committed already: with it the broker refuses a worker that has lost the partition
                offsets |= {(topic, shard.partition): max(0, offset) for topic, offset in shard.offsets.items()}
            if number % _DRAIN == 0:
                self._drain(touched)
        self._commit(touched, offsets, started, len(records))

    def _commit(
        self, touched: dict[Step, Partition], offsets: dict[tuple[str, int], int], started: float, records: int
    ) -> None:
        now = now_ms()
        staged = [(step, shard, step.finish(now)) for step, shard in touched.items()]
        self._drain(touched)
        decided = time.perf_counter()
        self._transaction.commit([TopicPartition(t, p, o) for (t, p), o in offsets.items()], self._consumer)
        for (topic, partition), offset in offsets.items():
            self.assignment.shards[partition].offsets[topic] = offset
        for step, shard, writes in staged:
            shard.views[step].put(writes, self._checkpoints(shard))
            self._metrics.written(self.domain, step.committed())
            for escalation in writes.escalations:
                self._alarm(escalation)
            step.enforce_state_size = False
        self._metrics.batch(self.domain, records, decided - started, time.perf_counter() - decided)

    def _fire_due(self) -> None:
        """Bring time-outs that are due, in a transaction of their own."""
        if not self._timed or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _TIMER_STEP
        now, shards = now_ms(), self.assignment.shards.values()
        due = [record for shard in shards if shard.ready for step in shard.views for record in step.due(now)]
        if due:
            self._process(due)

    def _drain(self, touched: dict[Step, Partition]) -> None:
        for step in touched:
            self._transaction.send(step.outputs, self._tracked)
            step.outputs.clear()

    def _checkpoints(self, shard: Partition) -> dict[str, int]:
        """How far the store stands for its topics, once the batch is in it."""
        found: dict[str, int] = {}
        for edition in self.plan.editions:
            for kind in self.plan.restored:
                topic = self.plan.topic(edition, kind)
                offset = self._transaction.offsets.get((topic, shard.partition))
                if offset is not None and (kind == "snapshots" or shard.history.is_set()):
                    found[topic] = offset + 1
        return found

    def _divide(self, records: Sequence[Record], error: Exception) -> None:
        """Something in a batch makes the broker refuse it: halve it until that is alone, for the dead letters."""
        try:
            self._transaction.drop()  # librdkafka counts the refused records, and the broker does not
            self._transaction.start(10)
            if len(records) == 1:
                self._transact(records, error)
        except (RecordTooLarge, CommitOutcomeUnknown, KafkaException) as doubt:
            self._doubt(doubt)
        if (half := len(records) // 2) > 0:
            self._process(records[:half])
            self._process(records[half:])

    def _undo(self) -> None:
        self._transaction.abort()
        self._roll_back()

    def _roll_back(self) -> None:
        for shard in self.assignment.shards.values():
            for step in shard.steps.values():
                step.rolled_back()

    def _doubt(self, doubt: Exception) -> None:
        log.warning("transaction in doubt; state is taken from Kafka anew", domain=self.domain, error=str(doubt))
        self._metrics.doubts.labels(self.domain).inc()
        self._roll_back()
        # Not aborted: what is still on its way could then come after the end of its transaction, with an epoch that is
        # good, and its offsets would be pending for ever. The producers that follow raise the epoch.
        self._transaction.drop()
        self._recovering = True

    # ---- the group, and the end

    def _join(self) -> Consumer:
        consumer = Consumer(_group_config(self.plan, self._complain))
        consumer.subscribe(self.plan.inputs, on_assign=self._assigned, on_revoke=self._revoked)
        return consumer

    def _join_again(self) -> None:
        """Another consumer in place of one that has failed, as when the brokers have forgotten the group."""
        log.error("the consumer has failed; another one joins the group", domain=self.domain, error=str(self._failure))
        self._consumer.close()
        self.assignment.lose()
        self.assignment.stop.wait(backoff(self._failures))
        self._failure, self._failures = None, self._failures + 1
        self._consumer = self._join()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._failures = 0
        self.assignment.add(consumer, partitions)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.assignment.remove(consumer, partitions)

    def interrupt(self) -> None:
        """Tell the engine's thread, from another one, not to wait for anything any more."""
        self.assignment.stop.set()

    def close(self) -> None:
        """Leave the group and close; the last batch is committed already."""
        self._transaction.close()
        self.assignment.stop.set()
        self._consumer.close()
        self.assignment.close()

    # ---- trouble, and figures

    def _complain(self, error: Any) -> None:
        if error.code() == KafkaError._FATAL:
            self._failure = error
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._away = True
        if time.monotonic() - self._complained > _COMPLAIN:
            self._complained = time.monotonic()
            log.warning("waiting for the brokers", domain=self.domain, error=str(error))

    def _look_around(self) -> None:
        """Once in a while: whether brokers that were away are back, and how far behind this worker is."""
        if time.monotonic() - self._looked < (1 if self._away else 5):
            return
        self._looked = time.monotonic()
        if self._away:
            try:
                self._consumer.list_topics(self.plan.inputs[0], timeout=1)
                self._away = False
            except KafkaException:
                return
        lag = 0
        for place in self._consumer.position(self._consumer.assignment()):
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            lag += max(0, high - place.offset) if place.offset >= 0 and high >= 0 else 0
        self._metrics.lag.labels(self.domain).set(lag)
        self._metrics.to_restore.labels(self.domain).set(self.assignment.restorer.remaining)


def _record(message: Message) -> Record:
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
        dict(message.headers() or ()),  # type: ignore[arg-type]
    )


def _group_config(plan: ComponentConfig, complain: Any) -> dict[str, Any]:
    config = plan.settings.client(
        group_id=plan.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_min_bytes=1,
        queued_min_messages=20_000,
        max_poll_interval_ms=1_800_000,  # a read of history may have to wait until it is restored
    )
    config["error_cb"] = complain
    if plan.settings.group_protocol == "consumer":
        # range keeps partition p of all topics of a component on one worker
        config |= {"group.protocol": "consumer", "group.remote.assignor": "range"}
    else:
        config |= {"partition.assignment.strategy": "range", "session.timeout.ms": 10_000}
    return config
