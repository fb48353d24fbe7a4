"""Partitions that come and go: committed offsets first, then the changelog to its end, then processing."""

import queue
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from headrace.streams.runtime.partition import ComponentConfig, Partition
from headrace.streams.state.restore import Restorer, backoff, discard_foreign, take_changelog, take_history

log = structlog.get_logger()
HANGS = "offsets of a transaction hang, and are taken as aborted; kafka-transactions.sh finds and ends it"
"""Said when input may be handled again; what sagas send for it has the ids that it had before."""
Wanted = tuple[Partition, threading.Event]
"""What to restore, and what to set once its history is there, too."""


class Assignment:
    """The shards of one component. All methods but the restoring, which has its own threads, are for one thread."""

    def __init__(self, plan: ComponentConfig) -> None:
        self.plan = plan
        self.shards: dict[int, Partition] = {}
        self.stop = threading.Event()
        self.restorer = Restorer(plan.settings, self.stop)
        self.revocations = 0
        """Counts calls to `remove`, so that a batch taken meanwhile is known to be stale."""
        self.joined = False
        """Whether the group has given this worker its partitions, were it none."""
        self._pending: float | None = None
        """Since when the committed offsets have been those of a transaction that is not over."""
        self._restored: queue.SimpleQueue[Partition] = queue.SimpleQueue()
        self._changelogs = ThreadPoolExecutor(1, f"restore-{plan.word}")
        self._histories = ThreadPoolExecutor(1, f"history-{plan.word}")

    @property
    def ready(self) -> bool:
        """Whether partitions were assigned, and each of them is restored."""
        return self.joined and all(shard.ready for shard in tuple(self.shards.values()))  # asked by other threads too

    def add(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Take over partitions: hold their input back and start to restore them.

        They are given some offset, and later `start_restored` seeks to the one that is committed. Without one
        librdkafka asks for it; if the group's coordinator is just coming back then, or a transaction hangs, it waits
        for the answer for ever, with the partition and with its revocation.
        """
        self.joined = True
        # a number, for librdkafka takes its time to look up even the beginning
        places = [TopicPartition(p.topic, p.partition, 0) for p in partitions]
        if self.plan.settings.group_protocol == "classic":
            consumer.assign(places)
        else:
            consumer.incremental_assign(places)
        self._begin(consumer, {p.partition for p in partitions}, consumer.assignment())

    def remove(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Let partitions go; the caller has no batch in hand."""
        self.revocations += 1
        gone = {p.partition for p in partitions}
        for number in gone:
            if shard := self.shards.pop(number, None):
                shard.close()
        log.info("partitions revoked", domain=self.plan.word, partitions=sorted(gone))
        # topics of one component move together, but not always in one step
        left = {(p.topic, p.partition) for p in partitions}
        self._begin(consumer, gone, [p for p in consumer.assignment() if (p.topic, p.partition) not in left])

    def lose(self) -> None:
        """Let all partitions go, with a consumer that is no member of the group any more."""
        self.revocations += 1
        self.joined = False
        for shard in self.shards.values():
            shard.close()
        self.shards.clear()

    def _begin(self, consumer: Consumer, numbers: set[int], held: Sequence[TopicPartition]) -> None:
        places = [p for p in held if p.partition in numbers]
        if not places:
            return
        consumer.pause(places)
        new = [Partition(self.plan, number, self.stop) for number in sorted({p.partition for p in places})]
        for shard in new:
            if old := self.shards.get(shard.partition):
                old.close()
            self.shards[shard.partition] = shard
            shard.restores += 1
        log.info("partitions assigned", domain=self.plan.word, partitions=[s.partition for s in new])
        self._changelogs.submit(self._restore, [(shard, shard.history) for shard in new])

    def renew(self, consumer: Consumer) -> None:
        """After a doubtful transaction: forget what memory holds, and take every partition's state from Kafka."""
        held = consumer.assignment()
        if held:
            consumer.pause(held)
        for shard in self.shards.values():
            shard.ready = False
            shard.restores += 1
            # What the doubtful transaction wrote may be on the log, and not in the store; and a restore of the history
            # that is in progress may not know of it, so that it is not for that one to say that all is there.
            shard.history = threading.Event()
            for step in shard.steps.values():
                step.rolled_back()
        self._changelogs.submit(self._restore, [(shard, shard.history) for shard in self.shards.values()])

    def start_restored(self, consumer: Consumer) -> None:
        """Let the input of restored partitions flow, from where their stores stand."""
        later: list[Partition] = []
        while not self._restored.empty():
            shard = self._restored.get()
            if self.shards.get(shard.partition) is not shard or shard.closed:
                continue
            if shard.restores > 1:  # another one was asked for since, and knows better from where to go on
                shard.restores -= 1
                continue
            if not shard.steps:
                shard.build()
            held = [p.topic for p in consumer.assignment() if p.partition == shard.partition]
            places = [TopicPartition(topic, shard.partition, shard.offsets[topic]) for topic in held]
            if not _sought(consumer, places):
                later.append(shard)
                continue
            consumer.resume(places)
            shard.ready, shard.restores = True, 0
            log.info("partition ready", domain=self.plan.word, partition=shard.partition)
        for shard in later:
            self._restored.put(shard)

    def close(self) -> None:
        """Stop restoring and close the stores."""
        self.stop.set()
        self._changelogs.shutdown(cancel_futures=True)
        for shard in self.shards.values():
            shard.history.set()
        self._histories.shutdown(cancel_futures=True)
        self.lose()

    # ---- in the restoring threads

    def _restore(self, wanted: Sequence[Wanted]) -> None:
        attempt = 0
        while wanted and not self.stop.is_set():
            wanted = [(s, history) for s, history in wanted if self.shards.get(s.partition) is s and not s.closed]
            try:
                self._restore_once(wanted)
                return
            except KafkaException as error:
                log.warning("restore waits for the brokers", domain=self.plan.word, error=str(error))
            except Exception:
                if not any(s.closed for s, _ in wanted):  # a store closed under our hands is no fault
                    log.exception("restore failed; tried again", domain=self.plan.word)
            self.stop.wait(backoff(attempt))
            attempt += 1

    def _restore_once(self, wanted: Sequence[Wanted]) -> None:
        shards = [shard for shard, _ in wanted]
        by_number = {shard.partition: shard for shard in shards}
        for place in self._committed(by_number):
            offset = place.offset if place.offset >= 0 else OFFSET_BEGINNING
            by_number[place.partition].offsets[place.topic] = offset
        changelogs = [task for s in shards for task in s.tasks("snapshots")]
        tasks = [task for s in shards for kind in self.plan.restored for task in s.tasks(kind)]
        ends = self.restorer.end_offsets(tasks)
        discard_foreign(tasks, ends)
        count = self.restorer.restore(changelogs, ends, take_changelog)
        log.info("changelog restored", domain=self.plan.word, partitions=len(shards), records=count)
        if self.stop.is_set():
            return
        if "events" not in self.plan.restored:
            for shard, history in wanted:
                history.set()
                self._restored.put(shard)
            return
        # events written from here on are put by the step itself
        ends = self.restorer.end_offsets(task for s in shards for task in s.tasks("events"))
        for shard in shards:
            self._restored.put(shard)
        self._histories.submit(self._restore_history, wanted, ends)

    def _committed(self, partitions: Iterable[int]) -> list[TopicPartition]:
        """Committed input offsets; waits for a transaction of the former owner that is being decided."""
        places = [TopicPartition(topic, number) for number in partitions for topic in self.plan.inputs]
        try:
            found = self._ask(places, "read_committed")
            self._pending = None
            return found
        except KafkaException as error:
            waits = error
        since, self._pending = self._pending or time.monotonic(), None
        found = self._ask(places, "read_uncommitted")  # raises when it is the brokers that are away
        self._pending = since
        # offsets that are pending longer are nobody's: their transaction is over
        patience = self.plan.settings.longest_transaction
        if time.monotonic() - since < patience:
            raise waits
        log.error(HANGS, group=self.plan.group, seconds=patience)
        return found

    def _ask(self, places: list[TopicPartition], isolation: str) -> list[TopicPartition]:
        """What the group has committed; without pending transactions, or after them.

        Asked by a consumer for this alone, which joins no group. Ours is being polled by another thread; and an admin
        client ends the whole process when the group's coordinator is on its way back (librdkafka's issue 5040).
        """
        settings = self.plan.settings
        asking = Consumer(
            settings.client(group_id=self.plan.group, enable_auto_commit=False, isolation_level=isolation)
        )
        try:
            found: list[TopicPartition] = asking.committed(places, 5)
        finally:
            asking.close()
        for place in found:
            if place.error:
                raise KafkaException(place.error)
        return found

    def _restore_history(self, wanted: Sequence[Wanted], ends: dict[tuple[str, int], tuple[int, int]]) -> None:
        restorer = Restorer(self.plan.settings, self.stop)
        for shard, history in wanted:
            attempt = 0
            while shard.history is history and not (shard.closed or history.is_set() or self.stop.is_set()):
                try:
                    restorer.restore(shard.tasks("events"), ends, take_history)
                    if not self.stop.is_set():
                        history.set()
                except Exception as error:
                    if not shard.closed:
                        log.warning("history waits", domain=self.plan.word, error=str(error))
                    self.stop.wait(backoff(attempt))
                    attempt += 1


def _sought(consumer: Consumer, places: Iterable[TopicPartition]) -> bool:
    """Whether the consumer goes on from there; False while it does not know its brokers yet."""
    try:
        for place in places:
            consumer.seek(place)
    except KafkaException as error:
        if error.args[0].code() != KafkaError._STATE:
            raise
        return False
    return True
