"""What the steps of all kinds of components share: a batch, a savepoint per record, dead letters.

The code of a step follows the data: record → decode → decide → apply → stage. The caller commits: the runtime with a
Kafka transaction, the test driver in memory.
"""

from collections.abc import Callable, Iterable, Sequence

from headrace.schemas.changelog import POSITIONS, results_key
from headrace.schemas.headrace_v1_pb2 import CommandResults, Reply
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Batch, Output, Written
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.dead_letters import DeadLetters, error_text
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.reports import Reports
from headrace.streams.steps.store import Staged, Store, StoreFailed


class Step:
    """One component in one partition of one edition.

    Call `handle` for each record, send `outputs` (and empty it) at any time between records, then call `finish`, which
    returns what the store must write. Call `committed` after a commit, `rolled_back` after an abort.
    """

    looks_ahead = False
    """Whether `ahead` does anything."""
    raises = False
    """Whether to raise errors that would otherwise make a dead letter; for tests."""

    of_the_process: tuple[type[BaseException], ...] = (StoreFailed, MemoryError, KeyboardInterrupt)
    """Errors that would come for any record, or are no record's doing. A person's Ctrl-C comes in the main thread only;
    in another one, where the runtime has handlers, a `KeyboardInterrupt` is a handler's own."""

    def __init__(self, component: str, name: str, store: Store, context: StepContext) -> None:
        """`component` is its name in dead letters and rejections, `name` its name in topics."""
        self.batch = Batch(store)
        self._component, self._store, self._context = component, store, context
        self._snapshots_topic = context.names.topic(context.edition, name, "snapshots")
        self._envelope = Envelope(name, context)
        self._dead_letters = DeadLetters(component, name, self.batch, context, self._envelope)
        self._reports = Reports(component, name, self.batch, context, self._envelope)

    @property
    def outputs(self) -> list[Output]:
        """Records to produce; the caller removes them."""
        return self.batch.outputs

    @property
    def enforce_state_size(self) -> bool:
        """Whether to check the state's size after each record, so that the record that makes it too large fails."""
        return self.batch.enforce_state_size

    @enforce_state_size.setter
    def enforce_state_size(self, on: bool) -> None:
        self.batch.enforce_state_size = on

    @property
    def recorded(self) -> int:
        """Recorded time of the batch's events, in milliseconds: the timestamp of their records."""
        return self.batch.recorded

    # ---- records

    def begin(self, now: int) -> None:
        """Begin a batch whose events are recorded `now`, in milliseconds; at least 1 ms after those of the last batch.

        A batch that is not begun is recorded 1 ms after the last one.
        """
        self.batch.record_at(now)

    def ahead(self, records: Sequence[Record]) -> None:
        """Look at all records of a batch before its transaction begins: a step that asks another process does so here.

        It stages nothing. An error here fails the whole batch, so errors of one record must be raised when that record
        is handled.
        """

    def handle(self, record: Record) -> None:
        """Stage everything that a record leads to or, if anything fails, only a dead letter."""
        self._all_or_nothing(record, self.attempt)

    def attempt(self, record: Record) -> None:
        """Stage what a record leads to; on an error, a part of it may be staged."""
        raise NotImplementedError

    def due(self, now: int) -> Iterable[Record]:
        """Time-outs that are due by `now`, in milliseconds; each is to be given to `fire`."""
        return ()

    def fire(self, record: Record) -> None:
        """Deliver a time-out that is due."""
        raise NotImplementedError

    def refuse(self, record: Record, error: Exception, *, whole: bool = True) -> None:
        """Send a record to the dead letters unhandled; by reference where it is too large to be kept `whole`."""
        if whole:
            self._fail(record, error)
        else:
            self.batch.count("failed")
            self._dead_letters.add(record, error, whole=False)

    def _all_or_nothing(self, record: Record, attempt: Callable[..., bool | None], *more: object) -> bool:
        """What an attempt at a record, with `more`, returns; False if it fails: then only a dead letter remains of it.

        What must survive a failure, such as the settlement of the dead letter whose replay the record is, is staged
        before.
        """
        savepoint = self.batch.savepoint()
        try:
            return attempt(record, *more) is not False
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
        self._reports.add(record, status=Reply.FAILED, reason=error_text(error), code=type(error).__name__)

    def _forward(self, record: Record, right: int) -> None:
        """Write a record, which a client has put into the wrong partition, to the right one."""
        self.batch.count("forwarded")
        self.outputs.append((record.topic, record.value, record.key, right, [*record.all_headers]))

    # ---- the end of a batch

    def record_positions(self, positions: bytes) -> None:
        """Stage the component's positions in its inputs after the batch, as `headrace.v1.Positions`."""
        self.batch.set_entry(POSITIONS, positions)

    def finish(self, now: int) -> Staged:
        """Stage what concerns the whole batch; returns what the store must write once the batch is committed.

        `now`, in milliseconds, is the date of the results of commands, by which they are forgotten later.
        """
        self._reports.finish(now)
        staged, outputs, partition = self.batch.staged, self.outputs, self._context.partition
        staged.recorded = self.batch.recorded
        for key, entry in staged.entries.items():
            outputs.append((self._snapshots_topic, entry, key, partition, None))
        for old in self._store.expired(now):
            staged.forgotten.append(old)
            outputs.append((self._snapshots_topic, None, old, partition, None))
        if staged.results:
            # last of the batch in this partition: its offset says what the store has reached
            staged.results_key = results_key(now, next(iter(staged.results)))
            value = CommandResults(keys=staged.results.keys(), values=staged.results.values()).SerializeToString()
            outputs.append((self._snapshots_topic, value, staged.results_key, partition, None))
        return staged

    def committed(self) -> Written:
        """End a batch that is committed; returns its counts."""
        written = self.batch.written()
        self.batch.latest = self.batch.recorded
        self._reports.clear()
        self.batch.clear()
        return written

    def rolled_back(self) -> None:
        """Forget everything that an aborted batch did."""
        self._reports.clear()
        self.batch.clear()
