"""Bad input on real Kafka: each row of the table in docs and issue, from a foreign producer or a client."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from headrace.embedded import EmbeddedKafka
from headrace.schemas.headrace_v1_pb2 import DeadLetter
from headrace.schemas.headrace_v1_pb2 import Reply as WireReply
from headrace.streams.admin import topics
from headrace.streams.client import Reply, Status
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import topology
from tests.support.deployment import Deployment, Worker, deployed, until
from tests.support.independent_reader import LogReader

pytestmark = pytest.mark.kafka
Headers = dict[str, str | bytes | None]
GOOD: Headers = {
    "ce_specversion": "1.0",
    "ce_id": "c",
    "ce_source": "/elsewhere",
    "ce_type": "bank.v1.Deposit",
}
FIVE = pb.Deposit(amount=5).SerializeToString()


@pytest.fixture
def bank(bootstrap: str, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of its own for each test, of one partition, so that all commands are in one batch."""
    with deployed(bootstrap, tmp_path, partitions=1) as deployment:
        yield deployment


# ---- records that are no commands

# name: key, value, headers that differ (None: without it), part of the reason
BAD: dict[str, tuple[bytes | None, bytes | None, dict[str, str | bytes | None], str]] = {
    "bytes that do not parse": (b"r", b"\xff\xff\xff", {}, "bank.v1.Deposit as application/protobuf"),
    "JSON that does not parse": (b"r", b"{", {"content-type": "application/json"}, "as application/json"),
    "an unknown content type": (b"r", FIVE, {"content-type": "text/plain"}, "content type is unknown"),
    "an unknown type": (b"r", FIVE, {"ce_type": "bank.v1.Nothing"}, "handles no bank.v1.Nothing; it handles:"),
    "no ce_specversion": (b"r", FIVE, {"ce_specversion": None}, "ce_specversion is missing"),
    "no ce_id": (b"r", FIVE, {"ce_id": None}, "ce_id is missing"),
    "no ce_source": (b"r", FIVE, {"ce_source": None}, "ce_source is missing"),
    "no ce_type": (b"r", FIVE, {"ce_type": None}, "ce_type is missing"),
    "another version": (b"r", FIVE, {"ce_specversion": "0.3"}, "only 1.0 is understood"),
    "no key": (None, FIVE, {}, "no key"),
    "an empty key": (b"", FIVE, {}, "no key"),
    "a key that is no text": (b"\xff\xfe", FIVE, {}, "not UTF-8"),
    "a key with a NUL": (b"a\0b", FIVE, {}, "control characters"),
    "a key without end": (b"k" * 2000, FIVE, {}, "at most 1024 bytes"),
    "an expected sequence that is no number": (b"r", FIVE, {"ce_expectedsequence": "soon"}, "whole number"),
    "a stale command for a person": (
        b"r",
        b"",
        {"ce_type": "bank.v1.Touch", "ce_expectedsequence": "7"},
        "expected sequence 7",
    ),
}


def test_records_that_are_no_commands(bank: Deployment) -> None:
    """Each goes to the dead letters whole, with the reason, and is answered; good ones around it are handled."""
    producer = Producer({"bootstrap.servers": bank.settings.bootstrap})
    reply_to = f"{bank.settings.names.replies}/1"

    def produce(name: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        whole = {**GOOD, "ce_id": name, "ce_replyto": reply_to, **headers}
        kept: list[tuple[str, str | bytes | None]] = [(k, v) for k, v in whole.items() if v is not None]
        producer.produce(bank.topic("commands"), value, key, 0, headers=kept)

    for name, (key, value, headers, _) in BAD.items():
        produce(f"good before {name}", b"good", FIVE, {})
        produce(name, key, value, headers)
    produce("to another topic", b"r", FIVE, {"ce_replyto": "elsewhere/0"})
    produce("JSON", b"good", b'{"amount": "5"}', {"content-type": "application/json"})
    produce("nothing", b"good", None, {})
    assert producer.flush(30) == 0

    worker = bank.worker().start()
    log = until_handled(bank, worker, len(BAD) * 2 + 3)
    assert [e.message.amount for e in log.events["good"]] == [5] * len(BAD) + [5, 0]
    assert log.events.keys() == {"good"}
    assert len(log.dead_letters) == len(BAD) + 1
    dead_letters = {dead_letter_id(dead_letter): dead_letter for dead_letter in log.dead_letters}
    for name, (_, _, headers, reason) in BAD.items():
        command_id = "" if "ce_id" in headers else name
        assert reason in dead_letters[command_id].error, f"{name}: {dead_letters[command_id].error}"
        assert dead_letters[command_id].component == "aggregate:account"
        assert dead_letters[command_id].error_class
        (reply,) = log.replies[command_id]
        assert (reply.status, reply.code) == (WireReply.FAILED, "failed"), name
        assert reason in reply.reason, f"{name}: {reply.reason}"
        assert bank.topic("dead-letters") in reply.reason
    assert "elsewhere/0" in dead_letters["to another topic"].error
    assert "to another topic" not in log.replies
    batches = worker.metrics()['headrace_batch_records_count{domain="account"}']
    assert batches < len(BAD), "each was in a batch of its own"


def dead_letter_id(dead_letter: DeadLetter) -> str:
    """The ce_id of the input."""
    return next((h.value.decode() for h in dead_letter.headers if h.key == "ce_id"), "")


def until_handled(bank: Deployment, worker: Worker, records: int) -> LogReader:
    """The log, checked, once the worker has handled so many records."""
    worker.await_ready()
    of_it = 'headrace_batch_records_sum{domain="account"}'
    until(lambda: worker.metrics().get(of_it) == records, f"{records} records were handled")
    return bank.log().verify()


# ---- handlers that go wrong


@pytest.mark.parametrize(
    ("how", "debug", "reason"),
    [
        ("raise", False, "as told (ZeroDivisionError"),
        ("mutate and raise", False, "as told, after a change (ZeroDivisionError"),
        ("type", False, "Accounts.burst returned str"),
        ("stranger", False, "Accounts.burst returned Stranger"),
        ("apply", False, "this event cannot be applied (RuntimeError"),
        ("mutate", True, "Accounts.burst changed the state it was given"),
    ],
)
def test_handlers_that_go_wrong(how: str, debug: bool, reason: str, bank: Deployment) -> None:
    """The command is dead, its caller told why; the state is as it was, and the next command meets it."""
    bank.worker(HEADRACE_CHECK_PURITY=debug).start().await_ready()

    async def scenario() -> tuple[Reply, Any, Reply]:
        async with bank.client() as client:
            calls = [pb.Deposit(amount=5), pb.Burst(how=how), pb.Deposit(amount=1)]
            _, reply, after = await asyncio.gather(*(client.execute(c, root="r", timeout=30) for c in calls))
            return reply, await client.state("r"), after

    reply, state, after = asyncio.run(scenario())
    assert (reply.status, reply.code, reply.events) == (Status.FAILED, "failed", ())
    assert reason in reply.reason
    assert (state.balance, state.count) == (6, 2)
    assert (after.sequence, after.events[0].data) == (1, pb.Deposited(amount=1, balance=6))
    log = bank.log().verify()
    (dead_letter,) = log.dead_letters
    assert reason.partition(" (")[0] in dead_letter.error
    if "Error" in reason:  # an error of the handler's own comes with its traceback
        assert "in burst" in dead_letter.detail or "in poisoned" in dead_letter.detail


# ---- records above a limit


def test_records_above_the_limit_that_the_worker_knows(bank: Deployment) -> None:
    """An event, a state and a command too large, each refused with its limit named; the root goes on."""
    bank.worker().start().await_ready()

    async def scenario() -> tuple[Reply, list[Reply], Reply, Reply]:
        async with bank.client() as client:
            event = await client.execute(pb.Swell(bytes=1_100_000), root="r")
            states = [await client.execute(pb.Swell(bytes=400_000), root="r") for _ in range(3)]
            command = await client.execute(pb.Annotate(note="x" * 2_000_000), root="r")
            return event, states, command, await client.execute(pb.Deposit(amount=1), root="r")

    event, states, command, after = asyncio.run(scenario())
    for reply, limit in ((event, "1048588"), (states[2], "1048588"), (command, "1000000")):
        assert (reply.status, reply.code) == (Status.FAILED, "too-large")
        assert f"above the limit of {limit}" in reply.reason
    assert [reply.status for reply in states] == [Status.ACCEPTED, Status.ACCEPTED, Status.FAILED]
    assert (after.status, after.sequence) == (Status.ACCEPTED, 2)
    log = bank.log().verify()
    assert [e.kind for e in log.events["r"]] == ["bank.v1.Swollen", "bank.v1.Swollen", "bank.v1.Deposited"]
    assert len(log.dead_letters) == 2


def test_a_state_that_outgrows_the_limit_within_a_batch(bank: Deployment) -> None:
    """No snapshot is made between the commands; the one that is too much is found all the same, and it alone fails."""

    async def send() -> None:
        async with bank.client() as client:
            for number in range(4):
                await client.send(pb.Swell(bytes=400_000), root="r", command_id=f"swell {number}")
            await client.send(pb.Deposit(amount=1), root="r")
            await client.flush()

    asyncio.run(send())
    worker = bank.worker().start()
    log = until_handled(bank, worker, 5)
    assert [e.kind for e in log.events["r"]] == ["bank.v1.Swollen", "bank.v1.Swollen", "bank.v1.Deposited"]
    assert [dead_letter_id(dead_letter) for dead_letter in log.dead_letters] == ["swell 2", "swell 3"]
    assert all("above the limit of 1048588" in dead_letter.error for dead_letter in log.dead_letters)


@pytest.mark.parametrize("kind", ["events", "snapshots", "replies"])
def test_a_limit_that_only_the_broker_knows(kind: str, bank: Deployment) -> None:
    """A topic's limit lowered while the worker runs: the transaction is refused, and ends; the rest is handled."""
    worker = bank.worker().start().await_ready()
    topic = bank.settings.names.replies if kind == "replies" else bank.topic(kind)
    alter(topics.admin(bank.settings), topic, "max.message.bytes", "20000")

    async def scenario() -> list[Reply]:
        async with bank.client() as client:
            calls = [pb.Deposit(amount=5), pb.Annotate(note=incompressible(50_000)), pb.Deposit(amount=1)]
            return await asyncio.gather(*(client.execute(c, root="r", timeout=30) for c in calls))

    before, large, after = asyncio.run(scenario())
    assert (large.status, large.code) == (Status.FAILED, "too-large")
    assert "max.message.bytes" in large.reason
    assert (before.sequence, after.sequence) == (0, 1)
    log = bank.log().verify()
    assert [dead_letter.error_class for dead_letter in log.dead_letters] == ["RecordTooLarge"]
    assert worker.metrics()['headrace_transactions_in_doubt_total{domain="account"}'] == 0
    assert worker.ready


def alter(admin: AdminClient, topic: str, name: str, value: str) -> None:
    """Change one setting of a topic."""
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(20)


def incompressible(length: int) -> str:
    """Text that no compression makes small."""

    return "".join(random.Random(1).choices("".join(map(chr, range(33, 127))), k=length))


# ---- topics that do not fit


def break_missing(bank: Deployment, admin: AdminClient) -> None:
    admin.delete_topics([bank.topic("snapshots")])[bank.topic("snapshots")].result(20)


def break_partitions(bank: Deployment, admin: AdminClient) -> None:
    admin.create_partitions([NewPartitions(bank.topic("events"), 3)])[bank.topic("events")].result(20)


def break_policy(bank: Deployment, admin: AdminClient) -> None:
    alter(admin, bank.topic("events"), "cleanup.policy", "delete")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (break_missing, "{snapshots} is missing"),
        (break_partitions, "{events} has 3 partitions, but {commands} has 1"),
        (break_policy, "{events} has cleanup.policy=delete, not compact"),
    ],
)
def test_topics_that_do_not_fit(damage: Any, complaint: str, bank: Deployment) -> None:
    """A worker does not start, says what is wrong and which command repairs it, and exits with 3."""
    admin = topics.admin(bank.settings)
    damage(bank, admin)
    kinds = {kind: bank.topic(kind) for kind in ("commands", "events", "snapshots")}
    unfit = topics.wanted(bank.settings, topology)

    def seen() -> list[str]:
        actual = topics.describe(admin, [spec.name for spec in unfit])
        return topics.problems(unfit, actual, fixed_partitions=False)

    until(seen, "the brokers tell of the damage")
    worker = bank.worker().start()
    assert worker.wait() == 3
    said = worker.log.read_text()
    assert complaint.format(**kinds) in said
    assert "headrace topics create" in said
    assert said.count(complaint.format(**kinds)) == 1


# ---- brokers that are away


@pytest.mark.chaos
def test_a_broker_that_is_away(tmp_path: Path) -> None:
    """At the start and later: not ready, says so, does not end, and goes on by itself once the broker is back."""
    with EmbeddedKafka() as kafka, deployed(kafka.bootstrap, tmp_path) as bank:
        kafka.kill()
        worker = bank.worker().start()
        until(lambda: worker.said("waiting for the brokers"), "the worker said that it waits")
        assert not worker.ready
        kafka.restart()
        worker.await_ready()
        assert deposit(bank).sequence == 0

        kafka.kill()
        answer = until(lambda: (a := worker.readiness()) and a["status"] == 503 and a, "the worker was not ready")
        assert answer == {"ready": False, "components": {"account": False}, "status": 503}
        assert worker.page("/healthz")[0] == 200
        kafka.restart()
        worker.await_ready(60)
        assert deposit(bank).sequence == 1
        assert len(worker.said("worker starts")) == 1
        assert 2 <= len(worker.said("waiting for the brokers")) <= 6
        bank.log().verify()

        kafka.kill()
        until(lambda: not worker.ready, "the worker was not ready")
        worker.send(SIGTERM)
        assert worker.wait() == 0, "a worker ends when told to, also without brokers"
        kafka.restart()


def deposit(bank: Deployment) -> Reply:
    """One unit to one account."""

    async def call() -> Reply:
        async with bank.client() as client:
            return await client.execute(pb.Deposit(amount=1), root="r", timeout=60)

    return asyncio.run(call())
