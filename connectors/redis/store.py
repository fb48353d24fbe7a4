"""Redis as the writer uses it: positions, and one script that writes documents only where it is expected to be."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from headrace.connectors.redis.batch import Batch
from headrace.connectors.redis.confirmation import pack
from headrace.connectors.redis.connection import checked, connect
from headrace.connectors.redis.keys import Keys
from headrace.connectors.redis.position import Log, Position, parse
from headrace.streams.clock import now_ms

_SCRIPT = """
local held = redis.call('HMGET', KEYS[1], 'topic', 'next')
if (held[1] or '') ~= ARGV[1] or (held[2] or '') ~= ARGV[2] then
  return 0
end
local sets = tonumber(ARGV[9])
if #ARGV > 9 + sets then
  for i = 1, sets do
    redis.call('SET', KEYS[1 + i], ARGV[9 + i], 'PXAT', ARGV[9 + sets + i])
  end
elseif sets > 0 then
  local pairs = {}
  for i = 1, sets do
    pairs[2 * i - 1], pairs[2 * i] = KEYS[1 + i], ARGV[9 + i]
  end
  redis.call('MSET', unpack(pairs))
end
for i = 2 + sets, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], 'topic', ARGV[3], 'next', ARGV[4], 'at', ARGV[5], 'partitions', ARGV[6],
    'loaded', ARGV[7], 'awaited', ARGV[8])
end
return 1
"""
"""Arguments: topic and offset that the position must have; those that it gets (no topic: it stays), with its other
fields; how many of the keys are set, their values, and with an expiry when each ends. The other keys are deleted.

It checks before it writes, and nothing that it writes can fail halfway: Redis looks at its memory before the first.
MSET takes Redis a quarter less time than a SET for each document.
"""
_SCANNED = 5000  # keys that Redis looks at in one call
_DELETED = 1000


class Held(NamedTuple):
    """A partition's position, and the fields that the script compares, as Redis has them."""

    position: Position | None
    topic: bytes
    next: bytes


class Store:
    """The documents of one component. Raises AddressUnfit.

    All methods raise one of `connection.ERRORS` when Redis is away, or refuses.
    """

    def __init__(self, url: str, keys: Keys, component: str, expires: timedelta | None = None) -> None:
        self._url, self._keys, self._component = checked(url), keys, component
        self._expires = None if expires is None else expires // timedelta(milliseconds=1)
        self._connected: Any = None

    def held(self, partition: int) -> Held:
        """What Redis says of a partition."""
        found: dict[bytes, bytes] = self._redis.hgetall(self._keys.position(self._component, partition))
        return Held(parse(found), found.get(b"topic", b""), found.get(b"next", b""))

    def write(self, partition: int, log: Log, batch: Batch, loaded: bool) -> bool:
        """Write a batch, and advance the position; False, and nothing is written, if Redis is not where it begins."""
        values: list[bytes] = []
        ends: list[int] = []
        sets: list[bytes] = []
        deletes: list[bytes] = []
        start, now = self._keys.documents(self._component, partition), now_ms()
        for document_id, (value, at) in batch.documents.items():
            end = None if self._expires is None else at + self._expires
            if value is None or (end is not None and end <= now):
                deletes.append(start + document_id)
                continue
            sets.append(start + document_id)
            values.append(value)
            if end is not None:
                ends.append(end)
        expected = log.topic.encode(), b"%d" % batch.begin
        after = (log.topic, batch.next, batch.at, log.partitions, int(loaded), pack(batch.confirmations))
        return self._run(partition, expected, after, (*sets, *deletes), (len(sets), *values, *ends))

    def begin_anew(self, expected: Mapping[int, Held], logs: Mapping[int, Log]) -> None:
        """Drop all documents of partitions, and set their positions to the first offsets of their logs.

        A partition is left as it is when its position is not the expected one any more.
        """
        found: defaultdict[int, list[bytes]] = defaultdict(list)
        for key in self._redis.scan_iter(self._keys.all_documents(self._component), _SCANNED):
            partition = self._keys.partition(key)
            if partition in expected:
                found[partition].append(key)
                if len(found[partition]) == _DELETED:
                    self._drop(partition, expected[partition], found.pop(partition))
        for partition, held in expected.items():
            log = logs[partition]
            after = (log.topic, log.first, now_ms(), log.partitions, 0, b"")
            if self._drop(partition, held, found[partition]):
                self._run(partition, (held.topic, held.next), after)

    def close(self) -> None:
        """Close the connection; the next call makes another one."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    @property
    def _redis(self) -> Any:
        if self._connected is None:
            self._connected = connect(self._url)
        return self._connected

    def _drop(self, partition: int, held: Held, keys: Iterable[bytes]) -> bool:
        return self._run(partition, (held.topic, held.next), ("", 0, 0, 0, 0, b""), tuple(keys))

    def _run(
        self,
        partition: int,
        expected: tuple[bytes, bytes],
        after: tuple[str, int, int, int, int, bytes],
        keys: tuple[bytes, ...] = (),
        values: tuple[Any, ...] = (0,),
    ) -> bool:
        position = self._keys.position(self._component, partition)
        arguments = itertools.chain((position,), keys, expected, after, values)
        return bool(self._redis.eval(_SCRIPT, 1 + len(keys), *arguments))
