"""Plays the hands of a file: each hand's commands in order, many hands at once."""

import asyncio
import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
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
AT_ONCE = 256
"""Hands in play at one time, about 20 commands each: enough to fill the engine's batches, and far fewer than the
producer's queue holds, so that no command has to wait for room in it and is overtaken."""
_PATIENCE = 120.0  # seconds for an answer; long, since a worker may be restored meanwhile


@dataclass(slots=True)
class Played:
    """What the answers said."""

    commands: int = 0
    rejected: int = 0
    events: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """How many events the answers told of, by domain and root."""
    refusals: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    """Why commands were refused, by domain and root."""
    seconds: float = 0.0

    def note(self, domain: str, root: str, command: Any, reply: Reply) -> None:
        """Count one answer."""
        self.commands += 1
        self.events[domain, root] += len(reply.events) if reply.accepted else 0
        if not reply.accepted:
            self.rejected += 1
            self.refusals[domain, root].append(f"{type(command).__name__} was {reply.status.value}: {reply.reason}")


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
    with _rare_collection():
        await _play(client, hands, progress, played)
    return played


@contextmanager
def _rare_collection() -> Iterator[None]:
    """Commands and answers live by the thousand, and hardly any in cycles: to look through them as often as Python
    does by default takes a third of the time.
    """
    gc.collect()
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def _play(client: Client, hands: Sequence[HandHistory], progress: Callable[[int], None], played: Played) -> None:
    started = time.perf_counter()
    done = 0

    async def one(domain: str, root: str, orders: list[Any]) -> None:
        # The commands of a root are sent without waiting for answers. Tasks start in the order in which they are
        # made, and the client hands each command to the producer before it first waits; so they lie in this order
        # in the root's partition, and are decided in it.
        calls = (
            client.execute(order, root=root, command_id=f"{root}/{number}", domain=domain, timeout=_PATIENCE)
            for number, order in enumerate(orders)
        )
        for order, reply in zip(orders, await asyncio.gather(*calls), strict=True):
            played.note(domain, root, order, reply)

    async def table(domain: str, waiting: Iterator[tuple[str, list[Any]]]) -> None:
        nonlocal done
        for root, orders in waiting:
            await one(domain, root, orders)
            if domain == "hand":
                done += 1
                progress(done)

    for domain, waiting in (("player", _arrivals(hands)), ("hand", ((hand.root, commands(hand)) for hand in hands))):
        await asyncio.gather(*(table(domain, waiting) for _ in range(AT_ONCE)))
    played.seconds = time.perf_counter() - started


def _arrivals(hands: Iterable[HandHistory]) -> Iterator[tuple[str, list[Any]]]:
    """Each player with the commands that let him in: he brings the largest stack that he sits down with."""
    stacks: dict[str, int] = {}
    for hand in hands:
        for player, stack in zip(hand.players, hand.starting_stacks, strict=True):
            stacks[player] = max(stack, stacks.get(player, 0))
    for player, stack in stacks.items():
        yield player, [pb.RegisterPlayer(name=player), pb.DepositFunds(amount=stack)]
