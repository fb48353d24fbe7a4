"""Reads documents from Redis, and the pointer to the version of a projector that is read."""

import asyncio
import functools
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakKeyDictionary

from headrace.connectors.redis.connection import connect, connect_async
from headrace.connectors.redis.declaration import URL, address
from headrace.connectors.redis.keys import Keys
from headrace.connectors.redis.reads import Place, document, place_in, question
from headrace.streams.settings import Settings
from headrace.topology.projector import Projector, version_name

D = TypeVar("D")
P = type[Projector[Any]]


class Documents:
    """The documents of a deployment in Redis; may be used by several threads.

    `url` is as in the declaration; prefix and edition come from `settings`, by default from the environment. Methods
    raise redis-py's errors when Redis is away. Raises AddressUnfit.
    """

    def __init__(self, url: str = URL, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._keys = Keys(settings.prefix, settings.edition)
        self._redis = connect(address(url))
        self._places: dict[P, Place] = {}

    def get(self, projector: type[Projector[D]], document_id: str) -> D | None:
        """A document of the version that is served; None if there is none of this id.

        Raises NotLoaded if Redis is being filled, and does not have it; DocumentUnreadable.
        """
        while True:
            place = self._places.get(projector) or Place(projector.version, 0)
            asked = question(self._keys, projector, document_id, place)
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(asked.serving)
                pipe.hget(asked.first, "partitions")
                pipe.get(asked.document)
                pipe.hget(asked.own, "loaded")
                serving, partitions, value, loaded = pipe.execute()
            found = self._places[projector] = place_in(projector, place, serving, partitions)
            if found == place:
                return document(projector, document_id, place, value, loaded)

    def serving(self, projector: P) -> int | None:
        """The version that the pointer names; None without a pointer: the class's own is read."""
        found = self._redis.get(self._keys.serving(projector.name))
        return None if found is None else int(found)

    def serve(self, projector: P, version: int) -> None:
        """Move the pointer: from now on all reads of the projector are of this version."""
        self._redis.set(self._keys.serving(projector.name), version)

    def drop(self, projector: P) -> int:
        """Delete what Redis has of the class's version, and how far it has come; returns the number of documents."""
        component, count = version_name(projector.name, projector.version), 0
        partitions = len(self.reached(projector))
        for key in self._redis.scan_iter(self._keys.all_documents(component), 1000):
            count += self._redis.delete(key)
        for number in range(partitions):
            self._redis.delete(self._keys.position(component, number))
        return count

    def reached(self, projector: P, version: int | None = None) -> dict[int, int]:
        """By partition of a version's documents topic, the first offset that is not in Redis; by default the class's.

        Empty while nothing of it is in Redis.
        """
        component = version_name(projector.name, projector.version if version is None else version)
        count = self._redis.hget(self._keys.position(component, 0), "partitions")
        found = {n: self._redis.hget(self._keys.position(component, n), "next") for n in range(int(count or 0))}
        return {number: int(offset or 0) for number, offset in found.items()}

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncDocuments:
    """The same reads for asyncio; for one event loop."""

    def __init__(self, url: str = URL, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._keys = Keys(settings.prefix, settings.edition)
        self._address = address(url)
        self._redis: Any = None
        self._connecting = asyncio.Lock()
        self._places: dict[P, Place] = {}

    async def get(self, projector: type[Projector[D]], document_id: str) -> D | None:
        """As `Documents.get`."""
        redis = await self._connected()
        while True:
            place = self._places.get(projector) or Place(projector.version, 0)
            asked = question(self._keys, projector, document_id, place)
            async with redis.pipeline(transaction=False) as pipe:
                pipe.get(asked.serving)
                pipe.hget(asked.first, "partitions")
                pipe.get(asked.document)
                pipe.hget(asked.own, "loaded")
                serving, partitions, value, loaded = await pipe.execute()
            found = self._places[projector] = place_in(projector, place, serving, partitions)
            if found == place:
                return document(projector, document_id, place, value, loaded)

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._redis is None:
                self._redis = await connect_async(self._address)
        return self._redis


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncDocuments] = WeakKeyDictionary()


def get(projector: type[Projector[D]], document_id: str) -> D | None:
    """A document of the deployment that the environment names, from the Redis at REDIS_URL; see `Documents.get`."""
    return _own().get(projector, document_id)


async def aget(projector: type[Projector[D]], document_id: str) -> D | None:
    """The same for asyncio, with connections of its own for each event loop."""
    loop = asyncio.get_running_loop()
    if (found := _loops.get(loop)) is None:
        found = _loops[loop] = AsyncDocuments()
    return await found.get(projector, document_id)


@functools.cache
def _own() -> Documents:
    return Documents()
