"""Anything that a broker accepts, on all inputs of an aggregate: each record is accounted for, and others go on.

`make fuzz MINUTES=n` does it for longer. FUZZ_SEED gives the same records again.
"""

import asyncio
import json
import os
import random
import string
import time
import uuid
from typing import Any

import psutil
import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from headrace.schemas.headers import ENGINE_ONLY
from tests.support import deadlines
from tests.support.bank import messages_pb2 as pb
from tests.support.deployment import Deployment, Worker, until

MINUTES = float(os.environ.get("FUZZ_MINUTES", "0.25"))
SEED = int(os.environ.get("FUZZ_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(MINUTES * 60 + 300)]

NAMES = ("specversion", "id", "source", "type", "subject", "time", "correlationid", "traceparent", "expectedsequence")
TYPES = ("Open", "Deposit", "Withdraw", "Annotate", "Stash", "Transfer", "Touch", "Swell", "Burst", "Nothing")
Headers = list[tuple[str, str | bytes | None]]


class Fuzzer:
    """Makes records that are more or less wrong, and sends them; the same ones for the same seed."""

    def __init__(self, bank: Deployment, seed: int) -> None:
        self.sent = 0
        self.refused = 0
        self._chance, self._bank = random.Random(seed), bank
        config = {"message.max.bytes": 50_000_000, "queue.buffering.max.kbytes": 500_000, "linger.ms": 5}
        self._producers = [
            Producer(bank.settings.producer() | config | {"compression.type": kind})
            for kind in ("none", "zstd", "gzip", "lz4", "snappy")
        ]

    def send(self, count: int) -> None:
        """So many records, all of which the broker has taken, or refused."""
        for _ in range(count):
            producer = self._chance.choice(self._producers)
            topic = self._bank.topic(self._chance.choices(("commands", "facts", "inbox"), (6, 2, 2))[0])
            partition = self._chance.randrange(self._bank.settings.partitions)
            try:
                producer.produce(
                    topic, self._value(), self._key(), partition, headers=self._headers(), on_delivery=self._delivered
                )
            except (KafkaException, ValueError):  # the client will not even try
                self.refused += 1
        for producer in self._producers:
            assert producer.flush(60) == 0

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.sent += 1
        else:
            self.refused += 1

    def _pick(self, *weighted: tuple[float, Any]) -> Any:
        weights, choices = zip(*weighted, strict=True)
        return self._chance.choices(choices, weights)[0]

    def _key(self) -> bytes | None:
        good = f"root-{self._chance.randrange(20)}".encode()
        odd = (9, self._bytes(60)), (3, b"\x00" + good), (2, self._bytes(3000))
        key: bytes | None = self._pick((60, good), (3, None), (3, b""), *odd)
        return key

    def _value(self) -> bytes | None:
        good = pb.Deposit(amount=self._chance.randrange(-5, 99)).SerializeToString()
        large = bytes(self._chance.randrange(100_000, 900_000))
        packed = b"packs well" * self._chance.randrange(200_000, 2_000_000)
        odd = (16, self._bytes(300)), (8, self._json()), (1, large), (0.2, packed)
        value: bytes | None = self._pick((60, good), (3, None), (3, b""), *odd)
        return value

    def _json(self) -> bytes:
        amount: Any = self._chance.choice(["NaN", 1e400, "1", -1, None, [], {}, "x" * 99])
        deep = b"[" * self._chance.choice((0, 0, 300, 5000))
        return deep + json.dumps({"amount": amount}).encode()

    def _headers(self) -> Headers:
        chance = self._chance
        ours = ("headrace.v1.Query", "headrace.v1.Reply", "headrace.v1.QueryResult")
        kind = self._pick((12, f"bank.v1.{chance.choice(TYPES)}"), (2, chance.choice(ours)))
        headers: Headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", uuid.UUID(int=chance.getrandbits(128)).hex.encode()),
            ("ce_source", b"/fuzz"),
            ("ce_type", kind.encode()),
        ]
        if chance.random() < 0.3:
            types = [b"application/json", b"application/avro", b"x/y", b"\xff"]
            headers.append(("content-type", chance.choice(types)))
        for _ in range(chance.choice((0, 0, 1, 2, 5))):
            name = f"ce_{chance.choice(NAMES)}" if chance.random() < 0.5 else chance.choice(sorted(ENGINE_ONLY))
            if chance.random() < 0.1:
                name = "".join(chance.choices(string.printable, k=chance.randrange(1, 40)))
            headers.append((name, self._header()))
        if chance.random() < 0.5:
            replies, inbox = self._bank.settings.names.replies, self._bank.topic("inbox")
            target = chance.choice([f"{replies}/0", f"{replies}/99", f"{inbox}/99"])
            headers.append(("ce_replyto", target.encode()))
        chance.shuffle(headers)
        return headers[: chance.choice((len(headers), len(headers), len(headers), 3))]

    def _header(self) -> bytes | None:
        odd = [None, b"", b"1", b"-1", b"9" * 40, b"\xff\xfe", b"\x00", b">" * 70, b"nobody:root-1"]
        return self._chance.choice([*odd, self._bytes(60), self._bytes(5000)])

    def _bytes(self, most: int) -> bytes:
        return self._chance.randbytes(self._chance.randrange(most))


def handled(worker: Worker) -> int:
    """Records that came to some end; one that is forwarded comes to it elsewhere."""
    found = worker.metrics()
    ends = ("accepted", "rejected", "failed", "repeated", "queries", "discarded")
    names = [f'headrace_records_processed_total{{domain="account",outcome="{end}"}}' for end in ends]
    return int(sum(found.get(name, 0) for name in names))


def test_whatever_comes(bank: Deployment) -> None:
    print(f"seed {SEED}")  # noqa: T201  (pytest shows it when it fails)
    worker = bank.worker().start().await_ready()
    assert worker.process is not None
    process = psutil.Process(worker.process.pid)
    fuzzer = Fuzzer(bank, SEED)
    good, end, memory = 0, time.monotonic() + MINUTES * 60, 0

    async def others_go_on() -> int:
        async with bank.client() as client:
            for number in range(5):
                reply = await client.execute(pb.Deposit(amount=1), root=f"good-{number}", timeout=60)
                assert reply.accepted
        return 5

    rounds = 0
    while time.monotonic() < end or rounds < 3:
        fuzzer.send(300)
        good += asyncio.run(others_go_on())
        expected = fuzzer.sent + good
        until(lambda: handled(worker) >= expected, f"all {expected} records came to an end; seed {SEED}", 60)  # noqa: B023
        rounds += 1
        memory = memory or process.memory_info().rss
    assert handled(worker) == fuzzer.sent + good, f"seed {SEED}"
    assert process.memory_info().rss < memory + 400 * 1024 * 1024, f"memory grew; seed {SEED}"
    assert fuzzer.sent > 10 * fuzzer.refused, "most of it reached the broker"
    assert worker.ready
    assert worker.stop() < deadlines.seconds(5)
