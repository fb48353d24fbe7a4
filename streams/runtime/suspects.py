"""Records that may have ended their worker: what is at work is marked, and the next process counts marks left behind.

The mark is in a file of the state folder that is mapped into memory: writing it costs no call to the system, and it is
there when the process is not any more, however it ended. A crash of the whole machine may lose it, which is no harm.
"""

import mmap
import threading
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from headrace.schemas.headers import ID
from headrace.schemas.record import Record
from headrace.streams.steps.errors import HandlerError

DEATHS = 3
"""How often a record may end its worker before it is refused."""
ALL = -(1 << 62)
"""In place of an offset: any record of the batch may be at work."""
_TIMEOUTS = (-(1 << 33), 0)
"""All numbers that `place` gives to time-outs."""


class Suspect(NamedTuple):
    """Records of one partition that were at work when the worker ended, and how often it has."""

    topic: str
    partition: int
    first: int
    """Offset of the first, or the number of a time-out, see `place`."""
    end: int
    """Behind the last."""
    deaths: int


# The file is words of eight bytes: its layout, how many ranges are at work, the offset at work, the ranges, a checksum,
# how many are suspects, these.
_LAYOUT = 0x31747065707375  # another one has another number: what another release has written is not read
_COUNT, _AT, _RANGES, _ENTRY, _MOST = 1, 2, 3, len(Suspect._fields), 800
_CHECKSUM = _RANGES + _MOST * _ENTRY
_SUSPECTS = _CHECKSUM + 2
SIZE = 8 * (_SUSPECTS + _MOST * _ENTRY)
"""Bytes of the file."""
_alone = threading.Lock()
"""Held while a suspect is handled: of two at a time, one would be blamed for what the other does."""


def place(record: Record) -> tuple[str, int, int]:
    """Topic, partition and offset; a time-out, which has no offset, has a negative number made of its id."""
    offset = record.offset if record.offset >= 0 else -1 - crc32(record.headers.get(ID, b""))
    return record.topic, record.partition, offset


def in_file(path: Path) -> mmap.mmap:
    """The memory for `Suspects` in a file, which is made if there is none of the right size. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell() != SIZE:
            file.truncate(0)
            file.write(bytes(SIZE))  # not just its length: on a full disk, an error now is better than a signal later
            file.flush()
        return mmap.mmap(file.fileno(), SIZE)


class Suspects:
    """Which records of one component's inputs are handled alone, or not at all. For the engine's thread."""

    def __init__(self, memory: mmap.mmap | bytearray, topics: Iterable[str]) -> None:
        """`memory` has `SIZE` bytes; what is not as expected in it counts for nothing."""
        self._words = memoryview(memory).cast("q")
        self._numbers = {topic: crc32(topic.encode()) for topic in topics}
        """Of each topic, the same in any process."""
        self._refused: set[tuple[str, bytes | None, bytes]] = set()
        """Topic, key and id of what was refused: its sender may have sent it again before it had an answer."""
        self._suspects: list[Suspect] = []
        self.found: list[Suspect] = []
        """What was at work when the process before this one ended."""
        self.at = self._words[_AT : _AT + 1]
        """One word, to be set for each record of a batch: its offset as `place` has it, or `ALL`."""
        if self._words[0] == _LAYOUT:
            self._suspects = self._read_suspects()
            self.found = [one._replace(deaths=self._deaths(*one[:3]) + 1) for one in self._at_work()]
        self._words[0] = _LAYOUT
        found = {one[:4] for one in self.found}
        self._suspects = [one for one in self._suspects if one[:4] not in found] + self.found
        self._write_suspects()
        self.clear()

    # ---- the mark

    def begin(self, ranges: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """Note that a batch is at work: by topic and partition, from which offset on, and up to which.

        Time-outs have no offsets; what ends at 0 is taken for time-outs.
        """
        self.at[0] = ALL
        words, at = self._words, _RANGES  # one by one, which takes a third of the time that an array takes
        for (topic, partition), (first, end) in islice(ranges.items(), _MOST):
            words[at], words[at + 1] = self._numbers[topic], partition
            words[at + 2], words[at + 3] = (max(0, first), end) if end else _TIMEOUTS
            at += _ENTRY
        words[_COUNT] = (at - _RANGES) // _ENTRY

    def clear(self) -> None:
        """Note that nothing is at work."""
        self._words[_COUNT] = 0

    @property
    def busy(self) -> bool:
        """Whether something is at work. May be asked by other threads."""
        return self._words[_COUNT] > 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While the record at work waits for the engine: if the process ends now, that is not the record's doing."""
        count = self._words[_COUNT]
        self.clear()
        yield
        self._words[_COUNT] = count

    # ---- what follows from it

    def together(self, records: Sequence[Record]) -> int:
        """How many of these, from the first on, one transaction may have: a suspect is alone in its own."""
        if self._suspects:
            for number, record in enumerate(records):
                if self._deaths(*place(record)):
                    return max(1, number)
        return len(records)

    def alone(self, records: Sequence[Record]) -> AbstractContextManager[object]:
        """To be held while these are handled; if the first is a suspect, no other component handles one meanwhile."""
        suspect = self._suspects and records and self._deaths(*place(records[0]))
        return _alone if suspect else nullcontext()

    @property
    def any(self) -> bool:
        """Whether there may be a reason for a `refusal`."""
        return bool(self._suspects or self._refused)

    def refusal(self, record: Record) -> HandlerError | None:
        """Why a record is not to be handled any more, if so."""
        name = (record.topic, record.key, record.headers.get(ID, b""))
        if self._deaths(*place(record)) >= DEATHS:
            self._refused.add(name)
        elif name not in self._refused or not name[2]:
            return None
        return HandlerError(
            f"the worker has ended {DEATHS} times while it handled this, though nothing else was at work the last "
            "times: the handler may end the process, need more memory than there is, or never return. The exit codes "
            "of the worker may say which. Replay it once the handler is repaired"
        )

    def passed(self, records: Sequence[Record], offsets: Mapping[tuple[str, int], int]) -> None:
        """Forget what is handled: time-outs among these records, and what is before the offset of its partition."""
        if not self._suspects:
            return
        timeouts = {place(record) for record in records if record.offset < 0}
        left = [
            one._replace(first=max(one.first, offsets.get(one[:2], 0))) if one.first >= 0 else one
            for one in self._suspects
            if one[:3] not in timeouts
        ]
        left = [one for one in left if one.first < one.end]
        if left != self._suspects:
            self._suspects = left
            self._write_suspects()

    def _deaths(self, topic: str, partition: int, offset: int) -> int:
        its = [one.deaths for one in self._suspects if one[:2] == (topic, partition) and one.first <= offset < one.end]
        return max(its, default=0)

    # ---- the memory

    def _at_work(self) -> list[Suspect]:
        """The record of which the mark tells or, if it tells of no single one, the ranges of the batch.

        An offset may be in several ranges, of different partitions: then there is one record too many, and no harm.
        """
        ranges, at = self._read(_COUNT, _RANGES), self.at[0]
        if at == ALL:
            return [one for one in ranges if 0 <= one.first < one.end]
        return [one._replace(first=at, end=at + 1) for one in ranges if one.first <= at < one.end]

    def _read_suspects(self) -> list[Suspect]:
        return self._read(_SUSPECTS - 1, _SUSPECTS) if self._words[_CHECKSUM] == self._sum() else []

    def _write_suspects(self) -> None:
        self._write(_SUSPECTS - 1, _SUSPECTS, self._suspects)
        self._words[_CHECKSUM] = self._sum()

    def _sum(self) -> int:
        return crc32(self._words[_CHECKSUM + 1 :])

    def _read(self, count: int, start: int) -> list[Suspect]:
        most = self._words[count]
        if not 0 <= most <= _MOST:
            return []
        topics = {number: topic for topic, number in self._numbers.items()}
        words = self._words[start : start + most * _ENTRY].tolist()
        entries = [words[at : at + _ENTRY] for at in range(0, len(words), _ENTRY)]
        return [Suspect(topics[number], *rest) for number, *rest in entries if number in topics]

    def _write(self, count: int, start: int, entries: Sequence[Suspect]) -> None:
        some = entries[:_MOST]
        words = array("q", [word for topic, *rest in some for word in (self._numbers[topic], *rest)])
        self._words[start : start + len(words)] = memoryview(words)
        self._words[count] = len(some)
