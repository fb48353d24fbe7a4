"""The editions of one component on this worker: a thread, a consumer and producers of their own, apart from main's.

An edition is run where main's partition of the same number is. Its inputs are assigned by hand, so that no edition that
comes or goes causes a rebalance; its transactions hold nothing of main's, so that none can put main in doubt.
"""

import threading
import time
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from functools import partial

import structlog
from confluent_kafka import Consumer, KafkaException, Message

from headrace.schemas.record import Record
from headrace.streams.clock import backoff
from headrace.streams.editions.record import Edition
from headrace.streams.observability.metrics import Metrics
from headrace.streams.observability.tracing import Tracing
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.edition_topics import EditionTopics, Known
from headrace.streams.runtime.inputs import Inputs
from headrace.streams.runtime.lanes import Lanes, RunningEdition
from headrace.streams.runtime.membership import Membership
from headrace.streams.runtime.partition import Interrupted, Partition
from headrace.streams.runtime.positions import PositionsUnfit
from headrace.streams.runtime.processor import Alert, Processor, TopicsMissing
from headrace.streams.runtime.suspects import Suspects, in_file
from headrace.streams.runtime.timers import Timers
from headrace.streams.runtime.transaction import Transaction
from headrace.streams.state.edition_part import editions_in, remove_edition
from headrace.streams.state.messages import to_record
from headrace.streams.state.rocksdb import PartitionStore
from headrace.streams.steps.store import StoreFailed

log = structlog.get_logger()
_IDLE = 0.05  # seconds that a partition that is given back may have to wait, while nothing is handled
_ENDS_INTERVAL = 1.0
_LOOK_INTERVAL = 3.0


class NoEditions:
    """For components that run none."""

    def live(self) -> Mapping[str, Edition]:
        return {}

    def topics(self) -> Set[str]:
        return frozenset()


class Editions:
    """Runs the editions that the registry names, for the partitions that main has READY."""

    def __init__(
        self,
        config: ComponentConfig,
        main: Assignment,
        membership: Membership,
        known: Known,
        behind: Callable[[], bool],
        metrics: Metrics,
        tracing: Tracing,
        alert: Alert,
    ) -> None:
        """`behind` says whether main has more to do than it can do at once; then editions wait."""
        self._config, self._main, self._membership = config, main, membership
        self._known, self._behind = known, behind
        self._metrics, self._tracing, self._alert = metrics, tracing, alert
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._running: dict[str, RunningEdition] = {}
        self._handover = threading.Condition()
        self._taken: set[int] = set()
        """Numbers of partitions whose lanes run, or are restored."""
        self._recalled: set[int] = set()
        """Those of them that main's thread is waiting for."""
        self._given_back: dict[int, tuple[Partition, int]] = {}
        """Main's partitions, with their generation, that are being changed: they are not taken until they are anew."""
        self._lost: set[int] = set()
        """Numbers that main did not go on waiting for: nothing may be committed for them."""
        self._next_ends = self._next_look = 0.0
        self._gone: set[tuple[str, str]] = set()
        """Ids of editions, with topics of theirs that were not there when they were last looked for.

        By id, since another edition may have had the same name, and so the same topics.
        """
        self._topics = EditionTopics(config, known)
        self._attempt = 0
        main.before_change = self.release

    # ---- for main's thread

    def look(self) -> None:
        """Start, once there is an edition."""
        if self._thread is None and self._known.live():
            self._thread = threading.Thread(target=self._run, name=f"editions-{self._config.name}", daemon=True)
            self._thread.start()

    def release(self, numbers: set[int]) -> None:
        """End the lanes of partitions whose stores main is about to change; returns when they have ended."""
        with self._handover:
            for number in numbers:
                if (partition := self._main.partitions.get(number)) is not None:
                    self._given_back[number] = partition, partition.generation
            self._recalled |= numbers & self._taken
            for running in list(self._running.values()):
                for number in numbers & running.lanes.partitions.keys():
                    running.lanes.partitions[number].stop.set()
            seconds = self._config.settings.longest_transaction
            if not self._handover.wait_for(lambda: not numbers & self._taken, seconds):
                self._lost |= numbers & self._taken
                log.error("editions did not end in time", domain=self._config.name, partitions=sorted(self._lost))

    def close(self) -> None:
        """End all editions; returns when they have ended."""
        self.interrupt()
        if self._thread is not None:
            self._thread.join()

    # ---- for any thread

    def interrupt(self) -> None:
        """Stop waiting for anything; the worker is to end."""
        self._stop.set()
        for running in list(self._running.values()):
            running.stop.set()
            for lane in list(running.lanes.partitions.values()):
                lane.stop.set()

    @property
    def held(self) -> set[str]:
        """Ids of the editions that are run."""
        return set(self._running)

    def states(self) -> dict[str, str]:
        """By name of the edition: ready, restoring or stopped."""
        return {one.edition.name: self._state(one) for one in list(self._running.values())}

    def _state(self, one: RunningEdition) -> str:
        if one.stopped:
            return "stopped"
        ready = len(one.lanes.ready_partitions())
        return "ready" if not one.processor.in_doubt and ready == len(self._main.partitions) else "restoring"

    @property
    def kafka(self) -> Consumer:
        """The group's consumer, when something is committed under its membership."""
        if self._lost:
            raise Interrupted
        return self._membership.kafka

    # ---- the thread

    def _run(self) -> None:
        config = self._config
        self._inputs = Inputs(config, self._metrics, self._metrics.editions_lag)
        name = f"{config.group}.{config.instance}.editions"
        self._transaction = Transaction(config.settings, name, self._topics.make_written)
        attempt = 0
        while not self._stop.is_set():
            try:
                self._round()
                attempt = 0
            except Interrupted:
                self._begin_anew()
            except Exception:
                log.exception("editions are begun anew", domain=config.name)
                self._begin_anew()
                self._stop.wait(backoff(attempt))
                attempt += 1
        self._transaction.close()
        for running in list(self._running.values()):
            self._end(running)
        self._inputs.close()
        with self._handover:
            self._taken.clear()
            self._handover.notify_all()

    def _begin_anew(self) -> None:
        self._transaction.drop()
        for running in self._running.values():
            running.processor.in_doubt = True

    def _round(self) -> None:
        self._give_back()
        self._begin_and_end()
        at_work = [one for one in self._running.values() if not one.stopped]
        if not at_work:
            self._stop.wait(_IDLE)
            return
        if not self._recover(at_work):
            self._stop.wait(min(_IDLE, backoff(self._attempt)))
            return
        for one in at_work:
            self._guarded(one, self._start_lanes)
        if self._behind():
            self._stop.wait(_IDLE)
            return
        for one in at_work:
            self._guarded(one, lambda one: one.timers.fire_due())
        self._handle(self._inputs.poll(_IDLE))

    # ---- which editions there are, of which partitions

    def _give_back(self) -> None:
        with self._handover:
            recalled = set(self._recalled)
        if not recalled:
            return
        for running in self._running.values():
            running.lanes.close_partitions(recalled & running.lanes.partitions.keys())
            running.lanes.rewind(running.lanes.partitions)  # a batch may have been interrupted for this
        with self._handover:
            self._taken -= recalled
            self._recalled -= recalled
            self._lost -= recalled
            self._handover.notify_all()

    def _take(self, edition_ids: set[str]) -> None:
        for number, partition in self._main.ready_partitions().items():
            with self._handover:
                if number in self._taken or self._given_back.get(number) == (partition, partition.generation):
                    continue
                self._given_back.pop(number, None)
                self._taken.add(number)
            assert isinstance(partition.store, PartitionStore)
            for edition_id in editions_in(partition.store):
                if edition_id not in edition_ids and edition_id != self._config.settings.edition:
                    remove_edition(partition.store, edition_id)  # deleted while this worker was away

    def _begin_and_end(self) -> None:
        found, there = self._known.live(), self._known.topics()
        for one in [one for one in self._running.values() if one.lanes.config.absent & there]:
            self._end(self._running.pop(one.edition.id))  # it begins anew with the input that was made
        for edition_id in self._running.keys() - found.keys():
            running = self._running.pop(edition_id)
            self._end(running, drop=True)
            self._topics.forget(running.edition.name)
            log.info("edition ended", domain=self._config.name, edition=running.edition.name)
        self._take(set(found))
        new = [edition for edition_id, edition in found.items() if edition_id not in self._running]
        for edition in sorted(new, key=lambda edition: edition.created):  # a parent is older than its children
            if (made := self._made(edition)) is not None:
                self._running[edition.id] = made

    def _made(self, edition: Edition) -> RunningEdition | None:
        parent, there = self._parent(edition), self._known.topics()
        if parent is None or not there:
            return None
        needed = self._config.needed(edition.name)
        try:
            self._topics.make(edition.name, needed - there)
        except KafkaException as error:
            self._inputs.report(error.args[0])
            return None
        config, stop = self._config.branched(edition.name, edition.id, there | needed), threading.Event()
        if self._inputs.knows(config.inputs):  # of another edition of this name
            self._inputs.renew()
            for one in self._running.values():
                one.lanes.rewind(one.lanes.partitions)
        memory = in_file(config.folder.with_name(f"{config.folder.name}.{edition.id}.suspects"))
        suspects = Suspects(memory, config.inputs)
        lanes = Lanes(config, edition, parent, self._main, self._inputs, self._metrics, stop, suspects.waiting)
        processor = Processor(
            config, self._transaction, lanes, self, suspects, self._metrics, self._tracing, self._alert
        )
        return RunningEdition(edition, lanes, processor, Timers(lanes, processor.process), stop)

    def _parent(self, edition: Edition) -> Assignment | Lanes | None:
        if edition.parent == self._config.settings.edition:
            return self._main
        return next((one.lanes for one in self._running.values() if one.edition.name == edition.parent), None)

    def _end(self, running: RunningEdition, *, drop: bool = False) -> None:
        running.stop.set()
        for lane in running.lanes.partitions.values():
            lane.stop.set()
        if drop:
            running.lanes.drop()
            folder = self._config.folder
            folder.with_name(f"{folder.name}.{running.edition.id}.suspects").unlink(missing_ok=True)
        else:
            running.lanes.close()

    def _start_lanes(self, running: RunningEdition) -> None:
        if numbers := running.lanes.startable() & self._taken:
            running.lanes.restore(numbers)
        if started := running.lanes.start_restored():
            running.processor.record_positions(started)

    # ---- one batch

    def _handle(self, messages: list[Message]) -> None:
        by_topic = {topic: one for one in self._running.values() for topic in one.lanes.config.inputs}
        batches: dict[RunningEdition, list[Record]] = {}
        for record in [*map(to_record, messages), *self._inputs.unreadable]:
            one = by_topic.get(record.topic)
            if one is not None and not one.stopped and record.partition in one.lanes.ready_partitions():
                batches.setdefault(one, []).append(record)
        for one, records in batches.items():
            self._guarded(one, partial(_process, records))
        for record in self._inputs.unreadable:
            by_topic[record.topic].lanes.rewind([record.partition])
        self._inputs.unreadable.clear()
        for topic, number in list(self._inputs.out_of_range):
            by_topic[topic].lanes.restore({number})
        if not messages:
            self._record_ends()
        self._look_for_topics()

    def _record_ends(self) -> None:
        """When idle, commit the ends of the inputs, so that lag does not count the markers of transactions."""
        if time.monotonic() < self._next_ends:
            return
        self._next_ends = time.monotonic() + _ENDS_INTERVAL
        for one in self._running.values():
            ready = one.lanes.ready_partitions()
            ends = self._inputs.ended({number: partition.offsets for number, partition in ready.items()})
            if ends:
                one.processor.record_positions([ready[number] for number in {n for _, n in ends}], ends)

    def _look_for_topics(self) -> None:
        """Stop editions whose topics were deleted.

        They are looked for twice: a broker that begins does not know all topics yet, nor does the last look know those
        that were just made.
        """
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_INTERVAL
        there, before = self._known.topics(), self._gone
        needed = {
            (edition_id, topic): one
            for edition_id, one in self._running.items()
            for topic in one.lanes.config.identified
        }
        self._gone = {place for place in needed if place[1] not in there}
        for place in self._gone & before:
            self._stopped(needed[place], f"its topic {place[1]} was deleted")

    # ---- when something goes wrong

    def _guarded(self, one: RunningEdition, do: Callable[[RunningEdition], object]) -> None:
        """Do something for an edition; what goes wrong in it stops this edition alone."""
        try:
            do(one)
        except StoreFailed as error:
            one.processor.repair(error)
        except (PositionsUnfit, TopicsMissing) as error:
            self._stopped(one, str(error))

    def _recover(self, at_work: list[RunningEdition]) -> bool:
        """Whether no transaction is in doubt; one is while brokers are unreachable."""
        for one in at_work:
            if one.processor.in_doubt:
                try:
                    self._guarded(one, lambda one: one.processor.recover())
                except KafkaException as error:
                    self._inputs.report(error.args[0])
                    self._attempt += 1
                    return False
        self._attempt = 0
        return True

    def _stopped(self, one: RunningEdition, why: str) -> None:
        if one.stopped:
            return
        one.stopped = why
        with suppress(StoreFailed):
            one.lanes.close_partitions(set(one.lanes.partitions))
        log.error("an edition is stopped; main goes on", domain=self._config.name, edition=one.edition.name, why=why)


def _process(records: list[Record], one: RunningEdition) -> None:
    one.processor.process_input(records)
