"""The steps of temporal reads and snapshots; README.md lists them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import json_format
from pytest_bdd import given, parsers, then, when

from headrace.schemas.changelog import kept_prefix
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.topology.as_of import AsOf
from tests.features import shop
from tests.features.shop_steps import ROOT
from tests.features.tables import about, message
from tests.features.world import World

POINT = r"(?P<when>| as of [a-z0-9 ]+?)"
POINTS = re.compile(
    r" as of (?:event (?P<sequence>\d+)|the time of event (?P<at>\d+)"
    r"|(?P<ms>\d+) ms (?P<side>before|after) event (?P<near>\d+))"
)
MANY = rf"(?P<times>\d+) times (?P<kind>\w+) (?P<data>{{.*}}) is sent to {ROOT}"


def recorded(world: World, domain: str, root: str, sequence: str) -> datetime:
    """When an event was recorded."""
    event = about(root, world.records(domain, "events"))[int(sequence)]
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=event.timestamp)


def point(world: World, domain: str, root: str, when: str) -> AsOf | None:
    """The point that a step names."""
    if not when:
        return None
    found = POINTS.fullmatch(when)
    assert found, f"{when} is no point"
    if found["sequence"]:
        return int(found["sequence"])
    if found["at"]:
        return recorded(world, domain, root, found["at"])
    distance = timedelta(milliseconds=int(found["ms"])) * (1 if found["side"] == "after" else -1)
    return recorded(world, domain, root, found["near"]) + distance


def state_type(domain: str) -> Any:
    return shop.topology.folded(domain).state_type


@given(parsers.re(MANY))
@when(parsers.re(MANY))
def send_often(world: World, times: str, kind: str, data: str, domain: str, root: str) -> None:
    for _ in range(int(times)):
        answer = world.send(
            domain,
            root,
            message(kind, data),
            command_id="",
            correlation_id="",
            traceparent="",
            sync="decision",
            on_error="fail-fast",
        )
        assert answer.status == "accepted", answer


@then(parsers.re(rf"the state of {ROOT}{POINT} is (?P<data>{{.*}})"))
def state_is(world: World, domain: str, root: str, data: str, when: str) -> None:
    found = world.state(domain, root, point(world, domain, root, when))
    assert found == json_format.Parse(data, state_type(domain)())


@then(parsers.re(rf"{ROOT} has no state{POINT}"))
def no_state(world: World, domain: str, root: str, when: str) -> None:
    assert world.state(domain, root, point(world, domain, root, when)) is None


@then(parsers.re(rf"the events of {ROOT}{POINT} have the sequences (?P<first>\d+) to (?P<last>\d+)"))
def events_have(world: World, domain: str, root: str, first: str, last: str, when: str) -> None:
    found = world.events(domain, root, 0, point(world, domain, root, when))
    assert [event.sequence for event in found] == list(range(int(first), int(last) + 1))


@then(parsers.re(rf"there are no events of {ROOT}(?: from event (?P<begin>\d+) on)?{POINT}"))
def no_events(world: World, domain: str, root: str, begin: str | None, when: str) -> None:
    assert not world.events(domain, root, int(begin or 0), point(world, domain, root, when))


@then(parsers.re(rf"the state of {ROOT} as of each event is that of a replay, and so it is at the time of each"))
def replayed(world: World, domain: str, root: str) -> None:
    spec, state = shop.topology.folded(domain), state_type(domain)()
    events = world.events(domain, root, 0, None)
    assert events
    for event in events:
        spec.appliers[event.type].call(state, event.data)
        assert world.state(domain, root, event.sequence) == state
        assert world.state(domain, root, recorded(world, domain, root, str(event.sequence))) == state


# ---- snapshots


def snapshots(world: World, domain: str, prefix: bytes, *, exactly: bool = False) -> list[int]:
    """Sequences of the newest record with each key that begins so, in order."""
    newest = {
        record.key: Snapshot.FromString(record.value or b"").sequence
        for record in world.records(domain, "snapshots")
        if record.key == prefix or (not exactly and (record.key or b"").startswith(prefix))
    }
    return sorted(newest.values())


@then(parsers.re(rf"the newest snapshot of {ROOT} is of event (?P<sequence>\d+)"))
def newest_snapshot(world: World, domain: str, root: str, sequence: str) -> None:
    assert snapshots(world, domain, root.encode(), exactly=True) == [int(sequence)]


@then(parsers.re(rf"the kept snapshots of {ROOT} are of the events (?P<sequences>[\d, ]+)"))
def kept_snapshots(world: World, domain: str, root: str, sequences: str) -> None:
    assert snapshots(world, domain, kept_prefix(root.encode())) == [int(one) for one in sequences.split(",")]
