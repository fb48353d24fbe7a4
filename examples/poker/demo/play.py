"""Plays the hands of a file through the whole poker room, many hands at once.

Each hand has a table of its own: players buy in from their accounts, the table opens the hand, the hand is played as
the file has it, its result goes back to the table, and the players leave with what they have. What is not told here
(funds, seats, the start, bets at the table, results, the payout) is brought about by the room's sagas.
"""

import asyncio
import gc
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.cli.errors import USAGE, Failure
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.demo.watch import GUEST, TABLE, Undone, Watch
from headrace.examples.poker.history import HandHistory, HistoryError, commands, read
from headrace.examples.poker.player import MOST
from headrace.examples.poker.rules import MOST_CHIPS, MOST_PLAYERS
from headrace.streams.client import Client
from headrace.streams.client.errors import OutcomeUnknown
from headrace.topology.reply import Reply

SAMPLE = "sample.phhs"
AT_ONCE = 256
"""Hands in play at one time, about 30 commands each: enough to fill the engine's batches, and far fewer than the
producer's queue holds, so that no command has to wait for room in it and is overtaken."""
_GUEST_EVERY = 10
"""Hands, to one at whose table somebody without money asks for a seat."""


@dataclass(slots=True)
class Played:
    """What the answers said."""

    commands: int = 0
    rejected: int = 0
    resent: int = 0
    """Commands and facts that were sent once more, with the same id, because no answer came."""
    guests: int = 0
    """Requests for a seat by somebody without money."""
    events: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """How many events the answer to a command told of, by domain, root and command id."""
    facts: set[tuple[str, str]] = field(default_factory=set)
    """Facts that were recorded, by root and external id."""
    refusals: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Why commands of a hand were refused, or it did not go on."""
    hands: list[HandHistory] = field(default_factory=list)
    """Those that were begun."""
    seconds: float = 0.0

    def note(self, domain: str, root: str, command_id: str, command: Any, reply: Reply, hand: str) -> None:
        """Count one answer."""
        self.commands += 1
        self.events[domain, root, command_id] = len(reply.events) if reply.accepted else 0
        if not reply.accepted:
            self.rejected += 1
            self.refusals[hand].append(f"{type(command).__name__} was {reply.status.value}: {reply.reason}")


def read_hands(file: Path | None, limit: int | None) -> list[HandHistory]:
    """The hands of a file, the first `limit` of them; of the sample that comes with Headrace when no file is named.

    Their money is in one unit, since players take it from table to table. Raises Failure, naming the file and the
    hand that cannot be read.
    """
    path = file or Path(pb.__file__).with_name(SAMPLE)
    try:
        hands = list(islice(read(path), limit))
        for hand in hands:
            commands(hand)  # what is wrong with an action shows before anything is played
    except OSError as error:
        raise Failure(USAGE, f"{path} cannot be read: {error.strerror}") from None
    except HistoryError as error:
        raise Failure(USAGE, str(error)) from error
    finest = max((hand.units_per_chip for hand in hands), default=1)
    return [in_units(hand, finest) for hand in hands]


def in_units(hand: HandHistory, units_per_chip: int) -> HandHistory:
    """The same hand with its money in a finer unit."""
    times = units_per_chip // hand.units_per_chip

    def scaled(amounts: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(amount * times for amount in amounts)

    return replace(
        hand,
        starting_stacks=tuple(min(stack, MOST_CHIPS) for stack in scaled(hand.starting_stacks)),
        antes=scaled(hand.antes),
        blinds_or_straddles=scaled(hand.blinds_or_straddles),
        min_bet=hand.min_bet * times,
        units_per_chip=units_per_chip,
        finishing_stacks=hand.finishing_stacks and scaled(hand.finishing_stacks),
        winnings=hand.winnings and scaled(hand.winnings),
        tolerance=hand.tolerance * times,
    )


def funds(hands: Iterable[HandHistory]) -> dict[str, int]:
    """What each player has to bring: all buy-ins, but for those that a payment provider confirms when they are due."""
    needed: Counter[str] = Counter()
    for hand in hands:
        needed.update(dict(zip(hand.players, (0, *hand.starting_stacks[1:]), strict=True)))
    return dict(needed)


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


async def _nothing(number: int) -> None:
    """Hands begin as soon as they can."""


@dataclass(slots=True)
class Play:
    """How hands are played."""

    client: Client
    watch: Watch
    progress: Callable[[int], None] = lambda done: None
    gate: Callable[[int], Awaitable[None]] = _nothing
    """Asked before each hand, by its number from 0, whether it may begin."""
    orders: Callable[[HandHistory], list[Any]] = commands
    """What is told of a hand, its start first."""
    at_once: int = AT_ONCE
    patience: float = 30.0
    """Seconds after which a command without answer is sent again."""
    despair: float = 120.0
    """Seconds after which a hand that does not go on is given up; long, since a worker may be restored meanwhile."""
    played: Played = field(default_factory=Played)

    async def run(self, hands: Iterable[HandHistory], brought: Mapping[str, int]) -> Played:
        """Let players in with what they bring, then play all hands."""
        with _rare_collection():
            started = time.perf_counter()
            await asyncio.gather(*(self._noted(player, self._arrive(player, brought[player])) for player in brought))
            waiting = enumerate(hands)
            done = 0

            async def some() -> None:
                nonlocal done
                for number, hand in waiting:
                    await self.gate(number)
                    self.played.hands.append(hand)
                    guest = number % _GUEST_EVERY == 0
                    await self._noted(hand.root, self._through_the_room(hand, guest=guest))
                    done += 1
                    self.progress(done)

            await asyncio.gather(*(some() for _ in range(self.at_once)))
            self.played.seconds = time.perf_counter() - started
        return self.played

    async def _arrive(self, player: str, amount: int) -> None:
        orders: list[Any] = [pb.RegisterPlayer(name=player)]
        if amount:
            orders.append(pb.DepositFunds(amount=min(amount, MOST)))
        await self._tell("player", player, orders, player)
        if amount > MOST:
            await self._confirm(player, amount - MOST, f"{player}/opening")

    async def _noted(self, name: str, doing: Awaitable[None]) -> None:
        try:
            await doing
        except Undone as why:
            if text := str(why):
                self.played.refusals[name].append(text)

    async def _through_the_room(self, hand: HandHistory, *, guest: bool) -> None:
        name, table = hand.root, TABLE + hand.root
        players = list(zip(hand.players, hand.starting_stacks, strict=True))
        start, *orders = self.orders(hand)
        await self._confirm(*players[0], name)
        opening = [pb.OpenTable(), *(pb.JoinTable(player=player, buy_in=stack) for player, stack in players)]
        if guest and len(players) < MOST_PLAYERS:
            self.played.guests += 1
            opening.append(pb.JoinTable(player=GUEST + table, buy_in=1))
        await self._tell("table", table, opening, name)
        await self._until("PlayerSeated", name, len(players))
        await self._tell("table", table, [pb.OpenHand(hand=name, start=start)], name, len(opening))
        await self._until("HandStarted", name)
        await self._tell("hand", name, orders, name)
        await self._until("HandSettled", name)
        leaving = [pb.LeaveTable(player=player) for player in hand.players]
        await self._tell("table", table, leaving, name, len(opening) + 1)
        await self._until("FundsSettled", name, len(players))
        await self._until("CourseEnded", name)

    async def _until(self, kind: str, hand: str, count: int = 1) -> None:
        await self.watch.until(kind, hand, count, self.despair)

    async def _tell(self, domain: str, root: str, orders: Sequence[Any], hand: str, first: int = 0) -> None:
        """Send commands to one root, in order, and wait for the answers; raises Undone when one is not accepted.

        They are sent without waiting for each other. Tasks start in the order in which they are made, and the client
        hands each command to the producer before it first waits; so they are in this order in the root's partition,
        and are decided in it. Those that are sent again come later, and have been decided already.
        """
        ids = [f"{root}/{number}" for number in range(first, first + len(orders))]
        calls = (
            self._ask(self.client.execute, order, root=root, domain=domain, command_id=command_id, correlation_id=hand)
            for order, command_id in zip(orders, ids, strict=True)
        )
        replies = await asyncio.gather(*calls)
        for order, command_id, reply in zip(orders, ids, replies, strict=True):
            self.played.note(domain, root, command_id, order, reply, hand)
        if not all(reply.accepted for reply in replies):
            raise Undone

    async def _confirm(self, player: str, amount: int, payment: str) -> None:
        """A payment provider says that money has come, and says it twice, as such messages do; it is booked once."""
        fact = pb.DepositConfirmed(amount=amount)
        stated = (
            self._ask(self.client.record_fact, fact, root=player, domain="player", external_id=payment)
            for _ in range(2)
        )
        replies = await asyncio.gather(*stated)
        self.played.facts.add((player, payment))
        if refused := [reply.reason for reply in replies if not reply.accepted]:
            raise Undone(f"payment {payment} was not booked: {refused[0]}")

    async def _ask(self, call: Callable[..., Awaitable[Reply]], message: Any, **named: Any) -> Reply:
        """An answer, however often the message has to be sent for it."""
        deadline = time.monotonic() + self.despair
        while True:
            try:
                return await call(message, timeout=self.patience, **named)
            except OutcomeUnknown:
                if time.monotonic() > deadline:
                    raise
                self.played.resent += 1
