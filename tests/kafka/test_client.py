"""The client on real Kafka: it sends again by itself until its deadline, and says at once where it cannot work."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from headrace.embedded import EmbeddedKafka
from headrace.streams.client import Client, ClientNotUsable, OutcomeUnknown, Reply, Status, connection
from tests.support.bank import messages_pb2 as pb
from tests.support.bank import reactions
from tests.support.bank.accounts import topology
from tests.support.deployment import Deployment, deployed, secrets, until
from tests.support.independent_reader import read_topics
from tests.support.verbs import all_verbs
from tests.support.workflow_deployment import WorkflowDeployment

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]


@pytest.fixture(scope="module")
def bootstrap(own_kafka: EmbeddedKafka) -> str:
    """The broker that may be killed."""
    return own_kafka.bootstrap


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients send again after half a second of silence."""
    monkeypatch.setattr(connection, "SILENCE", 0.5)


def copies(bank: Deployment, kind: str = "commands") -> int:
    """How many records lie on a topic."""
    name = bank.topic(kind)
    return len(read_topics(bank.settings.bootstrap, [name], wait=False)[name])


def test_one_test_runs_on_a_client_and_on_the_driver(workflow: WorkflowDeployment) -> None:
    workflow.worker().start().await_ready()

    async def run() -> None:
        async with workflow.client() as client:
            await all_verbs(client)

    asyncio.run(run())
    workflow.settled()


@pytest.mark.usefixtures("impatient")
def test_a_call_lasts_until_a_worker_is_there(bank: Deployment) -> None:
    """It was sent several times by then; it is decided once, and its caller sees that as the first time."""

    async def scenario() -> tuple[Reply, Reply, pb.Account]:
        async with bank.client() as client:
            call = asyncio.create_task(client.execute(pb.Deposit(amount=7), root="r", timeout=120))
            named = asyncio.create_task(client.execute(pb.Deposit(amount=1), root="s", command_id="mine", timeout=120))
            read = asyncio.create_task(client.state("r", timeout=120))
            await asyncio.to_thread(until, lambda: copies(bank) >= 7, "all three were sent again")
            assert not any(task.done() for task in (call, named, read))
            bank.worker().start()
            return await call, await named, await read

    reply, named, state = asyncio.run(scenario())
    assert [(r.status, r.sequence, r.already_processed) for r in (reply, named)] == [(Status.ACCEPTED, 0, False)] * 2
    assert (state.balance, state.count) == (7, 1)
    log = bank.log().verify()
    assert {root: [e.message for e in events] for root, events in log.events.items()} == {
        "r": [pb.Deposited(amount=7, balance=7)],
        "s": [pb.Deposited(amount=1, balance=1)],
    }


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_is_lost_is_given_again(workflow: WorkflowDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """`already_processed` is about other calls; only of an id that the caller chose, nobody can say whose it was."""
    workflow.worker().start().await_ready()
    lost: set[bytes] = set()
    resolve = connection.Connection._resolve

    def lossy(self: connection.Connection, messages: list[Message]) -> None:
        new = [m for m in messages if m.key() not in lost]
        lost.update(m.key() or b"" for m in new)
        resolve(self, [m for m in messages if m not in new])

    monkeypatch.setattr(connection.Connection, "_resolve", lossy)

    async def scenario() -> list[Reply]:
        async with workflow.client() as client:
            return [
                await client.execute(pb.Deposit(amount=5), root="r"),
                await client.execute(pb.Touch(), root="r"),
                await client.record_fact(pb.Stash(pocket="left", amount=1), root="r", external_id="payment"),
                await client.execute(pb.Deposit(amount=5), root="r", command_id="mine"),
                await client.record_fact(pb.Stash(pocket="left", amount=1), root="r", external_id="payment"),
            ]

    replies = asyncio.run(scenario())
    assert len(lost) == 5
    assert [(r.status, r.already_processed) for r in replies] == [
        (Status.ACCEPTED, False),
        (Status.REJECTED, False),
        (Status.ACCEPTED, False),
        (Status.ACCEPTED, True),
        (Status.ACCEPTED, True),
    ]
    assert [len(log) for (domain, _), log in workflow.settled().events.items() if domain == "purse"] == [3]


def test_a_call_outlives_the_broker(bank: Deployment, own_kafka: EmbeddedKafka) -> None:
    """What could not be delivered in time is sent again; while the client library still tries, nothing is."""
    hasty = bank.settings.model_copy(update={"kafka": secrets({"message.timeout.ms": "1000"})})
    worker = bank.worker().start().await_ready()

    async def scenario() -> list[Reply]:
        async with Client(topology, hasty) as client, bank.client() as calm:
            await client.execute(pb.Deposit(amount=1), root="warm")
            await calm.execute(pb.Deposit(amount=1), root="warm")
            await asyncio.to_thread(own_kafka.kill)
            calls = [
                asyncio.create_task(one.execute(pb.Deposit(amount=7), root=root, timeout=120))
                for one, root in ((client, "hasty"), (calm, "calm"))
            ]
            await asyncio.wait(calls, timeout=3)
            assert not any(call.done() for call in calls)
            await asyncio.to_thread(own_kafka.restart)
            return await asyncio.gather(*calls)

    replies = asyncio.run(scenario())
    assert [(reply.accepted, reply.already_processed) for reply in replies] == [(True, False)] * 2
    worker.await_ready()
    log = bank.log().verify()
    assert {root: len(log.events[root]) for root in ("hasty", "calm")} == {"hasty": 1, "calm": 1}


def test_what_does_not_pass_is_raised_at_once(bootstrap: str, tmp_path: Path) -> None:
    with deployed(bootstrap, tmp_path) as bank:

        async def scenario() -> None:
            async with Client(reactions.topology, bank.settings) as client:  # which has other topics
                with pytest.raises(KafkaException) as caught:
                    await client.execute(pb.Deposit(amount=1), root="r", timeout=300)
                assert caught.value.args[0].code() in (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)
            async with bank.client() as client:
                large = await client.execute(pb.Annotate(note="x" * 2_000_000), root="r", timeout=300)
                assert (large.status, large.code) == (Status.FAILED, "too-large")

        started = time.monotonic()
        asyncio.run(scenario())
        assert time.monotonic() - started < 150


def test_calls_of_one_id_share_their_answer(bank: Deployment) -> None:
    """One that ends first takes nothing away; another root's command of the same id has an answer of its own."""

    async def scenario() -> tuple[Reply, Reply, Reply]:
        async with bank.client() as client:

            def call(root: str, timeout: float = 60) -> asyncio.Task[Reply]:
                one = client.execute(pb.Deposit(amount=5), root=root, command_id="same", timeout=timeout)
                return asyncio.create_task(one)

            short, long, longer, other = call("r", 0.5), call("r"), call("r"), call("other")
            with pytest.raises(OutcomeUnknown):
                await short
            bank.worker().start()
            return await long, await longer, await other

    first, second, other = asyncio.run(scenario())
    assert first == second
    assert first.messages == [pb.Deposited(amount=5, balance=5)]
    assert (first.root, other.root, other.already_processed) == ("r", "other", False)
    assert copies(bank, "events") == 2, "one of each root"


def test_a_client_says_where_it_cannot_work(bank: Deployment) -> None:
    client = bank.client()

    async def deposit() -> None:
        await client.execute(pb.Deposit(amount=1), root="r")

    async def inside() -> None:
        async with client:
            with pytest.raises(ClientNotUsable, match="another event loop"):
                await asyncio.to_thread(asyncio.run, deposit())
            assert await asyncio.to_thread(forked) == 7
            with pytest.raises(ClientNotUsable, match="opened before"):
                await client.__aenter__()
            left = asyncio.create_task(deposit())
            await asyncio.to_thread(until, lambda: copies(bank) == 1, "the command was sent")
        with pytest.raises(ClientNotUsable, match="closed while command"):
            await left

    def forked() -> int:
        process = os.fork()
        if process == 0:
            try:
                asyncio.run(deposit())
            except ClientNotUsable as error:
                os._exit(7 if "fork" in str(error) else 8)
            finally:
                os._exit(9)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    with pytest.raises(ClientNotUsable, match="not open"):
        asyncio.run(deposit())
    asyncio.run(inside())
    for late in (deposit(), client.flush(), client.state("r"), client.send(pb.Deposit(), root="r")):
        with pytest.raises(ClientNotUsable, match="is closed"):
            asyncio.run(late)
