"""`headrace demo --what-if`: hands branch at their last fold, in memory and in an edition; both are compared.

In memory the rules themselves say what follows. The edition is told the same commands; its sagas tell its tables of the
bets and of the ending. Main is told nothing.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace import History, WhatIf
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker import room
from headrace.examples.poker.demo.branches import Branch, branch, goes_on
from headrace.streams.client import Client
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import read

EDITION = "what-if"
_AT_ONCE = 64
"""Hands that go on in the edition at one time."""
_PATIENCE = 60.0
"""Seconds within which a table of the edition hears how its hand ended."""
_LOOK_AGAIN = 0.05


@dataclass(frozen=True, slots=True)
class Ending:
    """How a hand ended, or would have."""

    branch: Branch
    commands: tuple[pb.Act | pb.Deal | pb.Award, ...]
    """From the branch on."""
    hand: pb.HandState
    table: pb.TableState
    really: pb.HandState

    @property
    def gain(self) -> int:
        """Units that the player would have had more, or less, had he called."""
        seat = self.branch.fold.seat
        return self.hand.seats[seat].stack - self.really.seats[seat].stack


@dataclass(slots=True)
class Branched:
    """What came of all branches."""

    endings: list[Ending]
    same_in_both: int = 0
    main_unchanged: bool = False
    editions_left: int = 0
    seconds_in_memory: float = 0.0
    seconds_in_edition: float = 0.0
    differing: list[str] = field(default_factory=list)
    """Which hand ended otherwise in the edition, and how."""


async def branch_out(settings: Settings, hands: Iterable[str]) -> Branched:
    """Let these hands go on from their last fold, as if it had been a call."""
    before = digest(settings)
    history = History.read(settings, room)
    started = time.perf_counter()
    found = Branched([ending for hand in hands if (ending := in_memory(history, hand))])
    found.seconds_in_memory = time.perf_counter() - started
    async with Client(room, settings) as client:
        if found.endings:
            started = time.perf_counter()
            points = [point for ending in found.endings for point in ending.branch.points]
            await client.editions.create(EDITION, at=points, note="headrace demo --what-if")
            try:
                await _in_edition(client.edition(EDITION), found)
            finally:
                await client.editions.delete(EDITION)
            found.seconds_in_edition = time.perf_counter() - started
        found.editions_left = len(await client.editions.list())
    found.main_unchanged = digest(settings) == before
    return found


def in_memory(history: History, hand: str) -> Ending | None:
    """How a hand would have ended; None where it has no fold, or nobody could say who wins."""
    past = WhatIf(room, history)
    events = [event.data for event in past.events(hand, domain="hand")]
    table = next((event.table for event in events if isinstance(event, pb.HandStarted)), "")
    taken = branch(hand, events, [event.data for event in past.events(table, domain="table")])
    if taken is None:
        return None
    cut = History(
        {
            "hand": {hand: history.events["hand"][hand][: taken.hand_events]},
            "table": {table: history.events["table"][table][: taken.table_events]},
        }
    )
    what_if = WhatIf(room, cut, reactions=True)
    deck = taken.deck(what_if.state(hand, "hand").seen)
    command: pb.Act | pb.Deal | pb.Award | None = taken.call
    told = []
    while command is not None:
        outcome = what_if.send(command, hand)
        if not outcome.accepted or outcome.failures:
            raise RuntimeError(f"{hand} cannot go on with {command}: {outcome!r}, {outcome.failures}")
        told.append(command)
        command = goes_on(what_if.state(hand, "hand"), deck)
    ending = what_if.state(hand, "hand"), what_if.state(table, "table")
    return Ending(taken, tuple(told), *ending, past.state(hand, "hand"))


async def _in_edition(edition: Client, found: Branched) -> None:
    waiting = iter(found.endings)

    async def some() -> None:
        for ending in waiting:
            why = await _differs(edition, ending)
            if why:
                found.differing.append(f"{ending.branch.hand}: {why}")
            else:
                found.same_in_both += 1

    async with edition:
        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


async def _differs(edition: Client, ending: Ending) -> str:
    """Why a hand ended otherwise in the edition than in memory; empty if it did not."""
    hand = ending.branch.hand
    for command in ending.commands:
        reply = await edition.execute(command, root=hand, correlation_id=hand)
        if not reply.accepted:
            return f"{type(command).__name__} was {reply.status.value}: {reply.reason}"
    if (state := await edition.state(hand, "hand")) != ending.hand:
        return f"stacks {_stacks(state)}, in memory {_stacks(ending.hand)}"
    deadline = time.monotonic() + _PATIENCE
    while (table := await edition.state(ending.branch.table, "table")) != ending.table:
        if time.monotonic() > deadline:
            return f"its table has {table}, in memory {ending.table}"
        await asyncio.sleep(_LOOK_AGAIN)
    return ""


def _stacks(state: pb.HandState) -> list[int]:
    return [seat.stack for seat in state.seats]


def digest(settings: Settings) -> str:
    """A hash of all that was decided and sent in main: keys, values, headers, places and times."""
    found = hashlib.sha256()
    topics: Sequence[str] = sorted(
        topic.name for topic in room.topics(settings.names, 1) if topic.name.endswith((".events", ".inbox"))
    )
    for topic in topics:
        records: list[Any] = [
            (m.partition(), m.offset(), m.timestamp(), m.key(), m.value(), m.headers()) for m in read(settings, topic)
        ]
        found.update(repr((topic, sorted(records, key=lambda record: record[:2]))).encode())
    return found.hexdigest()
