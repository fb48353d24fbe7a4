"""Versions of projectors: what serves, how far each one is, switching from one to another, and dropping one.

A version is a component of its own, so that the next one is built beside the one that serves: there is no reset.
"""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka.admin import AdminClient

from headrace.streams.admin import dead_letters, groups, sink_dead_letters
from headrace.streams.admin.progress import await_passed, lag
from headrace.streams.admin.serving import Serving, record, serving
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import Ends, PartitionId, end_offsets, partitions_of
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.names import SinkName
from headrace.topology.projector import version_name
from headrace.topology.topology import Topology

_VERSION = re.compile(r"(.+)-v([1-9][0-9]*)")


class NotReady(RuntimeError):
    """A version cannot be switched to yet, or not be dropped; the text says why."""


class Target(Protocol):
    """A system that has the documents of one version of a projector, for others to read."""

    name: str

    def await_passed(self, ends: Ends, deadline: float) -> bool:
        """Wait until it has the documents up to these ends of their topic; False when `deadline` has passed."""

    def serve(self) -> list[str]:
        """Let readers see this version from now on; a line for each thing done, or left for a person to do."""

    def drop(self) -> list[str]:
        """Delete what it has of this version, and what brings it there; likewise."""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version of a projector, as it is now."""

    projection: str
    version: int
    component: str
    serves: bool
    state: str
    """`current`, `catching up`, `stuck` (something to do and no progress), or `not in the topology`."""
    records: int
    """Records that are not handled yet."""
    seconds: float
    """Age of the oldest of these."""
    dead_letters: int
    """That are open, of the version and of its sinks."""
    since: str
    """When it was recorded that it serves; empty if it never was."""


def versions(settings: Settings, topology: Topology) -> dict[str, list[int]]:
    """Versions of each projector, of which the topology knows or the cluster has topics; the lowest first."""
    found = {name: set(known) for name, known in topology.projectors.items()}
    for topic in AdminClient(settings.client()).list_topics(timeout=10).topics:
        edition, component, kind = settings.names.split(topic) or ("", "", "")
        if edition == settings.edition and kind == "documents" and (named := _VERSION.fullmatch(component)):
            found.setdefault(named[1], set()).add(int(named[2]))
    return {name: sorted(known) for name, known in sorted(found.items())}


def serves(known: Sequence[int], recorded: Serving | None) -> int:
    """The version that serves: the recorded one or, before the first switch, the lowest."""
    return known[0] if recorded is None else recorded.version


def status(settings: Settings, topology: Topology, names: Iterable[str] = ()) -> Iterator[VersionStatus]:
    """Each version of these projectors, or of all. LookupError for an unknown one, KafkaException, TimeoutError."""
    known, recorded = versions(settings, topology), serving(settings)
    for name in list(names) or known:
        for version in _known(known, name):
            row = recorded.get(name)
            is_serving = version == serves(known[name], row)
            since = row.since if row is not None and is_serving else ""
            yield _status(settings, topology, name, version, is_serving, since)


def _status(
    settings: Settings, topology: Topology, name: str, version: int, is_serving: bool, since: str
) -> VersionStatus:
    component = version_name(name, version)
    spec = topology.projectors.get(name, {}).get(version)
    if spec is None:
        return VersionStatus(name, version, component, is_serving, "not in the topology", 0, 0.0, 0, since)
    lags = [lag(settings, one, _inputs(settings, topology, one)) for one in _components(spec)]
    records = sum(one.records for one in lags)
    state = "current" if not records else "catching up" if all(one.moving for one in lags) else "stuck"
    seconds = round(max(one.seconds for one in lags), 1)
    return VersionStatus(
        name, version, component, is_serving, state, records, seconds, _dead(settings, topology, spec), since
    )


def await_current(settings: Settings, topology: Topology, name: str, version: int, timeout: float) -> None:
    """Wait until a version has handled everything that is on the log now. Raises NotReady after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    for component in _components(_spec(topology, name, version)):
        ends = end_offsets(settings, _inputs(settings, topology, component))
        if not await_passed(settings, f"{settings.prefix}headrace.{component}", ends, deadline):
            raise NotReady(f"{component} has not handled what was on the log {timeout:g} s ago; is a worker running?")


def switch(
    settings: Settings,
    topology: Topology,
    name: str,
    version: int,
    targets: Sequence[Target] = (),
    *,
    force: bool = False,
    timeout: float = 600.0,
) -> tuple[Serving, list[str]]:
    """Let a version serve, once it and its targets have all that is on the log now; also what targets did for that.

    Raises NotReady for open dead letters (unless `force`) or after `timeout` seconds; ServingChanged.
    """
    spec, recorded = _spec(topology, name, version), serving(settings).get(name)
    deadline = time.monotonic() + timeout
    await_current(settings, topology, name, version, timeout)
    if (dead := _dead(settings, topology, spec)) and not force:
        raise NotReady(
            f"{spec.name} and its sinks have {dead} open dead letter(s), so that documents lack events, or are missing "
            "in other systems: `headrace dead-letters list`; --force switches all the same"
        )
    documents = settings.names.topic(settings.edition, spec.name, "documents")
    ends = end_offsets(settings, partitions_of(settings, documents))
    for target in targets:
        if not target.await_passed(ends, deadline):
            raise NotReady(f"{target.name} does not have all documents of {spec.name} yet; nothing was switched")
    new = record(settings, name, version, recorded)
    return new, [line for target in targets for line in target.serve()]


def drop(settings: Settings, topology: Topology, name: str, version: int, targets: Sequence[Target] = ()) -> list[str]:
    """Delete a version that does not serve: what targets have of it, its topics and its groups; a line for each.

    Raises NotReady if it serves, groups.GroupInUse while workers run it.
    """
    known, recorded = versions(settings, topology), serving(settings).get(name)
    if version not in _known(known, name):
        raise LookupError(f"{name} has no version {version}; it has: {', '.join(map(str, known[name]))}")
    if version == serves(known[name], recorded):
        raise NotReady(f"version {version} of {name} serves; switch to another one first")
    component = version_name(name, version)
    parts = [component, f"{component}-feed"]
    for part in parts:
        groups.await_empty(settings, part)
    done = [line for target in targets for line in target.drop()]
    client = AdminClient(settings.client())
    owned = [topic for topic in client.list_topics(timeout=10).topics if _belongs(settings, topic, component, parts)]
    for future in client.delete_topics(owned, operation_timeout=30).values() if owned else ():
        future.result()
    groups.delete_groups(settings, [f"{settings.prefix}headrace.{part}" for part in parts])
    return done + [f"deleted {topic}" for topic in sorted(owned)]


def _belongs(settings: Settings, topic: str, component: str, parts: Sequence[str]) -> bool:
    """Whether a topic is one of a version's, or holds the dead letters of one of its sinks."""
    sink = SinkName.of_topic(settings.names, settings.edition, topic)
    split = settings.names.split(topic)
    own = split is not None and split[0] == settings.edition and split[1] in parts
    return own or (sink is not None and sink.component == component)


def _known(known: dict[str, list[int]], name: str) -> list[int]:
    if name not in known:
        raise LookupError(f"unknown projection {name!r}; there are: {', '.join(known) or 'none'}")
    return known[name]


def _spec(topology: Topology, name: str, version: int) -> ProjectorSpec:
    known = topology.projectors
    if version not in known.get(name, {}):
        have = ", ".join(f"{one} {number}" for one, its in known.items() for number in its) or "none"
        raise LookupError(f"the topology has no version {version} of {name!r}; it has: {have}")
    return known[name][version]


def _components(spec: ProjectorSpec) -> list[str]:
    """In the order in which events come through them."""
    return [*(part.name for part in spec.parts), spec.name]


def _inputs(settings: Settings, topology: Topology, component: str) -> list[PartitionId]:
    topics = topology.inputs(component, settings.names, settings.edition)
    return [partition for topic in topics for partition in partitions_of(settings, topic)]


def _dead(settings: Settings, topology: Topology, spec: ProjectorSpec) -> int:
    """Open ones of the version and of its sinks."""
    sinks = [one for one in sink_dead_letters.sinks(settings, topology) if one.partition(".")[0] == spec.name]
    return len(dead_letters.find(settings, topology, [*_components(spec), *sinks], dead_letters.Filter()))
