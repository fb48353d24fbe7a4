"""Sends commands with aiokafka, by nothing but docs/record-format.md; senders.py says what comes in and goes out.

Values are protobuf. The producer is not idempotent, which is aiokafka's default: what it sends again by itself may be
in the topic twice. Arguments: bootstrap servers, topic, milliseconds of one attempt; and `crc32` for the partitioner
that librdkafka has by default, which is not the right one.
"""

import asyncio
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from google.protobuf import json_format, message_factory

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.support.bank import messages_pb2

_BANK = message_factory.GetMessageClassesForFiles([messages_pb2.DESCRIPTOR.name], messages_pb2.DESCRIPTOR.pool)


async def deliver(producer: Any, topic: str, line: str) -> None:
    """Send a command until it is at the broker, each time with the same id."""
    identity, root, kind, text, *attributes = line.rstrip("\n").split("\t")
    headers = {
        "ce_specversion": "1.0",
        "ce_id": identity,
        "ce_source": "/foreign/aiokafka",
        "ce_type": kind,
        "content-type": "application/protobuf",
    }
    headers |= {f"ce_{name}": value for name, _, value in (attribute.partition("=") for attribute in attributes)}
    value = json_format.Parse(text, _BANK[kind]()).SerializeToString()
    while True:
        try:
            place = await producer.send_and_wait(
                topic, value, root.encode(), headers=[(name, value.encode()) for name, value in headers.items()]
            )
        except KafkaError as error:
            say("failed", identity, type(error).__name__)
            await asyncio.sleep(0.1)  # without brokers it may fail at once
        else:
            say("sent", identity, str(place.partition))
            return


def say(*words: str) -> None:
    """To whoever started this program."""
    print("\t".join(words), flush=True)  # noqa: T201


def crc32(key: bytes, every: Sequence[int], _: Sequence[int]) -> int:
    """A partition as librdkafka chooses it."""
    return every[zlib.crc32(key) % len(every)]


async def main(bootstrap: str, topic: str, attempt: str, *other: str) -> None:
    """Deliver what comes, until no more does."""
    loop = asyncio.get_running_loop()
    partitioner = {"partitioner": crc32} if other else {}
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", request_timeout_ms=int(attempt), **partitioner)
    await producer.start()
    try:
        async with asyncio.TaskGroup() as deliveries:
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                deliveries.create_task(deliver(producer, topic, line))
    finally:
        await producer.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
