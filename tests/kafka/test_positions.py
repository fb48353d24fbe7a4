"""Positions and identities on real brokers: what happens when offsets, topics or stores are not what they were."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from typer.testing import Result

from headrace.embedded import EmbeddedKafka
from headrace.streams.admin import topics
from headrace.streams.client import Client
from headrace.streams.runtime.positions import UNREAD
from headrace.streams.settings import Settings
from headrace.testing.request import request
from tests.support.bank import accounts
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import Deployment, until
from tests.support.groups import commit, forget_group
from tests.support.workflow_deployment import WorkflowDeployment, run_on

pytestmark = pytest.mark.kafka


@pytest.fixture
def run(workflow: WorkflowDeployment, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    return run_on(workflow, monkeypatch)


@pytest.fixture
def admin(bootstrap: str) -> AdminClient:
    """Answers come only while it lives."""
    return AdminClient({"bootstrap.servers": bootstrap})


def remade(admin: AdminClient, settings: Settings, name: str) -> None:
    """Delete a topic and make it again."""
    (future,) = admin.delete_topics([name], request_timeout=20).values()
    future.result()
    specs = {spec.name: spec for spec in topics.wanted(settings, accounts.topology)}

    def made() -> bool:
        try:
            return topics.create(settings, [specs[name]]) == [name]
        except KafkaException:  # it is still being deleted
            return False

    until(made, f"{name} was made again")


def deposits(bank: Deployment, count: int) -> list[int]:
    """Sequences of the answers to so many deposits of one root."""

    async def go() -> list[int]:
        async with bank.client() as client:
            return [(await client.execute(pb.Deposit(amount=1), root="r")).sequence for _ in range(count)]

    return asyncio.run(go())


# ---- offsets that are gone, or elsewhere


def test_a_saga_whose_group_is_forgotten_sends_nothing_again(workflow: WorkflowDeployment, admin: AdminClient) -> None:
    """Not even when the results of its commands are forgotten as well, so that nothing would catch a repetition."""
    worker = workflow.worker(HEADRACE_RESULTS_KEPT=0.01).start().await_ready()
    workflow.deposit(p=[1, 2, 3], q=[1, 2])
    before = len(workflow.settled().topics["main.book.inbox"])
    worker.stop()
    for component in workflow.topology.components:
        forget_group(admin, workflow.settings, component)
    worker.start().await_ready()
    workflow.deposit(p=[4])
    ledger = workflow.settled()
    assert len(ledger.topics["main.book.inbox"]) == before + 1
    assert len(ledger.events["purse", "p"]) == 4


def test_an_offset_beyond_the_end_loses_nothing(bank: Deployment) -> None:
    worker = bank.worker().start().await_ready()
    assert deposits(bank, 3) == [0, 1, 2]
    worker.stop()
    commit(bank.settings, "account", bank.topic("commands"), 1000)
    worker.start().await_ready()
    assert deposits(bank, 20) == list(range(3, 23))
    bank.await_handled()
    bank.log().verify()


def test_a_saga_that_is_new_begins_where_it_says(workflow: WorkflowDeployment) -> None:
    before = workflow.worker("before", BANK_COMPONENTS="purse,book").start().await_ready()
    workflow.deposit(p=[1, 2])
    until(lambda: len(workflow.read("purse", "events")) == 2, "there were events")
    saga = workflow.worker("saga", BANK_COMPONENTS="keeper", BANK_BEGIN="")
    assert saga.start().wait() == 3
    assert 'begin = "oldest" or begin = "now"' in saga.tail()
    saga.start(BANK_BEGIN="now").await_ready()
    saga.stop()
    workflow.deposit(p=[3])
    until(lambda: len(workflow.read("purse", "events")) == 3, "there was one more, while the saga was away")
    saga.start(BANK_BEGIN="").await_ready()  # it is not new any more
    ledger = workflow.settled()
    assert [fact.cause for fact in ledger.events["book", "p"]] == ["/main/purse/p:2>keeper/0"]
    assert before.alive


# ---- topics that are others


def test_a_topic_made_again_stops_the_worker_until_a_person_has_said_how_to_go_on(
    workflow: WorkflowDeployment, run: Callable[..., Result], admin: AdminClient
) -> None:
    worker = workflow.worker().start().await_ready()
    workflow.deposit(p=[1])
    workflow.settled()
    inbox = workflow.topic("keeper", "inbox")
    shown = run("positions", "show", "keeper")
    assert f"{inbox}/0  0  of 0 … 0\n" in shown.output
    refused = run("positions", "set", "keeper", inbox, "--to", "end", code=3)
    assert "stop them first" in refused.output
    worker.stop()
    (future,) = admin.delete_topics([inbox], request_timeout=20).values()
    future.result()
    until(lambda: "created" in run("topics", "create").output, "it was made again")
    assert worker.start().wait() == 3
    assert f"{inbox} is another topic than the one that was read up to" in worker.tail()
    assert "does not fit" in run("positions", "show", "keeper", code=1).output
    run("positions", "set", "keeper", inbox, "--to", "oldest")
    worker.start().await_ready()
    workflow.deposit(p=[2])
    ledger = workflow.settled()
    assert len(ledger.events["book", "p"]) == 2
    for wrong, why in ((("nowhere", "--to", "end"), "does not read"), ((inbox, "--to", "later"), "is no position")):
        assert why in run("positions", "set", "keeper", *wrong, code=2).output


def test_events_without_snapshots_are_not_written_over(bank: Deployment, admin: AdminClient) -> None:
    """Sequences would begin at 0 again, and compaction would erase what was there."""
    worker = bank.worker().start().await_ready()
    assert deposits(bank, 2) == [0, 1]
    worker.stop()
    remade(admin, bank.settings, bank.topic("snapshots"))
    assert worker.start().wait() == 3
    assert "holds no state, and" in worker.tail()


def test_partitions_that_are_added_are_named_and_not_served(bank: Deployment, admin: AdminClient) -> None:
    worker = bank.worker().start().await_ready()
    assert deposits(bank, 1) == [0]
    names = [bank.topic(kind) for kind in ("commands", "facts", "inbox", "events", "snapshots", "dead-letters")]
    (future,) = admin.create_partitions([NewPartitions(names[0], 6)], request_timeout=20).values()
    future.result()
    until(lambda: any("partitions were added" in line for line in [worker.tail(20_000)]), "they were noticed", 90)
    assert not worker.ready
    assert deposits(bank, 1) == [1], "the others are served"
    worker.stop()
    assert worker.start().wait() == 3
    for name in names[1:]:
        (future,) = admin.create_partitions([NewPartitions(name, 6)], request_timeout=20).values()
        future.result()
    until(lambda: worker.start().wait() == 3 and "have 6 partitions, and had 4" in worker.tail(), "the count is known")


# ---- records that are gone


def test_what_retention_takes_unread_is_counted(bank: Deployment, admin: AdminClient) -> None:
    """Also while a worker is at work that is slower than retention: here a person deletes the records."""
    worker = bank.worker().start().await_ready()
    assert deposits(bank, 1) == [0]
    worker.stop()
    producer, topic = Producer(bank.settings.producer()), bank.topic("commands")
    sent = [request(topic, pb.Deposit(amount=1), "r", time=0, command_id=f"lost-{number}") for number in range(5)]
    for one in sent:
        producer.produce(topic, one.value, one.key, headers=list(one.headers.items()))
    assert producer.flush(20) == 0
    places = [TopicPartition(topic, number, -1) for number in range(bank.settings.partitions)]  # up to their ends
    for future in admin.delete_records(places).values():
        future.result()
    worker.start().await_ready()
    (line,) = worker.said(UNREAD)
    assert (line["topic"], line["records"]) == (topic, 5)
    assert worker.metrics()['headrace_unread_records_total{domain="account"}'] == 5
    assert deposits(bank, 1) == [1]


def test_retention_goes_by_the_brokers_clock(bank: Deployment) -> None:
    """A sender's clock that is wrong by a week would have its commands deleted before anybody reads them."""
    week = int(time.time() * 1000) - 8 * 24 * 3600 * 1000
    producer, topic = Producer(bank.settings.producer()), bank.topic("commands")
    sent = request(topic, pb.Deposit(amount=1), "r", time=0, command_id="old")
    producer.produce(topic, sent.value, sent.key, headers=list(sent.headers.items()), timestamp=week)
    assert producer.flush(20) == 0
    bank.worker().start().await_ready()
    bank.await_handled()
    (entry,) = bank.log().topics["commands"]
    assert entry.timestamp > week + 24 * 3600 * 1000


def test_no_client_makes_a_topic_by_itself(tmp_path: Path) -> None:
    """Where brokers allow it, a topic with one partition and the wrong retention would hide that it is missing."""
    with EmbeddedKafka(properties={"auto.create.topics.enable": True}) as kafka:
        settings = Settings(bootstrap=kafka.bootstrap, prefix="auto.")

        async def go() -> None:
            async with Client(accounts.topology, settings) as client:
                await client.execute(pb.Deposit(amount=1), root="r", timeout=60)

        with pytest.raises(LookupError, match=r"auto.headrace.replies is missing"):
            asyncio.run(go())
        topics.create(settings, topics.wanted(settings, accounts.topology)[-1:])
        with pytest.raises(KafkaException):
            asyncio.run(go())
        assert {
            name for name in AdminClient(settings.client()).list_topics(timeout=10).topics if name.startswith("auto.")
        } == {"auto.headrace.replies"}
