"""Workers of a component are added and taken away under load: each step exact, and no lag left behind.

What a step handles per second is printed (pytest -s), and held against nothing: on two cores, which the broker, the
workers and this test share, it does not grow with the number of workers as it would where each has a core of its own.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Producer

from headrace.schemas.record import Record
from headrace.testing.request import request
from tests.support import deadlines
from tests.support.bank.accounts import topology
from tests.support.bank.messages_pb2 import Deposit
from tests.support.deployment import Deployment, Worker, deployed, until
from tests.support.lag import lag

pytestmark = pytest.mark.kafka
PARTITIONS = 8
RATE = 500
"""Commands per second on a fast machine while workers come and go."""
BURST = 10_000
"""Commands at once, when the workers of a step are there."""


@pytest.fixture
def bank(bootstrap: str, tmp_path: Path) -> Iterator[Deployment]:
    with deployed(bootstrap, tmp_path, partitions=PARTITIONS) as deployment:
        yield deployment


class OpenLoop:
    """Deposits, sent when their time has come, whatever has become of those before."""

    def __init__(self, bank: Deployment) -> None:
        self.sent: dict[str, list[str]] = defaultdict(list)
        """Ids of the commands of each root, in order."""
        self.count = 0
        self._topic = bank.topic("commands")
        self._replies, self._reply_partitions = bank.settings.names.replies, bank.settings.reply_partitions
        self._producer = Producer(bank.settings.producer(enable_idempotence=True, linger_ms=5))
        self._stop = threading.Event()

    def start(self, rate: float) -> None:
        """So many commands per second from now on."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._keep_pace, args=(rate,), daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """No more; all are at the broker then."""
        self._stop.set()
        self._thread.join()
        self._flush()

    def prepared(self, number: int) -> list[Record]:
        """The next commands, to be sent before any others: making them takes as long as handling them."""
        return [self._next() for _ in range(number)]

    def burst(self, commands: list[Record]) -> None:
        """All of them at once."""
        for command in commands:
            self._send(command)
        self._flush()

    def _flush(self) -> None:
        assert self._producer.flush(deadlines.seconds(30)) == 0

    def _next(self) -> Record:
        identity, root = f"deposit-{self.count}", f"account-{self.count % 97}"
        target = f"{self._replies}/{self.count % self._reply_partitions}"
        self.sent[root].append(identity)
        self.count += 1
        return request(self._topic, Deposit(amount=1), root, time=0, command_id=identity, reply_to=target)

    def _send(self, command: Record) -> None:
        self._producer.produce(command.topic, command.value, command.key, headers=list(command.headers.items()))
        self._producer.poll(0)

    def _keep_pace(self, rate: float) -> None:
        begun, first = time.monotonic(), self.count
        while not self._stop.wait(max(0.0, begun + (self.count - first) / rate - time.monotonic())):
            self._send(self._next())


@dataclass
class Step:
    """How a number of workers has handled a burst."""

    workers: int
    most: int
    """The highest lag that was seen."""
    seconds: float

    def __str__(self) -> str:
        return f"{self.workers:7} {BURST:9,} {self.most:11,} {self.seconds:8.2f} {BURST / self.seconds:11,.0f}"


def step(bank: Deployment, load: OpenLoop, workers: list[Worker]) -> Step:
    """Commands flow until the workers share all partitions, then stop until there is no lag; then comes the burst."""
    share = [PARTITIONS // len(workers)] * len(workers)
    until(lambda: [held(worker) for worker in workers] == share, f"each had {share[0]} partitions", 60)
    goal = load.count + 500
    until(lambda: load.count > goal, "500 more commands were sent", 60)
    load.pause()
    no_lag(bank)
    sender = threading.Thread(target=load.burst, args=(load.prepared(BURST),), daemon=True)
    begun = time.monotonic()
    sender.start()
    done = Step(len(workers), no_lag(bank, sender), time.monotonic() - begun)
    check(bank, load)
    return done


def no_lag(bank: Deployment, sender: threading.Thread | None = None) -> int:
    """Wait until the group has none, as Kafka counts it, and a sender has sent all; the most that was seen."""
    seen: list[int] = []

    def none() -> bool:
        all_sent = sender is None or not sender.is_alive()
        seen.append(lag(bank.settings, topology, "account"))
        return all_sent and seen[-1] == 0

    until(none, "the group had no lag", 60)
    return max(seen)


def held(worker: Worker) -> int:
    """Partitions in which a worker handles commands; -1 while some are restored."""
    return int(worker.metrics()['headrace_partitions{domain="account"}']) if worker.ready else -1


def check(bank: Deployment, load: OpenLoop) -> None:
    """All commands were decided, each once and in the order of its root, and answered once."""
    log = bank.log().verify()
    assert log.events.keys() == load.sent.keys()
    for root, identities in load.sent.items():
        assert [event.cause for event in log.events[root]] == identities, f"{root}: not what was sent, in that order"
        assert log.states[root][-1]["balance"] == len(identities)
    answers = {identity: len(replies) for identity, replies in log.replies.items()}
    assert answers == {identity: 1 for identities in load.sent.values() for identity in identities}


def test_from_one_worker_to_four_and_back(bank: Deployment) -> None:
    """Three join at once under load, and then three leave, the first one among them."""
    load, rate = OpenLoop(bank), RATE / deadlines.slowness()
    first, second, third, last = workers = [bank.worker(f"w{number}") for number in range(4)]
    load.start(rate)
    first.start()
    steps = [step(bank, load, [first])]
    load.start(rate)
    for worker in (second, third, last):
        worker.start()
    steps.append(step(bank, load, workers))
    load.start(rate)
    for worker in (first, second, third):
        worker.stop()
    steps.append(step(bank, load, [last]))
    print("\nworkers  commands highest lag  seconds  per second", *steps, sep="\n")  # noqa: T201
