"""One partition number, one writer, whatever the releases of a group's members read (invariant 6)."""

import asyncio
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer

from headrace.testing.request import request
from tests.support.bank.messages_pb2 import Deposit
from tests.support.deployment import Deployment, Load, Worker, until

pytestmark = pytest.mark.kafka


class Sagas:
    """Sends commands to the inbox, as sagas do, for the roots of a load."""

    def __init__(self, bank: Deployment, seed: int, roots: int) -> None:
        self.sent = 0
        self._topic, self._seed, self._roots = bank.topic("inbox"), seed, roots
        self._producer = Producer(bank.settings.producer(enable_idempotence=True, linger_ms=5))
        self._stop = threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        thread = threading.Thread(target=self._send)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            assert self._producer.flush(30) == 0

    def _send(self) -> None:
        while not self._stop.wait(0.002):
            root = f"account-{self._seed}-{self.sent % self._roots}"
            sent = request(self._topic, Deposit(amount=1), root, time=0, command_id=uuid.uuid4().hex)
            self._producer.produce(sent.topic, sent.value, sent.key, headers=list(sent.headers.items()))
            self._producer.poll(0)
            self.sent += 1


def test_a_rolling_upgrade_that_adds_an_input_leaves_each_root_with_one_writer(bank: Deployment) -> None:
    """Members of two releases, of which one reads one topic more; they join and leave under load."""
    old = [bank.worker(f"old-{number}", BANK_INPUTS="commands,facts") for number in range(3)]
    new = [bank.worker(f"new-{number}") for number in range(3)]
    sagas = Sagas(bank, 7, 30)

    async def scenario() -> None:
        async with bank.client() as client:
            for worker in old:
                worker.start()
            for worker in old:  # whoever is told to end before it has begun just ends
                await asyncio.to_thread(worker.await_ready)
            load = Load(client, 7, callers=16, roots=30, patience=8)
            await load.progress(300)
            with sagas.at_work():
                for leaves, joins in zip(old, new, strict=True):
                    await asyncio.to_thread(joins.start().await_ready)
                    await load.progress(300)
                    await asyncio.to_thread(leaves.stop)
                    await load.progress(300)
                guest = bank.worker("guest", BANK_INPUTS="commands")  # of a release still older
                await asyncio.to_thread(guest.start().await_ready)
                await load.progress(300)
                await asyncio.to_thread(guest.stop)
                await asyncio.to_thread(new[0].stop)
                await load.progress(300)
            await load.finish()

    asyncio.run(scenario())
    _read_all(bank, sagas, new[1])
    assert sagas.sent > 100


def _read_all(bank: Deployment, sagas: Sagas, worker: Worker) -> None:
    bank.await_handled()
    until(lambda: len(bank.log().verify().inbox) == sagas.sent, "each command of the inbox was decided once", 60)
    assert worker.ready
