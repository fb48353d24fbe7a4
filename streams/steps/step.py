"""What the steps of all kinds of components share: a batch, a savepoint per record, dead letters.

A step reads in the order of the data: record → decode → decide → apply → stage. Committing is the caller's: the
runtime does it with a Kafka transaction, the test driver in memory.
"""

from collections.abc import Callable, Iterable, Sequence

from headrace.schemas.changelog import POSITIONS, results_key
from headrace.schemas.headrace_v1_pb2 import CommandResults
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Batch, Output, Written
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.dead_letters import DeadLetters
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.store import Staged, Store, StoreFailed


class Step:
    """One component in one partition of one edition.

    `handle` each record, send off `outputs` (and empty it) whenever convenient, then `finish` for what the store
    must take. After a commit call `committed`, after an abort `rolled_back`.
    """

    looks_ahead = False
    """Whether `ahead` does anything."""
    raises = False
    """Whether what would make a dead letter is raised: for tests, which show it as it is."""

    of_the_process: tuple[type[BaseException], ...] = (StoreFailed, MemoryError, KeyboardInterrupt)
    """Errors that would come for any record, or are no record's doing. A person's Ctrl-C comes in the main thread only;
    in another one, where the runtime has handlers, a `KeyboardInterrupt` is a handler's own."""

    def __init__(self, component: str, name: str, store: Store, context: StepContext) -> None:
        """`component` is how it is called in dead letters and rejections, `name` what its topics are named by."""
        self.batch = Batch(store)
        self._component, self._store, self._context = component, store, context
        self._snapshots_topic = context.names.topic(context.edition, name, "snapshots")
        self._envelope = Envelope(name, context)
        self._dead_letters = DeadLetters(component, name, self.batch, context, self._envelope)

    @property
    def outputs(self) -> list[Output]:
        """Records to produce; the caller takes them out."""
        return self.batch.outputs

    @property
    def enforce_state_size(self) -> bool:
        """Whether to look at the state's size after each record, so that one too large is the fault of its record."""
        return self.batch.enforce_state_size

    @enforce_state_size.setter
    def enforce_state_size(self, on: bool) -> None:
        self.batch.enforce_state_size = on

    # ---- records

    def ahead(self, records: Sequence[Record]) -> None:
        """Look at all records of a batch before its transaction begins: a step that asks another process does so here.

        It stages nothing. What it raises is raised for the whole batch, so what concerns one record must wait until
        that record is handled.
        """

    def handle(self, record: Record) -> None:
        """Stage whatever one record leads to: all of it or, if anything fails, nothing but a dead letter."""
        self._all_or_nothing(record, self.attempt)

    def attempt(self, record: Record) -> None:
        """Stage what a record leads to; raises whatever is wrong with it, with some of it staged."""
        raise NotImplementedError

    def due(self, now: int) -> Iterable[Record]:
        """Time-outs that have come by `now`, in milliseconds, each to be given to `fire`."""
        return ()

    def fire(self, record: Record) -> None:
        """Bring a time-out that is due."""
        raise NotImplementedError

    def refuse(self, record: Record, error: Exception, *, whole: bool = True) -> None:
        """Send a record to the dead letters unhandled; by reference where it is too large to be kept `whole`."""
        if whole:
            self._fail(record, error)
        else:
            self.batch.count("failed")
            self._dead_letters.add(record, error, whole=False)

    def _all_or_nothing(self, record: Record, attempt: Callable[[Record], bool | None]) -> bool:
        """What an attempt at a record answers; False if it fails: then nothing stays of it but a dead letter.

        What is to survive a failure, such as the settlement of the dead letter that a record is sent again for, is
        staged before.
        """
        savepoint = self.batch.savepoint()
        try:
            return attempt(record) is not False
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            if self.raises or isinstance(error, self.of_the_process):
                raise
            self.batch.rollback(savepoint)
            self._fail(record, error)
            return False

    def _fail(self, record: Record, error: BaseException) -> None:
        self._fail_for_good(record, error)

    def _fail_for_good(self, record: Record, error: BaseException) -> None:
        """Keep a record for a person, and count it."""
        self.batch.count("failed")
        self._dead_letters.add(record, error)

    def _forward(self, record: Record, right: int) -> None:
        """A foreign producer's partitioner put it here; its own partition's writer is to handle it."""
        self.batch.count("forwarded")
        self.outputs.append((record.topic, record.value, record.key, right, list(record.headers.items())))

    # ---- the end of a batch

    def record_positions(self, positions: bytes) -> None:
        """Stage how far the batch brings the component in its inputs, as `headrace.v1.Positions`."""
        self.batch.set_entry(POSITIONS, positions)

    def finish(self, now: int) -> Staged:
        """Stage what concerns the batch as a whole; returns what the store must take once it is committed.

        `now`, in milliseconds, dates the results of commands, so that they can be forgotten later.
        """
        staged, outputs, partition = self.batch.staged, self.outputs, self._context.partition
        for key, entry in staged.entries.items():
            outputs.append((self._snapshots_topic, entry, key, partition, None))
        for old in self._store.expired(now):
            staged.forgotten.append(old)
            outputs.append((self._snapshots_topic, None, old, partition, None))
        if staged.results:
            # last of the batch in this partition: its offset tells how far the store has come
            staged.results_key = results_key(now, next(iter(staged.results)))
            value = CommandResults(keys=staged.results.keys(), values=staged.results.values()).SerializeToString()
            outputs.append((self._snapshots_topic, value, staged.results_key, partition, None))
        return staged

    def committed(self) -> Written:
        """The batch is committed; its counts."""
        written = self.batch.written()
        self.batch.clear()
        return written

    def rolled_back(self) -> None:
        """The batch does not stand: forget all that it did."""
        self.batch.clear()
