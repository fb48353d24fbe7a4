"""Editions as a client makes, lists and deletes them."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from headrace.schemas.record import rfc3339, since_epoch
from headrace.streams.editions import creation, deletion
from headrace.streams.editions.creation import Created
from headrace.streams.editions.deletion import Deleted
from headrace.streams.editions.diff import Difference, diff
from headrace.streams.editions.record import Edition
from headrace.streams.editions.registry import Registry, new_id
from headrace.streams.settings import Settings
from headrace.topology.names import MAIN
from headrace.topology.topology import Topology


class Editions:
    """The editions of a deployment. Every call may raise KafkaException, or TimeoutError if no answer comes."""

    def __init__(self, settings: Settings, topology: Topology) -> None:
        self._settings, self._topology = settings, topology

    async def create(
        self,
        name: str,
        *,
        at: str | datetime | Iterable[str | datetime] = (),
        follow: bool = False,
        parent: str = MAIN,
        expires: timedelta | None = None,
        note: str = "",
        projections: Iterable[str] = (),
    ) -> Created:
        """Make an edition of `parent`, in which everything begins as it is there now.

        `at` says where else it begins: a time; `hand/h-17:41`, which is when this event was recorded, with just it as
        the last one of that root; or `hand:41`, for each root of the domain. With `follow` it sees all of a root until
        it writes the root's first event itself. Projectors do not run in editions yet: `projections` is refused.

        Raises EditionRefused, EditionUnknown for the parent, LookupError for a domain or projector.
        """
        points = [at] if isinstance(at, (str, datetime)) else at
        return await asyncio.to_thread(
            creation.create,
            self._settings,
            self._topology,
            name,
            at=[at_text(point) for point in points],
            follow=follow,
            parent=parent,
            expires=None if expires is None else int(expires / timedelta(milliseconds=1)),
            note=note,
            projections=projections,
            edition_id=new_id(),
        )

    async def list(self) -> list[Edition]:
        """All editions that may be used, main not among them, by name."""
        live = await asyncio.to_thread(Registry(self._settings).live)
        return [live[name] for name in sorted(live)]

    async def describe(self, name: str) -> Edition:
        """One edition. Raises EditionUnknown."""
        return await asyncio.to_thread(Registry(self._settings).find, name)

    async def delete(self, name: str, *, timeout: float = 60.0) -> Deleted:
        """Delete an edition and its topics, once no worker holds it any more.

        Raises EditionRefused for main and for one that another one continues, EditionUnknown; EditionHeld after
        `timeout` seconds: nobody can use it then, and to delete it again goes on from there.
        """
        return await asyncio.to_thread(deletion.delete, self._settings, name, timeout)

    async def diff(self, first: str, second: str) -> Sequence[Difference]:
        """The roots whose events are not the same in two editions, one of which may be main.

        Reads the events of both, and of their parents, from Kafka. Raises EditionUnknown.
        """
        return await asyncio.to_thread(lambda: [*diff(self._settings, self._topology, first, second)])

    async def prune(self, *, timeout: float = 60.0) -> Sequence[Deleted]:
        """Delete the editions whose time is over, and finish deletions that were stopped; children before parents.

        One that another edition continues, whose time is not over, stays. Raises what `delete` raises.
        """
        return await asyncio.to_thread(deletion.prune, self._settings, timeout)


def at_text(point: str | datetime) -> str:
    """A point as the command line takes it, to the millisecond; ValueError for a time without a zone."""
    if isinstance(point, str):
        return point
    if point.tzinfo is None:
        raise ValueError(f"at={point}: the time needs a zone, such as datetime.UTC")
    return rfc3339(since_epoch(point))
