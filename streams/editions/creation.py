"""Making an edition.

Where it begins is found out and checked; it is recorded; its first topics are made; that is recorded, and workers
begin.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.schemas.stored_event import recorded_of
from headrace.streams.admin.topics import admin
from headrace.streams.clock import now_ms
from headrace.streams.editions import topics
from headrace.streams.editions.at import At, parse_at
from headrace.streams.editions.history import EditionLogs
from headrace.streams.editions.record import CREATING, DELETED, Edition
from headrace.streams.editions.registry import EditionRefused, Registry, new_id
from headrace.streams.settings import Settings
from headrace.topology.cut import Cut
from headrace.topology.names import MAIN
from headrace.topology.topology import Topology

_AHEAD = 5000
"""Milliseconds by which clocks may differ: a time that is later than that has not come yet."""


@dataclass(frozen=True, slots=True)
class Created:
    """An edition that was made."""

    edition: Edition
    topics: list[str]
    """Those that were made."""
    registry_ms: float
    """How long recording it took."""


def create(
    settings: Settings,
    topology: Topology,
    name: str,
    *,
    at: Iterable[str] = (),
    follow: bool = False,
    parent: str = MAIN,
    expires: int | None = None,
    note: str = "",
    projections: Iterable[str] = (),
    edition_id: str = "",
) -> Created:
    """Make an edition of `parent`.

    It begins now, unless `at` says where: a time such as `2026-11-27T17:30:00Z`; `hand/h-17:41`, which is when that
    event was recorded, with just this event as the last one of that root; or `hand:41`, for each root of a domain. With
    `follow` it sees all of a root until it writes the root's first event itself. `expires` is in milliseconds from now.
    The same `edition_id` again settles an attempt whose outcome is unknown.

    Raises EditionRefused, EditionUnknown, LookupError for a domain or projector, KafkaException, TimeoutError.
    """
    if problem := settings.names.edition_problem(name, topology.components):
        raise EditionRefused(problem)
    known = topology.projectors
    asked = tuple(dict.fromkeys(projections))
    if unknown := [one for one in asked if one not in known]:
        raise LookupError(f"unknown projection {unknown[0]!r}; there are: {', '.join(known) or 'none'}")
    if asked:
        raise EditionRefused(
            "projectors do not run in editions yet: their documents would lack what the edition inherits. Leave the "
            "projections out, and read states and events"
        )
    registry, now = Registry(settings), now_ms()
    registry.prepare()
    editions = registry.all()
    _check_free(settings, name, editions, edition_id)
    if parent != MAIN:
        registry.find(parent)
    try:
        cut = _cut(settings, topology, editions, parent, parse_at(at), now, follow=follow)
    except ValueError as error:
        raise EditionRefused(str(error)) from error
    edition = Edition(
        name,
        edition_id or new_id(),
        parent,
        cut,
        created=now,
        expires=None if expires is None else now + expires,
        note=note,
        projections=asked,
        state=CREATING,
    )
    began = time.perf_counter()
    registry.add(edition)
    took = (time.perf_counter() - began) * 1000
    made = topics.make_first(settings, topology, name)
    return Created(registry.open(edition), made, took)


def _check_free(settings: Settings, name: str, editions: Mapping[str, Edition], edition_id: str) -> None:
    """Raise EditionRefused if topics with the edition's prefix are there that no recorded edition explains."""
    known = editions.get(name)
    if known is not None and (known.state != DELETED or known.id == edition_id):
        return  # the registry has its own answer to that
    begin = f"{settings.prefix}{name}."
    there = sorted(topic for topic in admin(settings).list_topics(timeout=10).topics if topic.startswith(begin))
    if there:
        raise EditionRefused(
            f"topics that begin with {begin} are there already, such as {there[0]}: take another name, or delete them"
        )


def _cut(
    settings: Settings,
    topology: Topology,
    editions: Mapping[str, Edition],
    parent: str,
    at: At,
    now: int,
    *,
    follow: bool,
) -> Cut:
    """Where an edition leaves its parent; ValueError if it cannot be there."""
    if follow and at.moment is not None:
        raise ValueError("either it follows its parent, or it begins at a time; not both")
    if at.moment is not None and at.moment > now + _AHEAD:
        raise ValueError("the time at which the edition is to begin has not come yet")
    for domain in (*at.domains, *(domain for domain, _ in at.roots)):
        _check_folded(topology, domain)
    named: dict[str, set[bytes]] = defaultdict(set)
    for domain, root in at.roots:
        named[domain].add(root.encode())
    logs = {domain: EditionLogs(settings, editions, roots) for domain, roots in named.items()}
    moments = [_recorded(logs[domain], parent, domain, root, sequence) for (domain, root), sequence in at.roots.items()]
    if follow:
        moment = None
    elif at.moment is not None:
        moment = at.moment
    else:
        moment = max(moments) if moments and not at.domains else now
    return Cut(moment, at.domains, at.roots)


def _recorded(logs: EditionLogs, parent: str, domain: str, root: str, sequence: int) -> int:
    """When an event was recorded; ValueError if `parent` does not see it."""
    if sequence < 0:  # nothing of this root, and the others as they are now
        return now_ms()
    events = logs.events(parent, domain, root.encode())
    if not events:
        raise ValueError(f"{domain}/{root} has no events in {parent}")
    last = max(events)
    if sequence not in events:
        raise ValueError(f"{domain}/{root}:{sequence} is beyond the log: its last event in {parent} is {last}")
    return recorded_of(events[sequence])


def _check_folded(topology: Topology, domain: str) -> None:
    if topology.component(domain).state is None or "events" not in topology.component(domain).topics:
        raise ValueError(f"{domain} writes no events, so that it has no sequences")
