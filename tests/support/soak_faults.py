"""What a soak does to a deployment of the poker room: one fault after the other, in an order that a seed gives."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from confluent_kafka.admin import AdminClient

from headrace.embedded import EmbeddedKafka
from headrace.streams.settings import Settings
from tests.support.chaos_room import room
from tests.support.damage import WHOLE, damage
from tests.support.deployment import Worker, until
from tests.support.groups import commit, forget_group
from tests.support.small_disk import SmallDisk

MADE_ANEW = "a store is damaged, and made anew from the log"
_SECONDS = 60.0  # for what a fault itself waits for, on a fast machine
_PARTS = [(0.0, 0.05), (0.05, 0.3), (0.3, 0.6), (0.6, 0.9), (0.0, 0.9)]  # of files; each holds some of the tables
_BEYOND = 1 << 40  # an offset that no topic has


class RoomWorker(Worker):
    """A worker of the poker room, by the command line."""

    runner = Path(__file__).with_name("room_worker.py")


class Faults:
    """Workers, a broker, and what may happen to them. Each fault ends with everything started again that it ended.

    The worker that runs longest is never ended alone: its memory can be watched for long. When all are stopped, another
    one may become the oldest.
    """

    def __init__(
        self, kafka: EmbeddedKafka, settings: Settings, workers: list[RoomWorker], disks: list[SmallDisk], seed: int
    ) -> None:
        self.running = workers[:-1]
        """Those that are meant to run, in the order in which they were started."""
        self._idle = workers[-1:]
        self._kafka, self._settings = kafka, settings
        self._chance = random.Random(seed)
        self._disks = dict(zip(workers, disks, strict=True)) if disks else {}

    def kinds(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Faults by name, for ever: all kinds in some order, then all in another one. Each says what it did."""
        kinds: dict[str, Callable[[], str]] = {
            "kill": self._kill,
            "pause": self._pause,
            "broker kill": self._kill_broker,
            "broker restart": self._restart_broker,
            "broker pause": self._pause_broker,
            "rebalance": self._join_or_leave,
            "rebalance again": self._join_or_leave,
            "damaged store": self._damage,
            "lost offsets": self._lose_offsets,
        }
        if self._disks:
            kinds["full disk"] = self._fill_disk
        while True:
            order = list(kinds.items())
            self._chance.shuffle(order)
            yield from order

    # ---- workers

    def _kill(self) -> str:
        worker = self._victim()
        worker.kill()
        taken = self._chance.random() < 0.5 and self._await_takeover(worker)
        self._start(worker)
        return f"{worker.folder.name} by SIGKILL" + (", others had taken over" if taken else "")

    def _pause(self) -> str:
        worker = self._chance.choice(self.running)
        seconds = self._chance.uniform(0.1, 2)
        long = self._chance.random() < 0.6
        worker.send(signal.SIGSTOP)
        try:
            taken = long and self._await_takeover(worker)
            if not taken:
                time.sleep(seconds)  # so long is the pause: it is the fault, and nothing is waited for
        finally:
            worker.send(signal.SIGCONT)
        return f"{worker.folder.name} " + ("until others had taken over" if taken else f"for {seconds:.1f} s")

    def _join_or_leave(self) -> str:
        if self._idle:
            worker = self._idle.pop()
            self._start(worker)
            return f"{worker.folder.name} joins"
        worker = self._victim()
        seconds = worker.stop()
        self.running.remove(worker)
        self._idle.append(worker)
        return f"{worker.folder.name} leaves by SIGTERM, in {seconds:.1f} s"

    def _victim(self) -> RoomWorker:
        return self._chance.choice(self.running[1:])

    def _start(self, worker: RoomWorker) -> None:
        """Start one, which is the youngest then."""
        worker.start()
        self.running = [*(other for other in self.running if other is not worker), worker]

    def _await_takeover(self, worker: RoomWorker) -> bool:
        """Wait until others have been given partitions of a worker that does not answer."""
        others = [other for other in self.running if other is not worker]

        def assignments() -> int:
            return sum(len(other.said("partitions assigned")) for other in others)

        before = assignments()
        return until(lambda: assignments() > before, f"others took over from {worker.folder.name}", _SECONDS)

    # ---- the broker

    def _kill_broker(self) -> str:
        self._kafka.kill()
        self._kafka.restart()
        return "by SIGKILL"

    def _restart_broker(self) -> str:
        self._kafka.restart()
        return "in order"

    def _pause_broker(self) -> str:
        seconds = self._chance.uniform(0.5, 6)
        self._kafka.pause()
        time.sleep(seconds)  # so long is the pause
        self._kafka.resume()
        return f"for {seconds:.1f} s"

    # ---- stores

    def _fill_disk(self) -> str:
        worker = self._victim()
        disk = self._disks[worker]

        def ended() -> bool:
            disk.fill()
            return not worker.alive

        until(ended, f"{worker.folder.name}, whose disk is full, ended", _SECONDS)
        self._check_end(worker)
        again = self._chance.random() < 0.5
        if again:
            worker.start()
            until(ended, f"{worker.folder.name}, started on a full disk, ended", _SECONDS)
            self._check_end(worker)
        disk.make_room()
        self._start(worker)
        return f"{worker.folder.name}, exit code 3" + (" twice" if again else "")

    def _check_end(self, worker: RoomWorker) -> None:
        """It says what to do about it, and in which folder."""
        code = worker.wait()
        said = worker.tail(2000)
        assert code == 3, f"exit code {code} with a full disk:\n{worker.tail(8000)}"
        assert str(worker.folder) in said.rpartition("headrace:")[2], f"no word of the folder:\n{said}"

    def _damage(self) -> str:
        worker = self._victim()
        pattern = self._chance.choice(("CURRENT", "MANIFEST-*", "*.sst"))
        names = [f"{self._settings.prefix}{name}" for name in room.components]
        chosen = self._chance.sample(names, self._chance.randint(1, len(names)))
        if self._chance.random() < 0.5:
            worker.stop()
        else:
            worker.kill()
        part = self._chance.choice(_PARTS) if pattern == "*.sst" else WHOLE
        files = sum(damage(worker.folder / "0" / name, pattern, part) for name in chosen)
        self._start(worker)
        return f"{worker.folder.name}, {files} {pattern} of {len(chosen)} component(s), {part[0]:.0%} to {part[1]:.0%}"

    # ---- groups

    def _lose_offsets(self) -> str:
        workers = self._chance.sample(self.running, len(self.running))
        for worker in self.running:
            worker.stop()
        admin = AdminClient({"bootstrap.servers": self._settings.bootstrap})
        counts = {"deleted": 0, "at 0": 0, "beyond the end": 0}
        for component in room.components:
            how = self._chance.choice(list(counts))
            counts[how] += 1
            if how == "deleted":
                forget_group(admin, self._settings, component)
            else:
                topic = self._chance.choice(room.inputs(component, self._settings.names, "main"))
                commit(self._settings, component, topic, 0 if how == "at 0" else _BEYOND)
        for worker in workers:
            self._start(worker)
        return ", ".join(f"{count} {how}" for how, count in counts.items() if count)
