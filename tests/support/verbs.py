"""One test for a client, on whatever it works: each verb once, on the workflow domain."""

from datetime import UTC, datetime

from headrace import Client
from headrace.testing import DriverClient
from headrace.topology.reply import Status
from tests.support.bank import messages_pb2 as pb


async def all_verbs(client: Client | DriverClient, root: str = "verbs") -> None:
    """Execute, send, state a fact and read, by what each of them answers."""
    first = await client.execute(pb.Deposit(amount=5), root=root, command_id=f"{root}-first", correlation_id="visit")
    assert (first.status, first.sequence, first.correlation_id) == (Status.ACCEPTED, 0, "visit")
    assert first.messages == [pb.Deposited(amount=5, balance=5)]
    again = await client.execute(pb.Deposit(amount=5), root=root, command_id=f"{root}-first")
    assert (again.already_processed, again.events) == (True, first.events)

    stale = await client.execute(pb.Deposit(amount=1), root=root, expected_sequence=-1, domain="purse")
    assert (stale.code, stale.retryable, stale.events) == ("sequence-conflict", True, first.events)
    fresh = await client.execute(pb.Deposit(amount=1), root=root, expected_sequence=stale.sequence)
    assert (fresh.accepted, fresh.sequence) == (True, 1)
    rejected = await client.execute(pb.Touch(), root=root)
    assert (rejected.status, rejected.reason) == (Status.REJECTED, "not to be touched")

    assert await client.send(pb.Deposit(amount=2), root=root, command_id=f"{root}-sent") == f"{root}-sent"
    await client.flush()
    for known in (False, True):
        fact = await client.record_fact(pb.Stash(pocket="left", amount=3), root=root, external_id="payment-1")
        assert (fact.status, fact.already_processed) == (Status.ACCEPTED, known)
        assert fact.messages == [pb.Stashed(pocket="left", amount=3)]

    state = await client.state(root, "purse")
    assert (state.balance, state.count, dict(state.pockets)) == (8, 3, {"left": 3})
    assert await client.state("nobody", domain="purse") is None
    events = [event async for event in client.events(root, domain="purse")]
    assert [event.sequence for event in events] == [0, 1, 2, 3]
    assert (events[0], events[3].fact_id) == (first.events[0], "payment-1")
    assert [event async for event in client.events(root, 3, "purse")] == events[3:]

    past = await client.state(root, "purse", as_of=1)
    assert (past.balance, past.count, dict(past.pockets)) == (6, 2, {})
    assert [event async for event in client.events(root, 1, "purse", as_of=2)] == events[1:3]
    beginning, end = datetime(1999, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
    assert await client.state(root, "purse", as_of=end) == state
    assert await client.state(root, "purse", as_of=beginning) is None
    assert [event async for event in client.events(root, domain="purse", as_of=beginning)] == []
