"""Time-outs of a process manager: entries of its store, in order of time."""

from collections.abc import Iterator
from datetime import timedelta

from headrace.schemas.changelog import LAST_DUE, TIMERS, timer_due, timer_key, timer_name_key
from headrace.schemas.headers import CAUSATION, CORRELATION, ID, SOURCE, SPECVERSION, TYPE
from headrace.schemas.headrace_v1_pb2 import Timer
from headrace.schemas.ids import TimerRef
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.errors import HandlerError
from headrace.streams.steps.store import Store
from headrace.topology.inspection import type_name
from headrace.topology.process_manager import Schedule

_AT_ONCE = 1000


class Timers:
    """Time-outs of the roots of one partition."""

    def __init__(self, store: Store, batch: Batch, topic: str, partition: int, source: str) -> None:
        self._store, self._batch, self._topic, self._partition = store, batch, topic, partition
        self._source = source.encode()
        self._head = b""
        """No time-out is before this key. RocksDB keeps traces of deleted ones, and skipping these takes time."""
        self._next = 0
        """No time-out is due before this time, in milliseconds."""
        self._now = 0
        """When time-outs were last looked for."""

    def due(self, now: int) -> Iterator[Record]:
        """Time-outs that are due by `now`, in milliseconds, as records without an offset; at most a thousand."""
        self._now = now
        if now < self._next:
            return
        first = True
        for number, (key, value) in enumerate(self._store.entries(TIMERS, self._head)):
            if first:
                self._head, first = key, False
                if timer_due(key) > now:
                    self._next = timer_due(key)
            if timer_due(key) > now or number == _AT_ONCE:
                return
            timer, due = Timer.FromString(value), timer_due(key)
            headers = {
                SPECVERSION: b"1.0",
                ID: str(TimerRef(timer.root, timer.name, due)).encode(),
                SOURCE: self._source,
                TYPE: timer.type.encode(),
                CORRELATION: timer.root.encode(),
                CAUSATION: timer.cause.encode(),
            }
            yield Record(self._topic, self._partition, -1, due, timer.root.encode(), timer.data, headers)
        if first:
            self._next = LAST_DUE + 1

    def take(self, record: Record) -> bool:
        """Remove a time-out that is due; False if an earlier record of this batch has cancelled or replaced it."""
        root, name = record.key or b"", timer_name(record)
        if self._batch.entry(timer_name_key(root, name)) != timer_key(record.timestamp, root, name):
            return False
        self.cancel(root, name)
        return True

    def start(self, root: bytes, item: Schedule, record: Record, cause: str) -> None:
        """Keep a time-out, for which `record` is the reason, until it is due; it replaces one of the same name."""
        name = item.name.encode()
        if b"/" in name or b"\0" in name:
            raise HandlerError(f"a time-out is named {item.name!r}; a name has no slash and no NUL")
        delay = item.delay // timedelta(milliseconds=1)
        due = record.timestamp + delay
        if record.offset < 0 and delay > 0 and due <= self._now and not item.catch_up:
            due += ((self._now - due) // delay + 1) * delay  # those that were missed are not made up for in a burst
        due = min(max(0, due), LAST_DUE)
        self.cancel(root, name)
        timer = Timer(
            root=root.decode(),
            name=item.name,
            type=type_name(type(item.message)),
            data=item.message.SerializeToString(),
            cause=cause,
        )
        key = timer_key(due, root, name)
        self._head, self._next = min(self._head, key), min(self._next, due)
        self._batch.set_entry(key, timer.SerializeToString())
        self._batch.set_entry(timer_name_key(root, name), key)

    def cancel(self, root: bytes, name: bytes) -> None:
        """Remove a root's time-out with this name, if there is one."""
        key = self._batch.entry(timer_name_key(root, name))
        if key is not None:
            self._batch.set_entry(key, None)
            self._batch.set_entry(timer_name_key(root, name), None)


def timer_name(record: Record) -> bytes:
    """Name of the time-out that a record delivers."""
    timer = TimerRef.parse(record.headers[ID].decode())
    return timer.name.encode() if timer else b""
