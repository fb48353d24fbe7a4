"""Records that may have ended their worker: what is at work is marked, and the next process counts marks left behind.

The mark is in a file of the state folder that is mapped into memory: writing it costs no call to the system, and it is
there when the process is not any more, however it ended. A crash of the whole machine may lose it, which is no harm.
"""

import mmap
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from headrace.schemas.headers import ID
from headrace.schemas.record import Record
from headrace.streams.steps.errors import HandlerError

DEATHS = 3
"""How often a record may end its worker before it is refused."""
_MAGIC = b"suspect1"  # another layout, another number: what was written by another release is not read
_COUNT, _ENTRY = struct.Struct("<q"), struct.Struct("<5q")
_MARK = struct.Struct("<5q")  # a count, and an entry without its deaths
_MOST = 800
"""Entries for which there is room, at work and under suspicion each."""
_AT_WORK = len(_MAGIC)
_CHECKSUM = _AT_WORK + _COUNT.size + _MOST * _ENTRY.size
_SUSPECTS = _CHECKSUM + _COUNT.size
SIZE = _SUSPECTS + _COUNT.size + _MOST * _ENTRY.size
"""Bytes of the file."""
_alone = threading.Lock()
"""Held while a suspect is handled: two of them at a time, and one would be blamed for what the other does."""


class Suspect(NamedTuple):
    """Records of one partition that were at work when the worker ended, and how often it has."""

    topic: str
    partition: int
    first: int
    """Offset of the first, or the number of a time-out, see `place`."""
    end: int
    """Behind the last."""
    deaths: int


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
        self._memory = memory
        self._numbers = {topic: crc32(topic.encode()) for topic in topics}
        """Of each topic, the same in any process."""
        self._refused: set[tuple[str, bytes | None, bytes]] = set()
        """Topic, key and id of what was refused: its sender may have sent it again before it had an answer."""
        self._suspects: list[Suspect] = []
        self.found: list[Suspect] = []
        """What was at work when the process before this one ended."""
        if memory[: len(_MAGIC)] == _MAGIC:
            self._suspects = self._read_suspects()
            self.found = [one._replace(deaths=self._deaths(*one[:3]) + 1) for one in self._read(_AT_WORK)]
        else:
            memory[: len(_MAGIC)] = _MAGIC
        for one in self.found:
            self._suspects = [other for other in self._suspects if other[:4] != one[:4]] + [one]
        self._write_suspects()
        self.clear()

    # ---- the mark

    def mark(self, record: Record) -> None:
        """Note that this record is at work, and nothing else."""
        offset = record.offset if record.offset >= 0 else place(record)[2]
        _MARK.pack_into(self._memory, _AT_WORK, 1, self._numbers[record.topic], record.partition, offset, offset + 1)

    def mark_batch(self, records: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """Note that a whole batch is at work: by topic and partition, its first offset and the one behind its last."""
        entries = [Suspect(*of, max(0, first), end, 0) for of, (first, end) in records.items() if first < end]
        if entries:  # there are none in a batch of time-outs, the last of which stays marked
            self._write(_AT_WORK, entries)

    def clear(self) -> None:
        """Note that nothing is at work."""
        _COUNT.pack_into(self._memory, _AT_WORK, 0)

    @property
    def at_work(self) -> bool:
        """Whether something is. May be asked by other threads."""
        return bool(_COUNT.unpack_from(self._memory, _AT_WORK)[0])

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While the record at work waits for the engine: if the process ends now, that is not the record's doing."""
        (count,) = _COUNT.unpack_from(self._memory, _AT_WORK)
        self.clear()
        yield
        _COUNT.pack_into(self._memory, _AT_WORK, count)

    # ---- what follows from it

    def together(self, records: Sequence[Record], most: int) -> int:
        """How many of these, from the first on, one transaction may have: a suspect is alone in its own."""
        if not self._suspects:
            return most
        for number, record in enumerate(records[:most]):
            if self._deaths(*place(record)):
                return max(1, number)
        return most

    def alone(self, records: Sequence[Record]) -> AbstractContextManager[object]:
        """To be held while these are handled; if the first is a suspect, no other component handles one meanwhile."""
        suspect = self._suspects and records and self._deaths(*place(records[0]))
        return _alone if suspect else nullcontext()

    def refusal(self, record: Record) -> HandlerError | None:
        """Why a record is not to be handled any more, if so."""
        if not self._suspects and not self._refused:
            return None
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
        return max(
            (
                one.deaths
                for one in self._suspects
                if one.first <= offset < one.end and one.partition == partition and one.topic == topic
            ),
            default=0,
        )

    # ---- the memory

    def _read(self, at: int) -> list[Suspect]:
        (count,) = _COUNT.unpack_from(self._memory, at)
        if not 0 <= count <= _MOST:
            return []
        topics = {number: topic for topic, number in self._numbers.items()}
        start = at + _COUNT.size
        entries = _ENTRY.iter_unpack(self._memory[start : start + count * _ENTRY.size])
        return [Suspect(topics[number], *rest) for number, *rest in entries if number in topics]

    def _read_suspects(self) -> list[Suspect]:
        whole = _COUNT.unpack_from(self._memory, _CHECKSUM)[0] == crc32(self._memory[_SUSPECTS:])
        return self._read(_SUSPECTS) if whole else []

    def _write(self, at: int, entries: Sequence[Suspect]) -> None:
        entries = entries[:_MOST]
        for number, (topic, *rest) in enumerate(entries):
            _ENTRY.pack_into(self._memory, at + _COUNT.size + number * _ENTRY.size, self._numbers[topic], *rest)
        _COUNT.pack_into(self._memory, at, len(entries))

    def _write_suspects(self) -> None:
        self._write(_SUSPECTS, self._suspects)
        _COUNT.pack_into(self._memory, _CHECKSUM, crc32(self._memory[_SUSPECTS:]))
