"""Deleting an edition: it is recorded, workers let go of it, its topics are deleted, and that is recorded.

Each step can be done again, so that whoever was stopped in between runs the whole once more.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.streams.clock import now_ms
from headrace.streams.editions import topics
from headrace.streams.editions.holders import holders
from headrace.streams.editions.record import DELETED, DELETING, Edition
from headrace.streams.editions.registry import EditionRefused, EditionUnknown, Registry
from headrace.streams.settings import Settings
from headrace.topology.names import MAIN

_LOOK = 0.2


class EditionHeld(TimeoutError):
    """Workers hold an edition that is being deleted; its topics are still there."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """An edition that is gone."""

    name: str
    id: str
    topics: list[str]


def delete(settings: Settings, name: str, timeout: float = 60.0) -> Deleted:
    """Delete an edition and its topics, once no worker holds it any more.

    Raises EditionRefused for main and for one that another one continues, EditionUnknown; EditionHeld after `timeout`
    seconds: nobody can use it then, and to delete it again goes on from there. KafkaException, TimeoutError.
    """
    if name == MAIN:
        raise EditionRefused("main cannot be deleted: all editions continue it")
    registry = Registry(settings)
    if name not in registry.all():
        raise EditionUnknown(f"there is no edition {name!r}; `headrace editions list` shows them")
    edition = registry.begin_deletion(name)
    deadline = time.monotonic() + timeout
    while held := sorted(worker for worker, held in holders(settings).items() if edition.id in held):
        if time.monotonic() > deadline:
            raise EditionHeld(
                f"{name} is deleted, but after {timeout:g} s worker(s) {', '.join(held)} still hold it, so that its "
                f"topics are there; `headrace editions delete {name}` waits again"
            )
        time.sleep(_LOOK)
    gone = topics.owned(settings, name)
    topics.delete(settings, gone)
    registry.end_deletion(edition)
    return Deleted(name, edition.id, gone)


def prune(settings: Settings, timeout: float = 60.0, now: int | None = None) -> list[Deleted]:
    """Delete the editions whose time is over, and finish deletions that were stopped; children before parents.

    One that another edition continues, whose time is not over, stays. Raises what `delete` raises.
    """
    at = now_ms() if now is None else now
    return [delete(settings, name, timeout) for name in to_prune(Registry(settings).all(), at)]


def to_prune(editions: Mapping[str, Edition], now: int) -> list[str]:
    """Names of the editions to delete at `now`, in milliseconds since 1970, in this order."""
    left = {name: edition for name, edition in editions.items() if edition.state != DELETED}
    over = {name for name, edition in left.items() if edition.state == DELETING or edition.expired(now)}
    found: list[str] = []
    while ready := [name for name in sorted(over) if name not in _parents(left.values())]:
        found += ready
        over -= set(ready)
        left = {name: edition for name, edition in left.items() if name not in ready}
    return found


def _parents(editions: Iterable[Edition]) -> set[str]:
    return {edition.parent for edition in editions}
