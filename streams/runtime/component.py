"""One component on this worker: connects its inputs, its processor, its group membership and its time-outs."""

import threading
import time
from collections.abc import Sequence

import structlog
from confluent_kafka import KafkaException, Message

from headrace.streams.clock import backoff
from headrace.streams.observability.metrics import Metrics
from headrace.streams.observability.tracing import Tracing
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.editions import Editions, Found
from headrace.streams.runtime.inputs import Inputs
from headrace.streams.runtime.membership import Membership
from headrace.streams.runtime.positions import PositionsUnfit
from headrace.streams.runtime.processor import Alert, Processor, TopicsMissing
from headrace.streams.runtime.suspects import Suspects, in_file
from headrace.streams.runtime.timers import Timers
from headrace.streams.runtime.transaction import Transaction
from headrace.streams.state.messages import to_record
from headrace.streams.steps.store import StoreFailed

log = structlog.get_logger()
_ENDS_INTERVAL = 1.0  # seconds between two commits of positions alone


class Component:
    """The host calls `poll`, then `process` with the batch, in a loop. Methods are for one thread, except the last."""

    def __init__(
        self,
        config: ComponentConfig,
        metrics: Metrics,
        tracing: Tracing,
        alert: Alert,
        found: Found = dict,
    ) -> None:
        """`found` gives the editions that there are, by id."""
        self.name = config.name
        self._metrics = metrics
        self._stop = threading.Event()
        self._inputs = Inputs(config, metrics)
        suspects = Suspects(in_file(config.folder.with_name(f"{config.folder.name}.suspects")), config.inputs)
        for one in suspects.found:
            log.warning("the worker ended while it handled this", domain=config.name, **one._asdict())
        self._assignment = Assignment(config, self._inputs, metrics, self._stop, suspects.waiting)
        self._membership = Membership(config, self._assignment, self._stop, self._inputs.report)
        self._processor = Processor(
            config,
            Transaction(config.settings, f"{config.group}.{config.instance}"),
            self._assignment,
            self._membership,
            suspects,
            metrics,
            tracing,
            alert,
        )
        self._behind = False
        self._editions = Editions(
            config, self._assignment, self._membership, found, lambda: self._behind, metrics, tracing, alert
        )
        timers = Timers(self._assignment, self._processor.process)
        self._fire_due = timers.fire_due if config.has_timers else lambda: None
        self._batch = config.settings.batch
        self._longest = config.settings.longest_transaction
        self._attempt = 0
        self._next_ends = 0.0
        self.failure: PositionsUnfit | StoreFailed | None = None
        """The error that ended it, and that a person has to correct."""

    def poll(self, timeout: float) -> list[Message]:
        """The next batch; empty when nothing came for `timeout` seconds."""
        try:
            return self._poll(timeout)
        except StoreFailed as error:  # time-outs and expired results are read from the store here
            self._repair(error)
            return []
        except PositionsUnfit as error:
            self.failure = error
            raise

    def _poll(self, timeout: float) -> list[Message]:
        if self._membership.failure is not None:
            self._membership.join_again()
            return []
        if self._processor.in_doubt and not self._recover(timeout):
            return []
        if started := self._assignment.start_restored():
            self._processor.record_positions(started)
            return []
        if self._inputs.unreadable:  # what came before them is handled by now
            self._pass_unreadable()
        self._fire_due()
        self._editions.look()
        at_work = bool(self._assignment.ready_partitions())
        self._membership.serve(0 if at_work else timeout)
        messages = self._inputs.poll(timeout if at_work else 0)
        self._behind = len(messages) == self._batch
        if not messages and at_work and not self._inputs.unreadable:
            self._record_ends()
        if self._inputs.out_of_range:
            self._assignment.restore({number for _, number in self._inputs.out_of_range})
            ready = self._assignment.ready_partitions()
            return [message for message in messages if message.partition() in ready]
        return messages

    def process(self, messages: Sequence[Message]) -> None:
        """Handle a batch in one transaction. Afterwards it is committed, or its records will be read again."""
        try:
            self._processor.process_input([to_record(message) for message in messages])
        except StoreFailed as error:
            self._repair(error)

    def _repair(self, error: StoreFailed) -> None:
        try:
            self._processor.repair(error)
        except StoreFailed:
            self.failure = error
            raise

    def _pass_unreadable(self) -> None:
        """Write dead letters for records that cannot be read, by their offsets only, and continue behind them."""
        ready = self._assignment.ready_partitions()
        found = {(record.topic, record.partition, record.offset): record for record in self._inputs.unreadable}
        self._inputs.unreadable.clear()
        records = [record for record in found.values() if record.partition in ready]
        self._processor.process_input(records)
        self._assignment.rewind({record.partition for record in records})

    def _record_ends(self) -> None:
        """When idle, commit the ends of the inputs, so that lag does not count the markers of transactions."""
        if time.monotonic() < self._next_ends:
            return
        self._next_ends = time.monotonic() + _ENDS_INTERVAL
        ready = self._assignment.ready_partitions()
        ends = self._inputs.ended({number: partition.offsets for number, partition in ready.items()})
        if ends:
            self._processor.record_positions([ready[number] for number in {n for _, n in ends}], ends)

    def _recover(self, timeout: float) -> bool:
        """Whether the outcome of the last transaction is settled; it is not while brokers are unreachable."""
        try:
            self._processor.recover()
        except (KafkaException, TopicsMissing) as error:
            if isinstance(error, KafkaException):
                self._inputs.report(error.args[0])
            elif self._attempt % 6 == 0:
                log.error(
                    "topics are missing; nothing is handled until `headrace topics create` has made them",
                    domain=self.name,
                    topics=str(error),
                )
            self._membership.serve(min(timeout, backoff(self._attempt)))
            self._attempt += 1
            return False
        self._attempt = 0
        return True

    def close(self) -> None:
        """Leave the group and close; the last batch must be committed."""
        self._editions.close()
        self._processor.close()
        self._stop.set()
        self._membership.close()
        self._assignment.close()
        self._inputs.close()

    # ---- for other threads

    def interrupt(self) -> None:
        """Stop waiting for anything; the worker is to end."""
        self._stop.set()
        self._editions.interrupt()

    @property
    def editions(self) -> dict[str, str]:
        """By name of each edition that is run here: ready, restoring or stopped."""
        return self._editions.states()

    @property
    def ready(self) -> bool:
        """Whether commands are handled: partitions are restored, no transaction is in doubt, brokers are reachable."""
        inputs = self._inputs
        return self._assignment.ready and not self._processor.in_doubt and not (inputs.brokers_away or inputs.missing)

    @property
    def stuck(self) -> bool:
        """Whether one record is handled for longer than a transaction may be open, so that nothing will come of it."""
        return self._processor.at_work_for > self._longest

    def update_gauges(self) -> None:
        """Set the gauges that are computed when metrics are read."""
        metrics, changelogs = self._metrics, self._assignment.restoration.changelogs
        metrics.ready.labels(self.name).set(self.ready)
        metrics.partitions.labels(self.name).set(len(self._assignment.partitions))
        metrics.restored.labels(self.name).set(changelogs.records)
        metrics.to_restore.labels(self.name).set(changelogs.remaining)
