"""A history is read from the topics of a deployment that has run, and a what-if starts from it."""

from datetime import UTC, datetime

import pytest

from headrace import History, WhatIf
from headrace.schemas.record import since_epoch
from headrace.schemas.stored_event import unpack
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import until
from tests.support.workflow_deployment import Ledger, WorkflowDeployment

pytestmark = pytest.mark.kafka
Logs = dict[tuple[str, str], list[bytes]]


def logs(ledger: Ledger) -> Logs:
    """The bytes of each root's events, as an independent reader has them."""
    return {
        key: [fact.message.SerializeToString(deterministic=True) for fact in facts]
        for key, facts in ledger.events.items()
        if facts
    }


def told(history: History) -> Logs:
    return {
        (name, root): [unpack(value).data for value in values]
        for name, roots in history.events.items()
        for root, values in roots.items()
    }


def test_a_history_is_what_the_log_was_at_a_point(workflow: WorkflowDeployment) -> None:
    workflow.worker().start().await_ready()
    workflow.deposit(ann=[5, 6], bob=[7])
    before = logs(workflow.settled())
    cut = datetime.now(UTC)
    until(lambda: since_epoch(datetime.now(UTC)) > since_epoch(cut), "a millisecond was over")
    workflow.deposit(ann=[8], cleo=[9])
    after = logs(workflow.settled())
    assert len(before["purse", "ann"]) < len(after["purse", "ann"])
    assert ("purse", "cleo") in after

    def read(as_of: int | datetime | None = None) -> History:
        return History.read(workflow.settings, workflow.topology, as_of=as_of)

    assert told(read()) == after
    assert told(read(cut)) == before
    assert told(read(0)) == {key: events[:1] for key, events in after.items()}
    what_if = WhatIf(workflow.topology, read(cut))
    outcome = what_if.send(pb.Deposit(amount=1), root="ann")
    assert outcome.accepted
    assert outcome.events[0].sequence == len(before["purse", "ann"])
    assert logs(workflow.settled()) == after, "nothing of it is on the log"
