"""The whole poker room while workers die and the broker restarts: not a chip is lost, and nothing is done twice.

CHAOS_MINUTES in the environment plays for so many minutes instead of 2,000 hands: `make chaos MINUTES=10`.
"""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from headrace.embedded import EmbeddedKafka
from headrace.examples.poker.demo.chaos import Chaos, Plan
from headrace.examples.poker.demo.check import Checked, check
from headrace.examples.poker.demo.cluster import QUICK, Workers
from headrace.examples.poker.demo.command import alive
from headrace.examples.poker.demo.play import Play, Played, funds, read_hands
from headrace.examples.poker.demo.watch import watching
from headrace.examples.poker.history import HandHistory
from headrace.streams.admin import topics
from headrace.streams.client import Client
from headrace.streams.settings import Settings
from tests.support import chaos_room
from tests.support.deployment import until
from tests.support.log_timeline import timeline

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]
HANDS, KILLS, RESTARTS = 2000, 20, 2
MINUTES = float(os.environ.get("CHAOS_MINUTES", "0"))
_HANDS_A_SECOND = 100  # no machine plays more than that in chaos


def until_time_is_up(hands: Iterator[HandHistory], seconds: float) -> Iterator[HandHistory]:
    """Hands, as long as there is time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield next(hands)


@pytest.fixture
def kafka() -> Iterator[EmbeddedKafka]:
    """A broker that may be killed."""
    with EmbeddedKafka(properties=QUICK) as running:
        yield running


@pytest.fixture
def settings(kafka: EmbeddedKafka) -> Settings:
    """Those of a deployment on that broker, with its topics."""
    found = Settings(bootstrap=kafka.bootstrap, partitions=4)
    topics.create(found, topics.wanted(found, chaos_room.room))
    return found


@pytest.fixture
def workers(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """Two of them, ready."""
    monkeypatch.setenv("PYTHONPATH", str(Path(chaos_room.__file__).parents[2]))
    both = Workers(settings, 2, tmp_path, tmp_path / "state", "tests.support.chaos_room:room")
    try:
        both.await_ready()
        yield both
    finally:
        both.stop()
        print(timeline(tmp_path))  # noqa: T201


@pytest.mark.timeout(900 + 180 * MINUTES)
def test_a_room_in_chaos_loses_no_chip_and_does_nothing_twice(
    kafka: EmbeddedKafka, settings: Settings, workers: Workers
) -> None:
    """Twenty times kill -9 to a worker, and twice to the broker, while at least 2,000 hands are played."""
    seed = random.randrange(10**6)
    print("seed", seed)  # noqa: T201
    sample = read_hands(None, None)
    planned = int(MINUTES * 60 * _HANDS_A_SECOND) or HANDS
    hands = chaos_room.repeated(sample)
    hands = until_time_is_up(hands, MINUTES * 60) if MINUTES else islice(hands, HANDS)
    brought = {player: amount * (planned // len(sample) + 1) for player, amount in funds(sample).items()}
    chance = random.Random(seed)
    plan = Plan.make(chance, planned, planned * KILLS // HANDS, planned * RESTARTS // HANDS)
    faults = Chaos(workers, kafka, plan, chance, print)
    played = asyncio.run(play(settings, workers, faults, hands, brought))
    workers.stop()
    judge(played, check(settings, played.hands, played, "", hung=workers.hung))
    if not MINUTES:
        assert (len(played.hands), faults.kills, faults.broker_restarts) == (HANDS, KILLS, RESTARTS)


@pytest.mark.skipif(MINUTES > 0, reason="the other one is played for CHAOS_MINUTES")
@pytest.mark.timeout(600)
def test_a_broker_killed_while_a_worker_takes_over_its_partitions(
    kafka: EmbeddedKafka, workers: Workers, tmp_path: Path
) -> None:
    """The groups' coordinator is just coming back when components ask for offsets: they ask again, and go on."""
    log = tmp_path / "worker-1.log"

    def both_ready() -> bool:
        workers.check()
        return workers.ready(0) and workers.ready(1)

    for _ in range(3):
        starts = log.read_bytes().count(b"worker starts")
        workers.restart(0)

        def taking_over(starts: int = starts) -> bool:
            *_, last = log.read_bytes().split(b'"worker starts"')
            return log.read_bytes().count(b"worker starts") > starts and b"partitions assigned" in last

        until(taking_over, "worker 1 got partitions", 60)
        kafka.kill()
        kafka.restart()
        until(both_ready, "both workers were ready", 120)


async def play(
    settings: Settings, workers: Workers, faults: Chaos, hands: Iterator[HandHistory], brought: dict[str, int]
) -> Played:
    """Play while faults strike."""
    async with Client(chaos_room.room, settings) as client, watching(settings) as watch:
        playing = Play(client, watch, gate=faults.gate, orders=chaos_room.orders, at_once=64, patience=3)
        return await alive(playing.run(hands, brought), workers, faults)


def judge(played: Played, checked: Checked) -> None:
    """Everything is there, once."""
    wrong = [f"{root}: {why[:3]}" for root, why in islice(checked.mismatched.items(), 10)]
    assert not wrong, f"{len(checked.mismatched)} roots are wrong:\n" + "\n".join(wrong)
    assert played.rejected == 0
    assert checked.chips_in == checked.chips_out > 0
    asleep = [hand for hand in played.hands if "-asleep-" in hand.root]
    assert checked.timeouts == len(asleep) > 0
    assert checked.facts == len(played.hands)
    assert checked.compensations == played.guests > 0
    assert checked.sagas > 20 * len(played.hands)
    assert played.resent > 0, "no command was ever without an answer; the kills were no test"
