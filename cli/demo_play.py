"""Plays the hands of a file: each hand's commands in order, many hands at once."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.cli.errors import USAGE, Failure
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.history import HandHistory, commands, read
from headrace.streams.client import Client
from headrace.streams.reply import Reply

SAMPLE = "sample.phhs"
AT_ONCE = 128
"""Hands in play at one time, about 27 commands each: enough to fill the engine's batches."""
_PATIENCE = 120.0  # seconds for an answer; long, since a worker may be restored meanwhile


@dataclass(slots=True)
class Played:
    """What the answers said."""

    commands: int = 0
    rejected: int = 0
    events: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """How many events the answers told of, by root."""
    refusals: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Why commands were refused, by root."""
    seconds: float = 0.0

    def note(self, root: str, command: Any, reply: Reply) -> None:
        """Count one answer."""
        self.commands += 1
        self.events[root] += len(reply.events) if reply.accepted else 0
        if not reply.accepted:
            self.rejected += 1
            self.refusals[root].append(f"{type(command).__name__} was {reply.status.value}: {reply.reason}")


def read_hands(file: Path | None, limit: int | None) -> list[HandHistory]:
    """The hands of a file, the first `limit` of them; of the sample that comes with Headrace when no file is named.

    Raises HistoryError, or Failure, naming the file and the hand that cannot be read.
    """
    path = file or Path(pb.__file__).with_name(SAMPLE)
    try:
        hands = list(islice(read(path), limit))
    except OSError as error:
        raise Failure(USAGE, f"{path} cannot be read: {error.strerror}") from None
    for hand in hands:
        commands(hand)  # what is wrong with an action shows before anything is played
    return hands


async def play(client: Client, hands: Sequence[HandHistory], progress: Callable[[int], None]) -> Played:
    """Register the players, then play all hands."""
    played = Played()
    started = time.perf_counter()
    done = 0

    async def one(root: str, orders: Iterable[Any]) -> None:
        # The commands of a root are sent without waiting for answers. Tasks start in the order in which they are
        # made, and the client hands each command to the producer before it first waits; so they lie in this order
        # in the root's partition, and are decided in it.
        sent = list(orders)
        replies = await asyncio.gather(*(client.execute(order, root=root, timeout=_PATIENCE) for order in sent))
        for order, reply in zip(sent, replies, strict=True):
            played.note(root, order, reply)

    async def table(waiting: Iterator[HandHistory]) -> None:
        nonlocal done
        for hand in waiting:
            await one(hand.root, commands(hand))
            done += 1
            progress(done)

    async with asyncio.TaskGroup() as group:
        for player, amount in _buy_ins(hands).items():
            group.create_task(one(player, [pb.RegisterPlayer(name=player), pb.DepositFunds(amount=amount)]))
    waiting = iter(hands)
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(table(waiting))
    played.seconds = time.perf_counter() - started
    return played


def _buy_ins(hands: Iterable[HandHistory]) -> dict[str, int]:
    """Each player, with the largest stack he sits down with, in units."""
    found: dict[str, int] = {}
    for hand in hands:
        for player, stack in zip(hand.players, hand.starting_stacks, strict=True):
            found[player] = max(stack, found.get(player, 0))
    return found
