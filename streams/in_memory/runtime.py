"""A whole topology in memory: the steps of production, topics that are lists, and a clock that is set.

Steps are made when a record comes for them, so that it costs nothing that a topology has many components.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from datetime import datetime, timedelta

from headrace.schemas.headers import Headers
from headrace.schemas.record import Record
from headrace.streams.in_memory.clock import Clock, due_next
from headrace.streams.in_memory.log import Log
from headrace.streams.in_memory.partition import MemoryPartition
from headrace.streams.in_memory.store import MemoryStore
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.store import Store
from headrace.topology.names import Names
from headrace.topology.partitioner import partition_of
from headrace.topology.topology import Topology

PartitionId = tuple[str, int]
"""Component and number."""
View = Callable[[str, MemoryStore], Store]
"""What a component's step sees of the store that it writes."""
_ENDLESS = 10_000  # records that one input may lead to; more means that components answer each other forever


class MemoryRuntime:
    """Runs one edition of a topology."""

    def __init__(
        self,
        topology: Topology,
        *,
        start: datetime,
        names: Names,
        edition: str,
        partitions: int = 1,
        check_purity: bool = False,
        view: View = lambda name, own: own,
    ) -> None:
        """With `check_purity`, handlers that change the state which they are given fail."""
        self.clock = Clock(start, self.run)
        self.log = Log()
        self.escalations: list[dict[str, str]] = []
        """Escalations that a person would have been told of, in order."""
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        """The outcomes of inputs, by component, as in a worker's metrics."""
        self.stores: dict[PartitionId, MemoryStore] = {}
        self.names, self.edition, self.partitions = names, edition, partitions
        self._check_purity, self._view = check_purity, view
        self._due: deque[Record] = deque()  # records on input topics that are not handled yet
        self._running = False
        self.deploy(topology)

    def deploy(self, topology: Topology) -> None:
        """Run a topology over the topics and stores that are there. A new component begins with what comes now."""
        self.topology = topology
        self.readers: dict[str, list[str]] = defaultdict(list)
        """The components that read a topic."""
        self._handlers: dict[PartitionId, MemoryPartition] = {}
        self._timed: list[tuple[str, MemoryPartition]] = []
        for name in topology.components:
            for topic in topology.inputs(name, self.names, self.edition):
                self.readers[topic].append(name)
        for name, number in self.stores:
            if name in topology.components and topology.component(name).has_timers:
                self.partition(name, number)

    def topic(self, component: str, kind: str) -> str:
        """Name of a topic of this edition."""
        return self.names.topic(self.edition, component, kind)

    def partition(self, name: str, number: int = 0) -> MemoryPartition:
        """A component in one partition."""
        place = name, number
        if (found := self._handlers.get(place)) is None:
            own = self.stores.setdefault(place, MemoryStore())
            context = StepContext(
                self.names,
                self.edition,
                number,
                self.partitions,
                reply_partitions=1,
                check_purity=self._check_purity,
                pause=lambda seconds: self.clock.advance(timedelta(seconds=seconds)),
            )
            step = make_step(self.topology, name, self._view(name, own), context)
            found = self._handlers[place] = MemoryPartition(step, own)
            if self.topology.component(name).has_timers:
                self._timed.append((name, found))
        return found

    def stores_of(self, name: str) -> list[MemoryStore]:
        """The stores of a component, by partition; those that nothing was written to may be missing."""
        return [store for place, store in sorted(self.stores.items(), key=lambda item: item[0]) if place[0] == name]

    def store(self, name: str, root: str) -> Store:
        """What the step of a root's partition sees."""
        number = partition_of(root.encode(), self.partitions)
        return self._view(name, self.stores.setdefault((name, number), MemoryStore()))

    def write(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | str | None,
        partition: int,
        headers: Headers,
        time: int | None = None,
    ) -> None:
        """Write a record, at the clock's time unless another is given in milliseconds; `run` has it handled."""
        at = self.clock.milliseconds if time is None else time
        entry = self.log.append(topic, value, key, partition, headers, at)
        if topic in self.readers:
            self._due.append(entry.record())

    def run(self) -> None:
        """Handle records until none is left; what they lead to may be input again."""
        if self._running:  # a step that waits lets time pass, which calls this again
            return
        self._running = True
        try:
            for _ in range(_ENDLESS):
                if self._due:
                    record = self._due.popleft()
                    for name in self.readers[record.topic]:
                        self._handle(name, self.partition(name, record.partition), record)
                elif not self._fire():
                    return
        finally:
            self._running = False
        raise RuntimeError(f"one input led to {_ENDLESS} records and no end; the last was {record}")

    def _fire(self) -> bool:
        """Deliver the time-outs that are due next in each process manager; whether there were any."""
        fired = False
        for name, partition in [*self._timed]:
            for record in due_next(partition.step, self.clock.milliseconds):
                fired = True
                self._handle(name, partition, record, timed=True)
        return fired

    def _handle(self, name: str, partition: MemoryPartition, record: Record, *, timed: bool = False) -> None:
        handled = partition.handle([record], self.clock.milliseconds, timed=timed)
        for topic, value, key, number, headers in handled.outputs:
            self.write(
                topic, value, key, number, headers or [], handled.recorded if topic.endswith(".events") else None
            )
        self.escalations.extend(handled.escalations)
        self.counts[name].update(handled.counts._asdict())
