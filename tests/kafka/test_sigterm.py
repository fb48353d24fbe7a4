"""SIGTERM ends a worker within five seconds, whatever it is doing, and nothing is lost or done twice."""

import asyncio
import socket

import pytest

from headrace.schemas.changelog import RESULTS
from headrace.schemas.headrace_v1_pb2 import CommandResults
from headrace.streams.state.topic_reader import read
from tests.support import deadlines
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import Deployment, Worker, until

pytestmark = pytest.mark.kafka


def send(bank: Deployment, count: int) -> None:
    """Commands whose handler takes 20 ms each."""

    async def go() -> None:
        async with bank.client() as client:
            for number in range(count):
                await client.send(pb.Burst(how="slow"), root=f"root-{number % 7}")
            await client.flush()

    asyncio.run(go())


def accepted(worker: Worker) -> float:
    return worker.metrics().get('headrace_records_processed_total{domain="account",outcome="accepted"}', 0)


def results(bank: Deployment) -> list[bytes]:
    """Commands with a result in the changelog."""
    changelog = [(m.key() or b"", m.value() or b"") for m in read(bank.settings, bank.topic("snapshots"))]
    return [
        name for key, value in changelog if key.startswith(RESULTS) for name in CommandResults.FromString(value).keys
    ]


def test_in_the_middle_of_slow_handlers(bank: Deployment) -> None:
    send(bank, 600)
    worker = bank.worker().start().await_ready()
    until(lambda: accepted(worker) > 0, "some are handled")
    assert worker.stop() < deadlines.seconds(5)
    first = results(bank)
    assert 0 < len(first) < 600
    worker.start().await_ready()
    until(lambda: accepted(worker) == 600 - len(first), "the rest is handled, and only that", 60)
    assert len(results(bank)) == len(set(results(bank))) == 600


def test_while_connections_are_held_open(bank: Deployment) -> None:
    """Some of them say nothing, and one has begun a request whose body does not come."""
    worker = bank.worker().start().await_ready()
    held = [socket.create_connection(("127.0.0.1", worker.port)) for _ in range(20)]
    about = "POST /dead-letters/replay HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    held[0].sendall(f"{about}Content-Length: 100\r\n\r\n{{".encode())
    assert worker.page("/healthz")[0] == 200
    assert worker.stop() < deadlines.seconds(5)
    for connection in held:
        connection.close()
