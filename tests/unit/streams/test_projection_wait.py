"""Acknowledgements of one command are counted until each serving projector has all of its events."""

import asyncio

import pytest

from headrace.schemas.event_schema import EventSchema
from headrace.schemas.headrace_v1_pb2 import Projected
from headrace.streams.client.connection import Watch
from headrace.streams.waits.projections import ProjectionWait, concerned
from headrace.topology.reply import Event, Reply, Status
from headrace.topology.reply_errors import ProjectionUnknown
from tests.support.bank.reactions import projected, versions

EVENT = Event(3, "bank.v1.Deposited", None, b"", "", "", "", "", EventSchema("bank.v1.Deposited"))


def wait() -> ProjectionWait:
    return ProjectionWait(concerned(projected, {}, "account"))


def say(waits: ProjectionWait, component: str, sequence: int, documents: int = 0, *, failed: bool = False) -> None:
    waits.take(Projected(component=component, sequence=sequence, documents=documents, failed=failed))


def test_the_serving_version_is_waited_for() -> None:
    assert [spec.name for spec in concerned(versions, {}, "account")] == ["cards-v1"]
    assert [spec.name for spec in concerned(versions, {"cards": 2}, "account")] == ["cards-v2"]
    assert concerned(versions, {"cards": 7}, "account") == []  # its class is not in this topology
    assert concerned(versions, {}, "purse") == []


def test_each_event_is_waited_for() -> None:
    waits = wait()
    assert waits.missing([0, 1]) == ["cards-v1", "pockets-v1"]
    for sequence in (0, 1):
        say(waits, "cards-v1", sequence)
        say(waits, "pockets-v1-feed", sequence)
        assert bool(waits.missing([0, 1])) == (sequence == 0)
    assert waits.missing([2]) == ["cards-v1", "pockets-v1"]


def test_a_feed_may_speak_before_or_after_its_documents() -> None:
    for order in ((0, 1, 2), (1, 2, 0), (1, 0, 2)):
        waits = wait()
        say(waits, "cards-v1", 5)
        said = [("pockets-v1-feed", 2), ("pockets-v1", 0), ("pockets-v1", 0)]
        for number, place in enumerate(order):
            assert waits.missing([5]) == ["pockets-v1"], (order, number)
            say(waits, said[place][0], 5, said[place][1])
        assert waits.missing([5]) == []


def test_a_failure_ends_the_waiting_and_names_the_projector() -> None:
    waits = wait()
    assert not waits.done([0])
    say(waits, "pockets-v1-feed", 0, failed=True)
    assert waits.done([0])
    assert waits.failed == {"pockets-v1"}


def test_a_sink_that_confirms_is_waited_for_document_by_document() -> None:
    """It may say so before the projector, and twice; what changed no document is not waited for."""
    waits = ProjectionWait(concerned(projected, {}, "account"), {"pockets-v1": "redis", "cards-v2": "redis"})
    for document in ("x", "x"):
        waits.take(Projected(component="pockets-v1", sequence=3, sink="redis", document=document))
    say(waits, "cards-v1", 3, 1)
    say(waits, "pockets-v1-feed", 3, 2)
    say(waits, "pockets-v1", 3, 1)
    assert waits.missing([3]) == ["pockets-v1"]
    say(waits, "pockets-v1", 3, 1)
    assert waits.missing([3]) == ["pockets-v1 in redis"]
    waits.take(Projected(component="pockets-v1", sequence=3, sink="redis", document="y"))
    assert waits.missing([3]) == []
    say(waits, "cards-v1", 4)
    say(waits, "pockets-v1-feed", 4)
    assert waits.done([3, 4])


def test_whoever_waits_goes_on_at_once() -> None:
    waits = wait()
    watch = Watch(waits.take)

    async def scenario() -> None:
        waiting = asyncio.create_task(watch.until(lambda: waits.done([3]), 60))
        for component in ("cards-v1", "pockets-v1-feed"):
            await asyncio.sleep(0)
            assert not waiting.done()
            watch.take(Projected(component=component, sequence=3))
        await asyncio.wait_for(waiting, 1)

    asyncio.run(scenario())


def test_whoever_waits_in_vain_is_told() -> None:
    waits = wait()
    asyncio.run(Watch(waits.take).until(lambda: waits.done([3]), 0))
    with pytest.raises(ProjectionUnknown, match="cards-v1, pockets-v1 did not acknowledge"):
        waits.check(Reply("c-1", Status.ACCEPTED, "a", 3, (EVENT,)), 0)
