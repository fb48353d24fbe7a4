"""No record and no batch stops a worker for good, whatever it is or does: the next ones are handled."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from confluent_kafka import Producer

from headrace.schemas.headrace_v1_pb2 import DeadLetter
from headrace.streams.client import Client
from headrace.streams.state.topic_reader import read
from headrace.topology.partitioner import partition_of
from headrace.topology.reply import Reply
from tests.support import deadlines
from tests.support.bank import messages_pb2 as pb
from tests.support.damage import WHOLE, damage
from tests.support.deployment import Deployment, until

pytestmark = pytest.mark.kafka


def execute(bank: Deployment, *commands: object, roots: Sequence[str] = ("r",), timeout: float = 60) -> list[Reply]:
    """The answers, one after the other, of one root after the other."""

    async def go() -> list[Reply]:
        async with bank.client() as client:
            return [
                await client.execute(command, root=root, timeout=timeout)  # type: ignore[arg-type]
                for root in roots
                for command in commands
            ]

    return asyncio.run(go())


def test_a_header_name_that_is_not_utf_8(bank: Deployment) -> None:
    """The client library cannot read it, at each start again."""
    worker = bank.worker().start().await_ready()
    send_odd_header(bank)
    assert execute(bank, pb.Deposit(amount=2))[0].accepted
    until(lambda: list(read(bank.settings, bank.topic("dead-letters"))), "the odd one was a dead letter")
    (message,) = read(bank.settings, bank.topic("dead-letters"))
    assert "name is not UTF-8" in DeadLetter.FromString(message.value() or b"").error
    worker.stop()
    worker.start().await_ready()
    assert execute(bank, pb.Deposit(amount=3))[0].sequence == 1


SEND = """
import asyncio, sys
from aiokafka import AIOKafkaProducer

class Name(str):
    def encode(self, *_):
        return b"ce_odd\\xff\\xfe"

async def go():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        await producer.send_and_wait(sys.argv[2], b"x", b"r", headers=[(Name("odd"), b"x")])

asyncio.run(go())
"""


def send_odd_header(bank: Deployment) -> None:
    """A record as another language's client may send it; this one's fast code takes nothing but text."""
    environment = os.environ | {"AIOKAFKA_NO_EXTENSIONS": "1"}
    command = [sys.executable, "-c", SEND, bank.settings.bootstrap, bank.topic("commands")]
    subprocess.run(command, check=True, env=environment, timeout=60)


def test_slow_handlers_and_a_backlog(bank: Deployment) -> None:
    """At 20 ms each, a batch of all would outlast its transaction of two seconds, and come again for ever."""
    count = 200

    async def send(client: Client) -> None:
        for number in range(count):
            await client.send(pb.Burst(how="slow"), root=f"root-{number % 7}")
        await client.flush()

    async def go() -> None:
        async with bank.client() as client:
            await send(client)

    asyncio.run(go())
    worker = bank.worker(HEADRACE_TRANSACTION_TIMEOUT=2).start()
    bank.await_handled()
    found = worker.metrics()
    assert found['headrace_records_processed_total{domain="account",outcome="accepted"}'] == count
    assert found['headrace_transactions_in_doubt_total{domain="account"}'] == 0
    assert worker.stop() < deadlines.seconds(5)


@pytest.mark.parametrize("how", ["exit", "interrupt", "deep", "endless"])
def test_a_handler_that_would_end_the_process(how: str, bank: Deployment) -> None:
    worker = bank.worker().start().await_ready()
    failed, accepted = execute(bank, pb.Burst(how=how), pb.Deposit(amount=1))
    assert (failed.status, accepted.status) == ("failed", "accepted")
    assert worker.page("/healthz") == (200, '{"status":"ok"}')
    assert worker.stop() < deadlines.seconds(5)


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("CURRENT", WHOLE),
        ("MANIFEST-*", WHOLE),
        ("*.sst", (0.0, 0.05)),  # its own notes, and results
        ("*.sst", (0.05, 0.33)),
        ("*.sst", (0.33, 0.6)),
        ("*.sst", (0.6, 0.9)),  # states
    ],
)
def test_damaged_files_are_made_anew_once(pattern: str, part: tuple[float, float], bank: Deployment) -> None:
    """Neither is the store restored in a loop, nor are good commands dead letters."""
    worker = bank.worker().start().await_ready()
    roots = [f"root-{number}" for number in range(60)]
    execute(bank, pb.Annotate(note="x" * 2000), roots=roots)
    execute(bank, pb.Deposit(amount=1))
    worker.stop()
    worker.start().await_ready()  # what was in a log file is in tables now
    worker.stop()
    assert damage(worker.folder / "0", pattern, part) > 0
    worker.start().await_ready()
    assert execute(bank, pb.Deposit(amount=2))[0].sequence == 1
    assert {reply.sequence for reply in execute(bank, pb.Deposit(amount=1), roots=roots)} == {1}
    assert worker.said("a store is damaged, and made anew from the log")
    assert not bank.log().verify().dead_letters
    assert worker.ready


def produce(bank: Deployment, *values: bytes, compression: str) -> None:
    """Records with keys and nothing else that is right, compressed."""
    config = {
        "compression.type": compression,
        "message.max.bytes": 500_000_000,
        "queue.buffering.max.kbytes": 1_000_000,
    }
    producer = Producer(bank.settings.producer(enable_idempotence=True) | config | {"linger.ms": 200})
    failed: list[object] = []
    for value in values:
        producer.produce(bank.topic("commands"), value, b"r", 0, on_delivery=lambda e, _: failed.append(e))
    assert producer.flush(60) == 0
    assert failed == [None] * len(values)


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_a_small_record_of_many_zeros(compression: str, bank: Deployment) -> None:
    """The client cannot unpack it and comes no further by itself; it is kept by reference."""
    worker = bank.worker().start().await_ready()
    produce(bank, bytes(120_000_000), compression=compression)
    root = next(f"root-{n}" for n in range(100) if partition_of(f"root-{n}".encode(), bank.settings.partitions) == 0)
    assert execute(bank, pb.Deposit(amount=2), roots=[root])[0].accepted
    (message,) = read(bank.settings, bank.topic("dead-letters"))
    dead_letter = DeadLetter.FromString(message.value() or b"")
    assert (dead_letter.offset, dead_letter.value) == (0, b"")
    assert worker.ready


def test_a_value_larger_than_a_dead_letter_may_be(bank: Deployment) -> None:
    """Packed it is small; whole it would be above the limit of its dead letter, again and again."""
    worker = bank.worker().start().await_ready()
    produce(bank, b"packs well" * 3_000_000, compression="zstd")
    root = next(f"root-{n}" for n in range(100) if partition_of(f"root-{n}".encode(), bank.settings.partitions) == 0)
    assert execute(bank, pb.Deposit(amount=2), roots=[root])[0].accepted
    (message,) = read(bank.settings, bank.topic("dead-letters"))
    dead_letter = DeadLetter.FromString(message.value() or b"")
    assert (dead_letter.omitted, dead_letter.value) == (30_000_000, b"")
    assert worker.ready
