"""All that a command leads to is reported, and nothing that nobody waits for."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Names, Topology
from headrace.schemas.headers import ON_ERROR, REPLY_TO, REPORT_TO, SYNC_MODE, TYPE
from headrace.schemas.headrace_v1_pb2 import Handled, Reply
from headrace.schemas.ids import ReportTarget
from headrace.streams.client import CascadeFailed, CascadeUnknown
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.sync_modes import of_events, reported_to, tracked
from headrace.streams.waits.cascade_tree import CascadeTree
from headrace.streams.waits.projections import serving_versions
from headrace.testing import TopologyDriver
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import request
from headrace.topology.topology import REPLIES_KEPT
from tests.features import shop
from tests.features import shop_pb2 as pb

PROJECTORS = serving_versions(shop.topology, {})


def reports(driver: TopologyDriver) -> list[Handled]:
    """What was reported, in the order in which it was written."""
    found = [record for record in driver.records("headrace.replies") if record.headers[TYPE] == b"headrace.v1.Handled"]
    return [Handled.FromString(record.value or b"") for record in found]


def cascade(*items: str, seconds_to_pay: int = 0) -> list[Handled]:
    """The reports on an order of these items, of which one lamp is there."""
    driver = TopologyDriver(shop.topology)
    driver.execute(pb.Restock(count=1), "lamp")
    order = pb.PlaceOrder(items=items, seconds_to_pay=seconds_to_pay)
    driver.execute(order, "o-1", sync="cascade", on_error="continue")
    return reports(driver)


def tree(taken: Sequence[Handled]) -> CascadeTree:
    found = CascadeTree(shop.topology, PROJECTORS)
    for one in taken:
        found.take(one)
    return found


ORDERS = [cascade(), cascade("lamp"), cascade("lamp", "vase"), cascade("lamp", "vase", seconds_to_pay=9)]


@given(st.data(), st.sampled_from(ORDERS))
def test_a_cascade_is_complete_with_its_last_report_in_any_order(data: st.DataObject, found: list[Handled]) -> None:
    order = data.draw(st.permutations(found))
    assert tree(order).complete
    assert not tree(order[:-1]).complete or order[-1].component in FED
    assert len(tree(order).failures) == sum(one.status != Reply.ACCEPTED for one in found)


FED = {spec.name for spec in PROJECTORS if spec.fed}
"""Projectors behind a feed: until it says how many documents an event concerns, it is not known that one is missing."""


@given(st.data())
def test_a_fed_projector_is_missing_once_its_feed_has_said_so(data: st.DataObject) -> None:
    found = cascade("lamp", "vase")
    late = data.draw(st.sampled_from([one for one in found if one.component in FED]))
    assert not tree([one for one in found if one is not late]).complete


def test_nothing_is_reported_to_a_sender_who_does_not_ask() -> None:
    driver = TopologyDriver(shop.topology)
    for sync in ("decision", "simple", "isolated"):
        driver.execute(pb.OrderExtra(extra="card", text=sync), "o-1", sync=sync)
    assert not reports(driver)


def test_what_a_timeout_leads_to_is_not_reported() -> None:
    driver = TopologyDriver(shop.topology)
    driver.execute(pb.PlaceOrder(seconds_to_pay=5), "o-1", sync="cascade")
    before = len(reports(driver))
    driver.clock.advance(timedelta(seconds=6))
    assert driver.messages("o-1", "order")[-1] == pb.OrderCancelled(reason="not paid in time")
    assert len(reports(driver)) == before


@pytest.mark.parametrize(("age", "expected"), [(REPLIES_KEPT - 1, 1), (REPLIES_KEPT, 0)])
def test_what_is_so_old_that_nobody_waits_is_not_reported(age: int, expected: int) -> None:
    driver = TopologyDriver(shop.topology)
    driver.execute(pb.PlaceOrder(items=["lamp"]), "o-1", sync="cascade", on_error="continue")
    event = driver.records("main.order.events")[0]._replace(timestamp=0)
    context = StepContext(Names(), "main", event.partition, partitions=4, reply_partitions=1)
    step = make_step(shop.topology, "picking", MemoryStore(), context)
    step.handle(event)
    step.finish(age)
    assert sum(topic == "headrace.replies" for topic, *_ in step.outputs) == expected


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (
            {SYNC_MODE: b"eventually"},
            "ce_syncmode is b'eventually'; it is one of: async, decision, simple, cascade, is",
        ),
        (
            {SYNC_MODE: b"cascade", ON_ERROR: b"shrug"},
            "ce_onerror is b'shrug'; it is one of: fail-fast, continue, dead",
        ),
        (
            {SYNC_MODE: b"cascade", REPORT_TO: b"headrace.replies/0/c-1"},
            "header ce_reportto counts in main.order.inbox",
        ),
    ],
)
def test_a_mode_that_does_not_exist_is_an_error(headers: dict[str, bytes], reason: str) -> None:
    driver = TopologyDriver(shop.topology)
    record = request("main.order.commands", pb.OrderExtra(), "o-1", time=0, command_id="c-1")
    driver.produce(record.topic, record.key, record.value, {**record.headers, **headers}.items())
    (dead,) = driver.dead_letters("order")
    assert reason in dead.error


def test_undoing_needs_its_component() -> None:
    alone = Topology(shop.Orders, shop.Stocks, shop.Picking)
    driver = TopologyDriver(alone)
    reply = driver.execute(pb.PlaceOrder(items=["lamp"]), "o-1", sync="cascade", on_error="compensate")
    assert not reply.accepted
    assert "needs CascadeCompensation in the topology" in reply.reason


def test_reports_that_come_after_the_end_undo_nothing() -> None:
    driver = TopologyDriver(shop.topology)
    driver.execute(pb.Restock(count=1), "lamp")
    with pytest.raises(CascadeFailed):
        driver.execute(pb.PlaceOrder(items=["lamp", "vase"]), "o-1", sync="cascade", on_error="compensate")
    notices = len(driver.records("main.order.inbox"))
    assert notices == 2
    for record in driver.records("main.cascades.inbox"):
        driver.produce(record.topic, record.key, record.value, record.headers.items(), record.partition)
    assert len(driver.records("main.order.inbox")) == notices
    assert driver.counts["cascades"]["repeated"] > 0


def test_another_record_among_the_reports_is_a_dead_letter() -> None:
    driver = TopologyDriver(shop.topology)
    record = request("main.cascades.inbox", pb.OrderExtra(), "c-1", time=0, command_id="c-1")
    driver.produce(record.topic, record.key, record.value, record.headers.items())
    (dead,) = driver.dead_letters("cascades")
    assert "no report" in dead.error


def test_a_command_that_was_decided_before_has_an_unknown_cascade_further_down() -> None:
    driver = TopologyDriver(shop.topology)
    order = pb.PlaceOrder(items=["vase"])
    driver.execute(order, "o-1", command_id="c-1")
    with pytest.raises(CascadeUnknown, match="decided before"):
        driver.execute(order, "o-1", command_id="c-1", sync="cascade")


def test_headers() -> None:
    record = request("main.order.commands", pb.OrderExtra(), "o-1", time=0, command_id="a/b", reply_to="replies/3")
    plain = record.headers
    assert tracked(record) is record
    assert of_events(record) == []
    waiting = tracked(record._replace(headers={**plain, SYNC_MODE: b"cascade", ON_ERROR: b"continue"}))
    assert of_events(waiting) == [(REPORT_TO, b"replies/3/a/b"), (ON_ERROR, b"continue")] == reported_to(waiting)
    assert ReportTarget.parse("replies/3/a/b") == ReportTarget("replies", 3, "a/b")
    nobody = record._replace(headers={k: v for k, v in plain.items() if k != REPLY_TO} | {SYNC_MODE: b"cascade"})
    assert tracked(nobody) is nobody
    assert of_events(nobody) == []
    for text in ("", "replies", "replies/3", "replies/x/y", "/3/y"):
        assert ReportTarget.parse(text) is None
