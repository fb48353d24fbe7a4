"""Watches the room's events while hands are played, so that whoever waits for what sagas bring about hears of it."""

import asyncio
import threading
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from headrace.examples.poker import poker_pb2 as pb
from headrace.streams.settings import Settings

DOMAINS = ("player", "table", "hand", "course")
TABLE = "table-"
"""Before the id of a hand, that of its table."""
GUEST = "guest-of-"
"""Before the id of a table, that of somebody without money who would like to sit there."""

Sign = tuple[str, str, str]
"""Type of an event, the hand that it is about, and why that hand cannot go on if it says so."""


class Undone(Exception):
    """A hand cannot go on; the text says why."""


class Watch:
    """Counts events by type and hand, and wakes those who wait for a number of them."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._undone: dict[str, str] = {}
        self._waiting: dict[str, list[asyncio.Event]] = defaultdict(list)

    def note(self, signs: Iterable[Sign]) -> None:
        """Count events that have happened."""
        for kind, hand, why in signs:
            self._counts[kind, hand] += 1
            if why:
                self._undone.setdefault(hand, why)
            for waiter in self._waiting.pop(hand, ()):
                waiter.set()

    async def until(self, kind: str, hand: str, count: int, patience: float) -> None:
        """Wait for so many events of a type about a hand; raises Undone when they will not come, or do not in time."""
        try:
            async with asyncio.timeout(patience):
                while self._counts[kind, hand] < count:
                    if hand in self._undone:
                        raise Undone(self._undone[hand])
                    waiter = asyncio.Event()
                    self._waiting[hand].append(waiter)
                    await waiter.wait()
        except TimeoutError:
            there = self._counts[kind, hand]
            raise Undone(f"{there} of {count} {kind} came within {patience:g} s") from None


def _of_table(message: Any, event: Any) -> str:
    return _subject(message).removeprefix(TABLE)


def _of_key(message: Any, event: Any) -> str:
    return str(event.key).removeprefix(TABLE)


def _of_root(message: Any, event: Any) -> str:
    return _subject(message)


def _subject(message: Any) -> str:
    return (message.key() or b"").decode().rpartition("|")[0]


_ABOUT: dict[Any, Callable[[Any, Any], str]] = {
    pb.PlayerSeated: _of_table,
    pb.JoinCancelled: _of_table,
    pb.HandStarted: _of_root,
    pb.HandCancelled: _of_table,
    pb.BetReverted: _of_root,
    pb.HandSettled: _of_table,
    pb.FundsSettled: _of_key,
    pb.CourseEnded: _of_root,
}
_KINDS = {kind.DESCRIPTOR.full_name.encode(): kind for kind in _ABOUT}
_UNDOING = (pb.JoinCancelled, pb.HandCancelled, pb.BetReverted)


def signs(messages: Iterable[Message]) -> list[Sign]:
    """What these records of events topics tell of hands."""
    found: list[Sign] = []
    for message in messages:
        headers: dict[str, Any] = dict(message.headers() or ())
        kind = _KINDS.get(headers.get("ce_type", b""))
        if kind is None:
            continue
        event: Any = kind.FromString(message.value() or b"")
        why = ""
        if isinstance(event, _UNDOING) and not getattr(event, "player", "").startswith(GUEST):
            why = f"{kind.__name__}: {event.reason}"
        found.append((kind.__name__, _ABOUT[kind](message, event), why))
    return found


@asynccontextmanager
async def watching(settings: Settings) -> AsyncIterator[Watch]:
    """A watch on all events of a deployment, as committed, from the first one on."""
    watch, stop = Watch(), threading.Event()
    consumer = Consumer(
        settings.client(
            group_id=f"{settings.prefix}headrace.demo",  # required, not joined
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )
    )
    topics = [settings.names.topic(settings.edition, domain, "events") for domain in DOMAINS]
    loop = asyncio.get_running_loop()

    def receive() -> None:
        consumer.assign(_places(consumer, topics))
        while not stop.is_set():
            first = consumer.poll(0.1)
            if first is None:
                continue
            # brokers that are away are waited for, by the client itself
            found = signs(m for m in [first, *consumer.consume(1000, 0)] if m.error() is None)
            if found:
                loop.call_soon_threadsafe(watch.note, found)

    thread = threading.Thread(target=receive, name="demo-watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)
        consumer.close()


def _places(consumer: Consumer, topics: Sequence[str]) -> list[TopicPartition]:
    known = {topic: consumer.list_topics(topic, timeout=30).topics[topic] for topic in topics}
    return [TopicPartition(topic, p, OFFSET_BEGINNING) for topic, found in known.items() for p in found.partitions]
