"""The rules that `headrace acls` prints, on a broker with an authorizer: they suffice, and an outsider fails.

An outsider is whoever may write to one topic of commands, and to nothing else.
"""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from google.protobuf.message import Message

from headrace.schemas.headers import TYPE
from headrace.streams.admin import acls
from headrace.streams.client import Client
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import read
from headrace.testing.request import request
from headrace.topology.reply import Reply
from tests.support.bank import reactions
from tests.support.bank.messages_pb2 import Annotate, Deposit, Stash
from tests.support.deployment import until
from tests.support.guarded_broker import GuardedBroker, guarded_broker
from tests.support.pages import ROOT, blocks
from tests.support.shell import Shell

pytestmark = pytest.mark.kafka

SECRETS = {name: f"secret-of-{name}" for name in ("ops", "worker", "client", "facts", "operator", "outsider")}
FLOW = "flow."


@pytest.fixture(scope="module")
def broker() -> Iterator[GuardedBroker]:
    with guarded_broker(SECRETS) as broker:
        yield broker


def shell(broker: GuardedBroker, name: str, folder: Path, prefix: str, topology: str) -> Shell:
    """Commands of one user."""
    more = {"HEADRACE_TOPOLOGY": topology, "PYTHONPATH": str(ROOT)}
    return Shell(folder, broker.address, prefix, **broker.variables(name), **more)


def test_the_rules_of_the_page_are_enough_and_secrets_stay_secret(broker: GuardedBroker, tmp_path: Path) -> None:
    """Makes topics, works, restores, sends and reads, each as a user who may do only what the page gives him."""
    (block,) = (block for block in blocks(ROOT / "docs/operating.md") if block.language == "acl")
    broker.allow(block.text.splitlines())

    def user(name: str) -> Shell:
        return shell(broker, name, tmp_path, "shop.", "headrace.examples.poker:topology")

    said = [user("ops").run("headrace topics create --domain player")]
    assert said[0].count("created") == 7, said[0]
    client, worker = user("client"), user("worker")
    for command, answer in (
        ('headrace send RegisterPlayer mike \'{"name": "Mike"}\'', "accepted"),
        ("headrace events mike --domain player", "PlayerRegistered"),  # by a worker that had to restore
    ):
        with worker.worker("--domain", "player"):
            said.append(client.run(command))
        said.append(worker.log.read_text())
        assert answer in said[-2], said[-2]
        assert "AUTHORIZATION" not in said[-1], said[-1]
        shutil.rmtree(tmp_path / ".headrace")
    assert not [secret for secret in SECRETS.values() if secret in "".join(said)]


class Flow:
    """The workflow of purse, book and keeper, with a worker at work."""

    def __init__(self, broker: GuardedBroker, folder: Path) -> None:
        self.broker, self._folder = broker, folder
        self.topology = reactions.topology

    def shell(self, user: str) -> Shell:
        return shell(self.broker, user, self._folder, FLOW, "tests.support.bank.reactions:topology")

    def settings(self, user: str) -> Settings:
        return Settings(bootstrap=self.broker.address, prefix=FLOW, kafka=self.broker.user(user))

    def topic(self, component: str, kind: str) -> str:
        return self.settings("operator").names.topic("main", component, kind)

    def execute(self, user: str, command: Message, root: str, **more: Any) -> Reply:
        async def go() -> Reply:
            async with Client(self.topology, self.settings(user)) as client:
                return await client.execute(command, root=root, **more)

        return asyncio.run(go())

    def record_fact(self, user: str, fact: Message, root: str, external_id: str) -> Reply:
        async def go() -> Reply:
            async with Client(self.topology, self.settings(user)) as client:
                return await client.record_fact(fact, root=root, external_id=external_id)

        return asyncio.run(go())

    def types(self, component: str, kind: str) -> list[Any]:
        """Types of the records on a topic."""
        found = read(self.settings("operator"), self.topic(component, kind))
        return [dict(message.headers() or ())[TYPE] for message in found]


@pytest.fixture(scope="module")
def flow(broker: GuardedBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    flow = Flow(broker, tmp_path_factory.mktemp("flow"))
    found = acls.rules(flow.topology, flow.settings("ops").names, "main")
    broker.allow(acls.kafka_acls(found, {role: f"User:{role}" for role in found}))
    inputs = f"{FLOW}main.book.commands"
    broker.allow([f"kafka-acls.sh --add --allow-principal User:outsider --operation Write --topic {inputs}"])
    made = flow.shell("ops").run("headrace topics create")
    assert "created" in made, made
    with flow.shell("worker").worker():
        yield flow


def test_each_role_can_do_its_part(flow: Flow) -> None:
    assert flow.execute("client", Deposit(amount=5), "p").accepted
    assert flow.record_fact("facts", Stash(pocket="a", amount=1), "p", "x").accepted
    until(lambda: b"bank.v1.Annotated" in flow.types("book", "events"), "the saga's command was carried out")
    assert flow.execute("client", Deposit(amount=7), "p").accepted
    until(lambda: b"bank.v1.Withdrawn" in flow.types("purse", "events"), "the source had compensated")
    assert flow.execute("client", Deposit(amount=13), "q").accepted
    operator = flow.shell("operator")
    listed = "headrace dead-letters list --component keeper"
    until(lambda: "ZeroDivisionError" in operator.run(listed), "the saga had failed")
    assert "discarded" in operator.run("headrace dead-letters discard --component keeper --root q")
    until(lambda: b"headrace.v1.Settled" in flow.types("keeper", "dead-letters"), "it was discarded")
    assert "AUTHORIZATION" not in flow.shell("worker").log.read_text()


@pytest.mark.parametrize("user", ["outsider", "client", "facts"])
@pytest.mark.parametrize(
    "topic", ["book.inbox", "keeper.inbox", "purse.events", "purse.snapshots", "purse.dead-letters", "replies"]
)
def test_the_broker_keeps_others_out_of_what_the_engine_writes(flow: Flow, user: str, topic: str) -> None:
    name = f"{FLOW}headrace.replies" if topic == "replies" else f"{FLOW}main.{topic}"
    failed: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": flow.broker.address, **flow.broker.user(user)})
    producer.produce(name, b"x", b"p", on_delivery=lambda error, _: failed.append(error))
    producer.flush(20)
    assert failed[0] is not None
    assert failed[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_the_broker_keeps_an_outsider_out_of_groups_and_transactions(flow: Flow) -> None:
    user = {"bootstrap.servers": flow.broker.address, **flow.broker.user("outsider")}
    producer = Producer({**user, "transactional.id": f"{FLOW}headrace.purse.x.0"})
    with pytest.raises(KafkaException) as fenced:
        producer.init_transactions(20)
    assert fenced.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    consumer = Consumer({**user, "group.id": f"{FLOW}headrace.purse", "group.protocol": "consumer"})
    consumer.subscribe([flow.topic("book", "commands")])
    try:
        said = until(lambda: (got := consumer.poll(0.2)) is not None and got.error(), "the broker had answered")
    finally:
        consumer.close()
    assert isinstance(said, KafkaError)
    assert said.code() == KafkaError.GROUP_AUTHORIZATION_FAILED


FORGED: dict[str, tuple[Message, dict[str, str]]] = {
    "another domain's compensation": (Annotate(note="revoke"), {"ce_rejectto": "purse:victim"}),
    "a settled dead letter": (Annotate(note="x"), {"ce_replayof": f"{FLOW}main.purse.events/0/0"}),
    "a command that vanishes": (Annotate(note="x"), {"ce_replayof": "x", "ce_discard": "1"}),
    "another origin": (Annotate(note="x"), {"ce_replayof": "x", "ce_origintopic": f"{FLOW}main.book.inbox"}),
    "a long way": (Annotate(note="x"), {"ce_path": ">" * 64}),
    "a cascade": (Annotate(note="no"), {"ce_cascade": "fail-fast", "ce_rejectto": "purse:victim"}),
    "a cause": (Annotate(note="x"), {"ce_causationid": "/main/purse/victim:0"}),
    "answers for a saga": (Annotate(note="x"), {"ce_replyto": f"{FLOW}main.keeper.inbox/0"}),
}


def test_the_engine_refuses_what_the_broker_lets_through(flow: Flow) -> None:
    """Each becomes a dead letter of its own, and nothing else."""
    events, settled = len(flow.types("purse", "events")), flow.types("keeper", "dead-letters")
    producer = Producer({"bootstrap.servers": flow.broker.address, **flow.broker.user("outsider")})
    topic = flow.topic("book", "commands")
    before = len(flow.types("book", "dead-letters"))
    for number, (command, headers) in enumerate(FORGED.values()):
        good = request(topic, command, "mine", time=0, command_id=f"forged-{number}")
        producer.produce(topic, good.value, b"mine", headers=[*good.headers.items(), *headers.items()])
    assert producer.flush(20) == 0
    until(lambda: len(flow.types("book", "dead-letters")) >= before + len(FORGED), "each was a dead letter")
    assert flow.execute("client", Annotate(note="good"), "mine").accepted
    errors = flow.shell("operator").run("headrace dead-letters list --component book --json")
    assert errors.count("counts in main.book.inbox only") == len(FORGED) - 1, errors
    assert errors.count("ce_replyto is") == 1
    assert len(flow.types("purse", "events")) == events
    assert flow.types("keeper", "dead-letters") == settled


def test_a_command_under_the_id_that_a_saga_will_use_swallows_nothing(flow: Flow) -> None:
    reply = flow.execute("client", Annotate(note="ahead"), "anna", command_id="/main/purse/anna:0>keeper/0")
    assert reply.accepted
    assert flow.execute("client", Deposit(amount=1), "anna").accepted

    def notes() -> list[bytes]:
        found = read(flow.settings("operator"), flow.topic("book", "events"))
        return [message.value() or b"" for message in found if (message.key() or b"").startswith(b"anna|")]

    until(lambda: len(notes()) == 2, "both were carried out")
