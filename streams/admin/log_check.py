"""Folds the log with the code at hand, and compares with the snapshots that are there: before a release is deployed."""

from collections.abc import Iterable

from headrace.streams.settings import Settings
from headrace.streams.state.restore import stored_event
from headrace.streams.state.topic_reader import read
from headrace.streams.steps.fold_check import FoldCheck
from headrace.topology.topology import Topology

_CHUNK = 5000
"""Events that are folded at once: those of a root together."""


def check_log(settings: Settings, topology: Topology, components: Iterable[str]) -> dict[str, FoldCheck]:
    """What was found for each of these components that folds events; the others are left out.

    Holds the states of all roots of a component in memory. Workers may run meanwhile. Raises KafkaException, also where
    a topic is missing, and TimeoutError.
    """
    found = {}
    for name in components:
        if topology.component(name).state is not None:
            found[name] = _check(settings, topology, name)
    return found


def _check(settings: Settings, topology: Topology, name: str) -> FoldCheck:
    check = FoldCheck(topology.component(name))
    names, edition = settings.names, settings.edition
    # snapshots first: whatever they have seen is then on the log
    for message in read(settings, names.topic(edition, name, "snapshots")):
        key = message.key()
        if key is not None and key[:1] != b"\0":
            check.add_snapshot(key, message.value())
    events: dict[bytes, list[tuple[int, bytes | None]]] = {}
    for number, message in enumerate(read(settings, names.topic(edition, name, "events")), 1):
        root, sequence, value = stored_event(message, message.timestamp()[1])
        events.setdefault(root, []).append((sequence, value))
        if number % _CHUNK == 0:
            _add(check, events)
    _add(check, events)
    check.finish()
    return check


def _add(check: FoldCheck, events: dict[bytes, list[tuple[int, bytes | None]]]) -> None:
    for root, found in events.items():
        check.add_events(root, found)
    events.clear()
