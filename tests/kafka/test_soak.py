"""The poker room for a long time, with faults of all kinds; after each one everything is settled, and checked.

`make soak MINUTES=30` runs it; it is no part of `make test`. SOAK_SEED gives the same faults in the same order.
"""

import asyncio
import os
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException

from headrace.embedded import EmbeddedKafka
from headrace.examples.poker.demo.cluster import QUICK
from headrace.examples.poker.demo.play import Play, Played, funds, read_hands
from headrace.examples.poker.demo.watch import watching
from headrace.examples.poker.history import HandHistory
from headrace.streams.admin import topics
from headrace.streams.client import Client
from headrace.streams.runtime.committed_offsets import HANGING_OFFSETS
from headrace.streams.settings import Settings
from tests.support import chaos_room, deadlines
from tests.support.groups import behind
from tests.support.log_timeline import timeline
from tests.support.memory import Life, Memory
from tests.support.room_reader import RoomReader
from tests.support.small_disk import SmallDisk
from tests.support.soak_faults import MADE_ANEW, Faults, RoomWorker

MINUTES = float(os.environ.get("SOAK_MINUTES", "0"))
SEED = int(os.environ.get("SOAK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
pytestmark = [
    pytest.mark.kafka,
    pytest.mark.chaos,
    pytest.mark.skipif(MINUTES == 0, reason="it takes minutes; make soak MINUTES=10 runs it"),
    pytest.mark.timeout(MINUTES * 60 + 1800),
]
_AT_ONCE = 16  # hands: load enough that each fault meets open transactions, and few enough that they are soon over
_HANDS_A_SECOND = 100  # no machine plays more than that
_WARM, _LONG = 60.0, 150.0  # seconds after which a worker has filled its caches, and has lived long enough to compare
_GROWTH = 64.0  # MB
_LIVE_STATES = (
    200  # of each component: by default 100,000, and memory would grow with the hands until there are as many
)
_SECONDS = 120.0  # to recover, or to be settled, on a fast machine


class Soak:
    """Rounds of load, each with one fault, until time is up."""

    def __init__(self, settings: Settings, faults: Faults, memory: Memory, folder: Path) -> None:
        self.recoveries: dict[str, list[float]] = defaultdict(list)
        """Seconds from the beginning of each fault until hands were played again, by kind."""
        self.played: Counter[str] = Counter()
        self.reader = RoomReader(settings)
        self._settings, self._faults, self._memory, self._folder = settings, faults, memory, folder
        self._chance = random.Random(SEED)
        sample = read_hands(None, None)
        most = int(MINUTES * 60 * _HANDS_A_SECOND) // len(sample) + 1
        self._brought = {player: amount * most for player, amount in funds(sample).items()}
        self._hands = chaos_room.repeated(sample)
        self._enough = False
        self._done = 0
        self._behind: list[str] = []
        """What was not handled yet, when it was last asked for."""

    async def run(self) -> None:
        """One round after the other."""
        started = time.monotonic()
        async with Client(chaos_room.room, self._settings) as client, watching(self._settings) as watch:
            despair = deadlines.seconds(2 * _SECONDS)
            play = Play(client, watch, self._progress, orders=chaos_room.orders, at_once=_AT_ONCE, patience=3)
            play.despair = despair
            for number, (kind, strike) in enumerate(self._faults.kinds(), 1):
                told, seconds = await self._round(play, kind, strike)
                self.recoveries[kind.removesuffix(" again")].append(seconds)
                minutes = (time.monotonic() - started) / 60
                sizes = ", ".join(f"{life.name} {life.last:.0f}" for life in self._memory.living())
                print(  # noqa: T201
                    f"{number:4} {minutes:5.1f} min  seed {SEED}  {kind}: {told}; {seconds:.1f} s to recover; "
                    f"{self.reader.records:,} records, {self.played['hands']:,} hands; RSS in MB: {sizes}",
                    flush=True,
                )
                if minutes >= MINUTES:
                    return

    async def _round(self, play: Play, kind: str, strike: Callable[[], str]) -> tuple[str, float]:
        """Load, a fault in the middle of it, recovery, the end of the load, and a look at all that was written."""
        self._enough, self._done = False, 0
        brought, self._brought = self._brought, {}
        playing = asyncio.create_task(play.run(self._until_enough(), brought))
        try:
            some = self._chance.randint(5, 40)
            await self._eventually(playing, lambda: self._done >= some, f"{some} hands were played before: {kind}")
            began = time.monotonic()
            told = await self._strike(playing, strike)
            begun = len(play.played.hands)
            await self._eventually(playing, self._all_ready, f"all workers were ready after: {kind}, {told}")
            # one more than had begun: so one that began afterwards is over
            await self._eventually(playing, lambda: self._done > begun, f"hands were played after: {kind}, {told}")
            seconds = time.monotonic() - began
            self._enough = True
            await playing
        finally:
            playing.cancel()
        await self._eventually(None, self._handled, f"all inputs were handled after: {kind}, {told}")
        played, play.played = play.played, Played()
        try:
            await asyncio.to_thread(self.reader.check, played, may_send_again=self._hung)
        except AssertionError as error:
            raise AssertionError(f"after: {kind}, {told}; seed {SEED}: {error}") from error
        self.played += Counter(hands=len(played.hands), commands=played.commands, resent=played.resent)
        return told, seconds

    async def _strike(self, playing: "asyncio.Task[Played]", strike: Callable[[], str]) -> str:
        """Let the fault happen; what ends the play meanwhile ends this."""
        striking = asyncio.create_task(asyncio.to_thread(strike))
        await asyncio.wait([playing, striking], return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()
        return await striking

    async def _eventually(
        self, playing: "asyncio.Task[Played] | None", condition: Callable[[], bool], what: str
    ) -> None:
        """Wait for a condition, while all workers that are meant to run do so, and play goes on."""
        deadline = time.monotonic() + deadlines.seconds(_SECONDS)
        while not await asyncio.to_thread(condition):
            for worker in self._faults.running:
                assert worker.alive, f"{worker.folder.name} has ended by itself; seed {SEED}:\n{worker.tail()}"
            if playing is not None and playing.done():
                playing.result()
            assert time.monotonic() < deadline, (
                f"within {_SECONDS:g} s it did not happen that {what}; seed {SEED}; {self._behind[:5]}"
            )
            await asyncio.sleep(0.1)

    def _until_enough(self) -> Iterator[HandHistory]:
        while not self._enough:
            yield next(self._hands)

    def _progress(self, done: int) -> None:
        self._done = done

    def _all_ready(self) -> bool:
        return all(worker.ready for worker in self._faults.running)

    def _handled(self) -> bool:
        try:
            self._behind = behind(self._settings, chaos_room.room)
        except KafkaException as error:  # of a broker that is just coming back
            self._behind = [str(error)]
        return not self._behind

    @property
    def _hung(self) -> bool:
        return self.said(HANGING_OFFSETS) > 0

    def said(self, text: str) -> int:
        """How often workers have said something."""
        return sum(log.read_bytes().count(text.encode()) for log in self._folder.glob("*/worker.log"))


@pytest.fixture
def kafka() -> Iterator[EmbeddedKafka]:
    """A broker that may be killed, and restarted under load.

    A lone one that tells the controller when it goes loses what it leads while it still ends transactions, and may
    leave one hanging (docs/adr/0020).
    """
    with EmbeddedKafka(properties=QUICK | {"controlled.shutdown.enable": False}) as running:
        yield running


@pytest.fixture
def settings(kafka: EmbeddedKafka) -> Settings:
    """Those of a deployment on that broker, with its topics."""
    found = Settings(bootstrap=kafka.bootstrap, partitions=4)
    topics.create(found, topics.wanted(found, chaos_room.room))
    return found


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[list[RoomWorker]]:
    """Three of them, not started yet."""
    found = [
        RoomWorker(tmp_path / f"worker-{number}", settings, HEADRACE_LIVE_STATES=_LIVE_STATES) for number in (1, 2, 3)
    ]
    try:
        yield found
    finally:
        for worker in found:
            worker.end()
        print(timeline(tmp_path))  # noqa: T201


@pytest.fixture
def disks(workers: list[RoomWorker], tmp_path: Path) -> Iterator[list[SmallDisk]]:
    """One for each worker's stores; none where this user may not mount any."""
    found: list[SmallDisk] = []
    try:
        if SmallDisk.possible(tmp_path / "try"):
            found += [SmallDisk(worker.folder / "0") for worker in workers]
        yield found
    finally:
        for worker in workers:
            if worker.alive:
                worker.kill()
        for disk in found:
            disk.close()


def test_the_room_recovers_from_each_fault_and_its_memory_is_flat(
    kafka: EmbeddedKafka, settings: Settings, workers: list[RoomWorker], disks: list[SmallDisk], tmp_path: Path
) -> None:
    print(f"\nseed {SEED}, {MINUTES:g} minutes", "" if disks else "; without full disks, as only root can mount one")  # noqa: T201
    faults = Faults(kafka, settings, workers, disks, SEED)
    for worker in faults.running:
        worker.start()
    for worker in faults.running:
        worker.await_ready(_SECONDS)

    def processes() -> list[tuple[str, int]]:
        pids: list[tuple[str, Any]] = [(w.folder.name, w.process.pid) for w in workers if w.process and w.alive]
        return pids

    with Memory(processes).watched() as memory:
        soak = Soak(settings, faults, memory, tmp_path)
        asyncio.run(soak.run())
    report(soak, memory)
    damaged = len(soak.recoveries["damaged store"])
    assert soak.said(MADE_ANEW) or damaged < 3, "no store was ever made anew; damage was no test"
    check_memory(memory.lives)


def report(soak: Soak, memory: Memory) -> None:
    """The figures of the whole run."""
    lines = [f"{soak.reader.records:,} records; " + ", ".join(f"{n:,} {what}" for what, n in soak.played.items())]
    lines += [
        f"{kind}: {len(found)} times, {statistics.median(found):.1f} s to recover, {max(found):.1f} s at most"
        for kind, found in sorted(soak.recoveries.items())
    ]
    for life in memory.lives:
        marks = [life.between(age, age + 10) for age in range(10, int(life.age), 20)]
        lines.append(f"{life.name}, pid {life.pid}: " + " ".join("-" if m is None else f"{m:.0f}" for m in marks))
    print("\n".join(lines), flush=True)  # noqa: T201


def check_memory(lives: list[Life]) -> None:
    """Flat in each long life, and in short ones no higher at the end of the run than others at that age before.

    What it may grow by are stores: each keeps what was written last in memory, up to 16 MB, and all share a cache.
    """
    found = [(life.name, medians) for life in lives if life.age >= _LONG and (medians := life.thirds(_WARM))]
    assert found or MINUTES < 5, "no worker lived long enough to say anything of its memory"
    young = [size for life in lives if (size := life.between(20, 40))]
    if third := len(young) // 3:
        found.append(
            ("20 to 40 s after a start", (statistics.median(young[:third]), statistics.median(young[-third:])))
        )
    for name, (first, last) in found:
        print(f"memory of {name}: {first:.0f} MB, later {last:.0f} MB")  # noqa: T201
    assert all(last <= first + _GROWTH for _, (first, last) in found), f"memory grew; seed {SEED}"
