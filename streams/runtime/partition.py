"""One partition of a component on this worker: its store, and a step for each edition."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headrace.streams.settings import Settings
from headrace.streams.state.restore import Task
from headrace.streams.state.rocksdb import EditionStore, PartitionStore, StoreError
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.step import Step
from headrace.topology.topology import Topology


class Interrupted(BaseException):
    """The worker stops while a step waits; its batch is not committed, and comes again."""


@dataclass(frozen=True, slots=True)
class ComponentConfig:
    """What all partitions of one component have in common."""

    topology: Topology
    word: str
    """The domain of an aggregate, the name of a saga."""
    settings: Settings
    folder: Path
    editions: Sequence[str]
    partitions: int
    reply_partitions: int
    counts: Mapping[str, int]
    """Partitions of each topic of the deployment."""
    max_bytes: int

    def topic(self, edition: str, kind: str) -> str:
        """A topic of this component."""
        return self.settings.names.topic(edition, self.word, kind)

    @property
    def restored(self) -> list[str]:
        """Kinds of topics that the component's store is made from."""
        spec = self.topology.component(self.word)
        return ["snapshots"] if spec.state is None else ["snapshots", "events"]

    @property
    def group(self) -> str:
        """The component's consumer group."""
        return f"{self.settings.prefix}headrace.{self.word}"

    @property
    def inputs(self) -> list[str]:
        """Topics that the component's consumer group reads."""
        return [t for edition in self.editions for t in self.topology.inputs(self.word, self.settings.names, edition)]

    def place(self, edition: str, partition: int, pause: Callable[[float], object]) -> StepContext:
        """Where the step of one edition and partition works."""
        return StepContext(
            names=self.settings.names,
            edition=edition,
            partition=partition,
            partitions=self.partitions,
            reply_partitions=self.reply_partitions,
            counts=self.counts,
            hop_limit=self.settings.hop_limit,
            pause=pause,
            max_bytes=self.max_bytes,
            check_purity=self.settings.check_purity,
            live_states=max(100, self.settings.live_states // self.partitions),
        )


@dataclass(slots=True)
class Partition:
    """One partition. It is `ready` when its store is restored and its input begins where the store ends."""

    plan: ComponentConfig
    partition: int
    stop: threading.Event
    ready: bool = False
    closed: bool = False
    restores: int = 0
    """Restores that were asked for and are not done; the last one says from where its input begins."""
    offsets: dict[str, int] = field(default_factory=dict)
    """Committed offset of each input topic, as found before the restore."""
    history: threading.Event = field(default_factory=threading.Event)
    """Set when the history holds all events that were there at the assignment, or at the last doubt: another one each
    time."""
    store: PartitionStore | None = None
    steps: dict[str, Step] = field(default_factory=dict)
    """By input topic."""
    views: dict[Step, EditionStore] = field(default_factory=dict)
    """What each step's store is."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held to open the store, which the restoring thread does, and to close it, which the engine's does."""

    def open(self) -> PartitionStore:
        """The store, opened when it is not yet. Raises StoreError once the partition is closed."""
        with self.lock:
            if self.closed:  # opened now, it would lock the files against the partition's next coming
                raise StoreError(f"partition {self.partition} was taken away")
            if self.store is None:
                self.store = PartitionStore(self.plan.folder / str(self.partition))
            return self.store

    def build(self) -> None:
        """Make the steps, once the store is restored."""
        assert self.store is not None
        for edition in self.plan.editions:
            view = self.store.edition(edition)
            view.keep_answers = int(self.plan.settings.answers_kept * 1000)
            view.complete_history = self._await_history
            place = self.plan.place(edition, self.partition, self.stop.wait)
            step = make_step(self.plan.topology, self.plan.word, view, place)
            self.views[step] = view
            for topic in self.plan.topology.inputs(self.plan.word, self.plan.settings.names, edition):
                self.steps[topic] = step

    def tasks(self, kind: str) -> list[Task]:
        """What to restore from the topics of a kind."""
        store = self.open()
        return [
            Task(store, store.edition(edition), self.plan.topic(edition, kind), self.partition)
            for edition in self.plan.editions
        ]

    def close(self) -> None:
        """Give the store's files free, and let nobody use them through this object again."""
        with self.lock:
            self.closed, self.ready = True, False
        self.history.set()
        if self.store is not None:
            self.store.close()

    def _await_history(self) -> None:
        while not self.history.wait(0.2):
            if self.stop.is_set():
                raise Interrupted
