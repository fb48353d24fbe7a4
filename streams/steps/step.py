"""What the steps of all kinds of components share: outputs, the batch, dead letters.

A step reads in the order of the data: record → decode → decide → apply → stage. Committing is the caller's: the
engine in streams/ does it with a Kafka transaction, the test driver in memory.
"""

import traceback

from headrace.schemas import codecs
from headrace.schemas.headers import (
    CONTENT_TYPE,
    CORRELATION,
    ID,
    REPLAY_OF,
    SOURCE,
    SPECVERSION,
    TIME,
    TRACEPARENT,
    TYPE,
    Headers,
)
from headrace.schemas.headrace_v1_pb2 import Answers, Settled
from headrace.schemas.record import Record, rfc3339
from headrace.streams.steps import replies as answers
from headrace.streams.steps.context import StepContext, TooLarge, Written
from headrace.streams.steps.store import Staged, Store
from headrace.topology.aggregate import Rejected
from headrace.topology.names import source

# topic, value, key, partition, headers
Output = tuple[str, bytes | None, bytes | str | None, int, Headers | None]

PROTOBUF = codecs.PROTOBUF.encode()
OVERHEAD = 2048
"""Bytes kept free, under the broker's limit, for headers and framing of a record."""


class Step:
    """One component in one partition of one edition.

    `handle` each record, send off `outputs` (and empty it) whenever convenient, then `finish` for what the store
    must take. After a commit call `committed`, after an abort `rolled_back`.
    """

    def __init__(self, component: str, word: str, store: Store, place: StepContext) -> None:
        self.outputs: list[Output] = []
        self.enforce_state_size = False  # look at the state's size after each command, not once a batch
        self._component, self._store, self._place = component, store, place
        self._snapshots_topic = place.names.topic(place.edition, word, "snapshots")
        self._dead_topic = place.names.topic(place.edition, word, "dead-letters")
        self._source = source(place.edition, word)
        self._partition = place.partition
        self._room = place.max_bytes - OVERHEAD
        self._staged = Staged()
        self._counts = dict.fromkeys(Written._fields, 0)

    def handle(self, record: Record) -> None:
        """Stage whatever one record leads to. What is wrong with a record harms that record only."""
        raise NotImplementedError

    def due(self, now: int) -> list[Record]:
        """Time-outs that have come by `now`, in milliseconds, each to be given to `fire`."""
        return []

    def fire(self, record: Record) -> None:
        """Bring a time-out that is due."""
        raise NotImplementedError

    def refuse(self, record: Record, error: Exception) -> None:
        """Send a record to the dead letters unhandled."""
        self._fail(record, error)

    def finish(self, now: int) -> Staged:
        """Stage what the batch comes to as a whole; what the store must take once it is committed.

        `now`, in milliseconds, dates the answers, so that they can be forgotten later.
        """
        staged, outputs, topic = self._staged, self.outputs, self._snapshots_topic
        for key, entry in staged.entries.items():
            outputs.append((topic, entry, key, self._partition, None))
        for old in self._store.expired(now):
            staged.forgotten.append(old)
            outputs.append((topic, None, old, self._partition, None))
        if staged.answers:
            # last of the batch in this partition: its offset tells how far the store has come
            staged.answers_key = answers.batch_key(now, next(iter(staged.answers)))
            value = Answers(keys=staged.answers.keys(), values=staged.answers.values()).SerializeToString()
            outputs.append((topic, value, staged.answers_key, self._partition, None))
        return staged

    def committed(self) -> Written:
        """The batch stands; what it came to."""
        return self._clear()

    def rolled_back(self) -> None:
        """The batch does not stand: forget all that it did."""
        self._clear()

    def _clear(self) -> Written:
        written = Written(**self._counts)
        self.outputs.clear()
        self._staged = Staged()
        self._counts = dict.fromkeys(Written._fields, 0)
        return written

    def _fail(self, record: Record, error: Exception) -> None:
        self._counts["failed"] += 1
        self._dead_letter(record, error)

    def _dead_letter(self, record: Record, error: Exception) -> None:
        expected = isinstance(error, (Rejected, ValueError, LookupError, TooLarge))
        detail = "" if expected else "".join(traceback.format_exception(error))
        letter = answers.dead_letter(record, error, self._component, detail)
        headers = self._static_headers("headrace.v1.DeadLetter")
        headers.append((ID, answers.place_of(record)))
        headers.append((TIME, rfc3339(record.timestamp)))
        headers.extend((name, record.headers[name]) for name in (CORRELATION, TRACEPARENT) if name in record.headers)
        self.outputs.append((self._dead_topic, letter, record.key, self._partition, headers))

    def _settled(self, record: Record, outcome: str = "replayed") -> None:
        """The dead letter that this record was sent again for is done with; what comes of it now is news."""
        letter = record.headers[REPLAY_OF].decode(errors="replace")
        value = Settled(letter_id=letter, outcome=outcome).SerializeToString()
        headers = [*self._static_headers("headrace.v1.Settled"), (ID, f"settled/{letter}")]
        self.outputs.append((self._dead_topic, value, record.key, self._partition, headers))

    def _forward(self, record: Record, right: int) -> None:
        """A foreign producer's partitioner put it here; its own partition's writer is to handle it."""
        self._counts["forwarded"] += 1
        self.outputs.append((record.topic, record.value, record.key, right, list(record.headers.items())))

    def _static_headers(self, name: str) -> Headers:
        return [(SPECVERSION, "1.0"), (SOURCE, self._source), (TYPE, name), (CONTENT_TYPE, codecs.PROTOBUF)]
