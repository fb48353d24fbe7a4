"""Kills workers with -9 and restarts the broker while hands are played, at random moments."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

from headrace.embedded import EmbeddedKafka
from headrace.examples.poker.demo.cluster import Workers

_PATIENCE = 120.0  # seconds for a worker to be ready again, on a machine that is busy with starting others
_WAITED_FOR = 0.75  # of all killed workers; the others may be hit again while they start


@dataclass(frozen=True, slots=True)
class Plan:
    """Which faults come when."""

    moments: Sequence[int]
    """Numbers of the hands with which a fault comes, in order."""
    restarts: frozenset[int]
    """Which of the faults hit the broker, by their place in `moments`."""
    lead: int
    """Hands that may begin after a fault's moment while the fault has not struck yet."""

    @classmethod
    def make(cls, chance: random.Random, hands: int, kills: int, restarts: int) -> Self:
        """So many faults among so many hands."""
        faults, first = kills + restarts, min(hands // 20, 100)
        moments = sorted(chance.randrange(first, max(first, hands * 9 // 10) + 1) for _ in range(faults))
        # the broker's are not among the first, so that there is something to be lost
        return cls(moments, frozenset(chance.sample(range(faults // 4, faults), restarts)), first)


@dataclass(slots=True)
class Chaos:
    """Faults, in the order in which they strike; each waits for its hand to begin, and later hands wait for it.

    So all of them strike while hands are played, however fast that goes.
    """

    workers: Workers
    kafka: EmbeddedKafka | None
    """Whose broker is restarted; None where the brokers are somebody else's."""
    plan: Plan
    chance: random.Random
    say: Callable[[str], None]
    kills: int = 0
    broker_restarts: int = 0
    _reached: int = -1
    _struck: int = 0
    _over: bool = False
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def gate(self, number: int) -> None:
        """Let a hand begin once the faults of hands well before it have struck."""
        moments = self.plan.moments
        async with self._changed:
            self._reached = max(self._reached, number)
            self._changed.notify_all()
            await self._changed.wait_for(
                lambda: self._struck == len(moments) or moments[self._struck] > number - self.plan.lead
            )

    async def run(self) -> None:
        """Strike, one fault after the other, until there is none left or `stop` was called."""
        for place, moment in enumerate(self.plan.moments):
            async with self._changed:
                while not self._over and self._reached < moment:
                    await self._changed.wait()
            if self._over:
                return
            await asyncio.sleep(self.chance.random())
            if place in self.plan.restarts:
                await self._restart_broker()
            else:
                await self._kill_worker()
            async with self._changed:
                self._struck += 1
                self._changed.notify_all()

    async def stop(self) -> None:
        """No fault after this one."""
        async with self._changed:
            self._over = True
            self._changed.notify_all()

    async def _kill_worker(self) -> None:
        number = self.kills % len(self.workers)
        self.workers.restart(number)
        self.kills += 1
        self.say(f"worker {number + 1} was killed with -9 and starts again")
        if self.chance.random() < _WAITED_FOR:
            deadline = time.monotonic() + _PATIENCE
            while not self._over and not await asyncio.to_thread(self.workers.ready, number):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"worker {number + 1} was not ready {_PATIENCE:g} s after it was killed")
                await asyncio.sleep(0.1)

    async def _restart_broker(self) -> None:
        if self.kafka is None:
            return
        self.say("the broker was killed with -9 and starts again")
        await asyncio.to_thread(self.kafka.kill)
        await asyncio.to_thread(self.kafka.restart)
        self.broker_restarts += 1
