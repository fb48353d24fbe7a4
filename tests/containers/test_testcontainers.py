"""The engine on Apache Kafka's own image with its own settings, as others start it in their tests."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from headrace.embedded.broker import free_ports
from headrace.streams.client import Status
from tests.support import deadlines
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import deployed, until

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def bootstrap(kafka_image: str) -> Iterator[str]:
    """A single broker in a container."""
    # It cleans up after tests that were killed, but is an image more to fetch.
    testcontainers_config.ryuk_disabled = True
    container = DockerContainer(kafka_image)
    # Chosen here and not by Docker, for the broker must be told by what address it is reached.
    address = f"{container.get_docker_client().host()}:{free_ports(1)[0]}"
    container.with_bind_ports(9092, int(address.rpartition(":")[2]))
    container.with_envs(
        KAFKA_NODE_ID="1",
        KAFKA_PROCESS_ROLES="broker,controller",
        # The broker speaks to itself too, and cannot by the address that holds outside.
        KAFKA_LISTENERS="INNER://:19092,OUTER://:9092,CONTROLLER://:9093",
        KAFKA_ADVERTISED_LISTENERS=f"INNER://localhost:19092,OUTER://{address}",
        KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="INNER:PLAINTEXT,OUTER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        KAFKA_INTER_BROKER_LISTENER_NAME="INNER",
        KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
        KAFKA_CONTROLLER_QUORUM_VOTERS="1@localhost:9093",
        KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR="1",
        KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR="1",
        KAFKA_TRANSACTION_STATE_LOG_MIN_ISR="1",
    )
    with container:

        def answers() -> bool:
            try:
                return bool(admin.list_topics(timeout=2).brokers)
            except KafkaException:
                return False

        admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
        until(answers, "Kafka answered", 60)
        yield address


def test_commands_are_answered_and_outlive_a_worker(bootstrap: str, tmp_path: Path) -> None:
    with deployed(bootstrap, tmp_path) as bank:
        worker = bank.worker().start().await_ready(60)

        async def talk() -> None:
            async with bank.client() as client:
                opened = await client.execute(pb.Open(owner="Ann"), root="a")
                assert (opened.status, opened.sequence) == (Status.ACCEPTED, 0)
                for amount in (5, 7):
                    await client.execute(pb.Deposit(amount=amount), root="a")
                refused = await client.execute(pb.Withdraw(amount=13), root="a")
                assert (refused.status, refused.code) == (Status.REJECTED, "funds")

                # Not killed: a broker with its own settings would wait 45 s for a worker that does not say good-bye.
                assert worker.stop() < deadlines.seconds(5)
                worker.start().await_ready(60)
                taken = await client.execute(pb.Withdraw(amount=12), root="a")
                assert (taken.status, taken.sequence) == (Status.ACCEPTED, 3)
                state = await client.state("a")
                assert (state.owner, state.balance) == ("Ann", 0)

        asyncio.run(talk())
        bank.log().verify()
