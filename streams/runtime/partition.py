"""One partition of a component in one edition on this worker: its lifecycle, its part of the store, and its step."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import Path

import structlog

from headrace.schemas.changelog import POSITIONS
from headrace.schemas.headrace_v1_pb2 import Positions
from headrace.streams.admin.identity import Identity
from headrace.streams.clock import now_ms
from headrace.streams.observability.metrics import Metrics
from headrace.streams.runtime.config import ComponentConfig
from headrace.streams.runtime.positions import pack_positions
from headrace.streams.state.edition_part import EditionPart
from headrace.streams.state.restore import StaleRestore, Task
from headrace.streams.state.rocksdb import LAYOUT, EditionStore, PartitionStore
from headrace.streams.state.topic_reader import Ends
from headrace.streams.steps.fork import Fork
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.step import Step
from headrace.streams.steps.store import Store, StoreFailed
from headrace.topology.cut import DomainCut

log = structlog.get_logger()
_REBUILDS = 3  # of one partition; after that the cause is probably outside, such as a failing disk


class Interrupted(BaseException):
    """The worker stops while a step waits; its batch is not committed, and will be read again."""


class PartitionState(Enum):
    """The lifecycle of a partition."""

    RESTORING = "restoring"
    """Its input is stopped while its store is brought to the end of the changelog."""
    READY = "ready"
    """Its input is handled."""
    CLOSED = "closed"
    """It was revoked; if it is assigned again, that is a new object."""


@dataclass(slots=True, eq=False)
class Partition:
    """One partition, of main or of another edition. All methods are for the thread of the engine that runs it.

    Each restore begins a new generation, and closing a partition ends the last one. Restoring threads use the store
    only through the `RestoreJob` of a generation, which raises StaleRestore once that generation is over.
    """

    config: ComponentConfig
    number: int
    stop: threading.Event
    """Set when the worker stops."""
    state: PartitionState = PartitionState.RESTORING
    generation: int = 0
    offsets: dict[str, int] = field(default_factory=dict)
    """Next offset to handle of each input topic."""
    identity: Identity = field(default_factory=Identity)
    """Ids of the cluster and topics to which the offsets belong."""
    steps: dict[str, Step] = field(default_factory=dict)
    """By input topic; empty unless READY."""
    stores: dict[Step, EditionStore] = field(default_factory=dict)
    """The part of the store that each step uses."""
    history: threading.Event = field(default_factory=threading.Event)
    """Set when the store has all events that were on the log when this generation's changelog was restored."""
    store: PartitionStore | EditionPart | None = None
    parent: "Partition | None" = None
    """The same partition of the edition from which this one was branched. Its store holds this one's part too."""
    cut: DomainCut = DomainCut()  # noqa: RUF009 (it is frozen)
    """Up to where the parent is seen; its moment is settled at the first start, see `_settle`."""
    rebuilt: int = 0
    """How often its store was damaged and rebuilt."""
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext
    """Entered while a record that is handled waits for the engine."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while the generation changes, and while a restoring thread uses the store."""

    @property
    def folder(self) -> Path:
        """The folder of its store."""
        return self.config.folder / str(self.number)

    def restore(self) -> "RestoreJob":
        """Begin a new generation, in which the partition's state is restored from Kafka."""
        with self.lock:
            self.generation += 1
            self.state = PartitionState.RESTORING
            self.history.clear()
            self.steps, self.stores = {}, {}
            return RestoreJob(self, self.generation)

    def start(self, offsets: Mapping[str, int], identity: Identity) -> None:
        """Make the steps, once the store is restored; their input begins at `offsets`."""
        assert self.store is not None
        self.offsets, self.identity = dict(offsets), identity
        for edition in self.config.editions:
            store = self.store.edition(edition)
            store.keep_results = int(self.config.settings.results_kept * 1000)
            store.complete_history = partial(self._await, self.history)
            context = self.config.step_context(edition, self.number, self.stop.wait)
            if self.parent is not None and self.cut.moment is None:  # the parent goes on: nothing inherited is kept
                context = replace(context, live_states=0)
            seen = store if self.parent is None else self._branched(store, self.parent)
            step = make_step(self.config.topology, self.config.name, seen, context)
            step.of_the_process = (StoreFailed, MemoryError)
            self.stores[step] = store
            self.steps |= dict.fromkeys(self.config.inputs_of(edition), step)
        self.state = PartitionState.READY

    def make_anew(self, error: StoreFailed) -> None:
        """Delete a store that is damaged; its next restore begins from nothing. Raises StoreFailed if it cannot be."""
        error.release()
        with self.lock:
            self.rebuilt += 1
            if self.store is not None:
                self.store.wipe()

    def positions(self, step: Step, ahead: Mapping[tuple[str, int], int]) -> bytes:
        """A step's positions in its inputs, packed; offsets in `ahead` replace those that are committed."""
        topics = (topic for topic, its in self.steps.items() if its is step)
        offsets = {topic: ahead.get((topic, self.number), self.offsets[topic]) for topic in topics}
        cut = None if self.parent is None else self.cut.moment
        return pack_positions(self.identity, self.config.partitions, offsets, step.recorded, cut)

    def close(self) -> None:
        """Close the store. The object cannot be used afterwards."""
        with self.lock:
            self.generation += 1
            self.state = PartitionState.CLOSED
            if self.store is not None:
                self.store.close()

    def _await(self, history: threading.Event) -> None:
        with self.waiting():
            while not history.wait(0.2):
                if self.stop.is_set():
                    raise Interrupted

    # ---- of an edition other than main

    def _branched(self, own: EditionStore, parent: "Partition") -> Store:
        seen = parent.seen_by(self._await)
        self.cut = _settled(self.cut, own, seen)
        return Fork(own, seen, self.cut)

    def seen_by(self, wait: Callable[[threading.Event], None]) -> Store:
        """This partition's store, for a child that reads it in another thread; `wait` waits for its history."""
        assert self.store is not None
        store = self.store
        own = store.reader() if isinstance(store, EditionPart) else store.reader(self.config.settings.edition)
        own.complete_history = partial(wait, self.history)
        return own if self.parent is None else Fork(own, self.parent.seen_by(wait), self.cut)


def _settled(cut: DomainCut, own: EditionStore, parent: Store) -> DomainCut:
    """The cut as this partition had it before or, at its first start, no later than what the parent has recorded.

    What the parent records from now on is later than all that it has recorded, and so outside.
    """
    if cut.moment is None:
        return cut
    before = Positions.FromString(own.entry(POSITIONS) or b"")
    return replace(cut, moment=before.cut if before.HasField("cut") else min(cut.moment, parent.recorded))


def rebuild(error: StoreFailed, partitions: Iterable[Partition], metrics: Metrics) -> None:
    """Delete the damaged store that `error` is about, if it is of one of these partitions.

    Raises StoreFailed if that would not help, or cannot be done: then a person has to act.
    """
    found = next((partition for partition in partitions if str(partition.folder) == error.folder), None)
    if not error.damaged or found is None or found.rebuilt >= _REBUILDS:
        raise error
    log.error("a store is damaged, and made anew from the log", domain=found.config.name, error=str(error))
    metrics.remade.labels(found.config.name).inc()
    found.make_anew(error)


def _open(partition: Partition) -> PartitionStore | EditionPart:
    if partition.parent is None:
        return PartitionStore(partition.folder)
    its = partition.parent.store
    if its is None:
        raise StaleRestore(f"partition {partition.number}: its parent has no store")
    return EditionPart(its.whole if isinstance(its, EditionPart) else its, partition.config.edition_id)


@dataclass(frozen=True, slots=True, eq=False)
class RestoreJob:
    """Restores a partition, as long as its generation is the latest; after that, its methods raise StaleRestore."""

    partition: Partition
    generation: int

    @property
    def current(self) -> bool:
        """Whether this is the latest restore, and the partition is not closed."""
        return self.generation == self.partition.generation

    @contextmanager
    def store(self) -> Iterator[PartitionStore | EditionPart]:
        """The partition's store, opened if necessary. While it is used, no other generation can begin."""
        partition = self.partition
        with partition.lock:
            if not self.current:  # opening it now would lock it, and its new owner could not open it
                raise StaleRestore(f"partition {partition.number} was taken away, or is restored anew")
            if partition.store is None:
                partition.store = _open(partition)
            yield partition.store

    def tasks(self, kind: str) -> list[Task]:
        """The tasks to read this partition of the topics of a kind."""
        config, number = self.partition.config, self.partition.number
        return [Task(self.store, edition, config.topic(edition, kind), number) for edition in config.editions]

    def discard_foreign(self, ends: Ends, identity: Identity) -> bool:
        """Empty the store if it is of other topics, or may have missed deletions; returns whether it was emptied."""
        config, number = self.partition.config, self.partition.number
        with self.store() as store:
            # a store in use is never emptied: this job's end offsets are out of date by then
            if self.partition.state is not PartitionState.RESTORING:
                return False
            tasks = [task for kind in config.restored_kinds for task in self.tasks(kind)]
            topics = (identity.topics.get(task.topic, "") for task in tasks)
            origin = LAYOUT + " ".join([identity.cluster, *topics]).encode()
            away = store.away(now_ms()) / 1000
            why = ""
            if any(store.checkpoint(task.topic) > ends[task.id][1] for task in tasks):
                why = "it is ahead of its topic"
            elif not store.origin.startswith(LAYOUT):
                why = "it is of another release, which kept other things"
            elif store.origin != origin:
                why = "it is of other topics, or of another cluster"
            elif away > config.tombstones_kept:
                why = f"it was away for {away:.0f} s, and topics keep deletions for {config.tombstones_kept:.0f} s"
            discarded = bool(why) and not store.is_new
            if discarded:
                log.warning("a store is made anew", domain=config.name, partition=number, why=why)
                store.wipe()
            store.origin = origin
            return discarded

    def complete_history(self) -> None:
        """Mark the history as restored, unless this job is stale."""
        with self.partition.lock:
            if self.current:
                self.partition.history.set()
