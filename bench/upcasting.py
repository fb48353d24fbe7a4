"""What upcasters cost: the fold of a history of today's events with and without them, and of old events.

No Kafka. All is processor time of one process, measured in short slices in turn, so that what else the machine does
falls on both sides alike.
"""

import gc
import time
from collections.abc import Callable, Iterator
from functools import partial
from math import sqrt
from typing import Any

from headrace import Aggregate, Message, Topology, Upcaster, applies, field, handles, upcasts
from headrace.bench.load import Progress, at_least, median
from headrace.schemas.event_schema import EventSchema
from headrace.schemas.stored_event import StoredEvent
from headrace.streams.steps.handlers import States

TARGETS = {"current_percent_off": "< 2", "old_us_a_link": "< 1"}
LINKS = 3


class Move(Message, package="bench.v1"):
    amount: int = field(1)


class Moved1(Message, package="bench.v1"):
    amount: int = field(1)


class Moved2(Message, package="bench.v1"):
    amount: int = field(1)
    reason: str = field(2)


class Moved3(Message, package="bench.v1"):
    amount: int = field(1)
    reason: str = field(2)
    by: str = field(3)


class Moved(Message, package="bench.v1"):
    amount: int = field(1)
    reason: str = field(2)
    by: str = field(3)
    currency: str = field(4)


class Total(Message, package="bench.v1"):
    amount: int = field(1)
    count: int = field(2)


class Totals(Aggregate[Total]):
    """Adds up."""

    domain = "total"

    @handles
    def move(self, state: Total, command: Move) -> Moved:
        return Moved(amount=command.amount)

    @applies
    def moved(self, state: Total, event: Moved) -> None:
        state.amount += event.amount
        state.count += 1


class TotalsPast(Upcaster):
    """Three links, each of which makes a new message, as an author's would."""

    domain = "total"

    @upcasts
    def first(self, event: Moved1) -> Moved2:
        return Moved2(amount=event.amount, reason="none")

    @upcasts
    def second(self, event: Moved2) -> Moved3:
        return Moved3(amount=event.amount, reason=event.reason, by="nobody")

    @upcasts
    def third(self, event: Moved3) -> Moved:
        return Moved(amount=event.amount, reason=event.reason, by=event.by, currency="EUR")


def run(progress: Progress, *, events: int = 2_000, rounds: int = 400) -> dict[str, Any]:
    """Fold `events` events `rounds` times in each way, in turn."""
    at_least("rounds", rounds, 20)
    at_least("events", events, 100)
    without, lifting = (States(Topology(*found).component("total")) for found in ((Totals,), (Totals, TotalsPast)))
    today = [_stored(Moved(amount=n % 9, reason="none", by="nobody", currency="EUR")) for n in range(events)]
    old = [_stored(Moved1(amount=n % 9)) for n in range(events)]
    parsed = [Moved1(amount=n % 9) for n in range(events)]
    if _folded(without, today) != _folded(lifting, today) or _folded(lifting, old) != _folded(without, today):
        raise RuntimeError("the same events do not make the same state")
    plain, chained = partial(_folded, without, today), partial(_folded, lifting, today)
    ratios = [(b / a - 1) * 100 for a, b in _in_turn(plain, chained, rounds)]
    low, high = interval(ratios)
    progress(f"events of today: {median(ratios):+.2f} % with upcasters, from {low:+.2f} to {high:+.2f}")
    links = events * LINKS * 1000
    lifted = [(b - a) / links for a, b in _in_turn(chained, partial(_folded, lifting, old), rounds)]
    methods, current = zip(*_in_turn(partial(_methods, parsed), plain, rounds), strict=True)
    method = median(list(methods)) / links
    progress(f"old events: {median(lifted):.3f} µs a link, of which the method itself takes {method:.3f}")
    return {
        "bench": "upcasting",
        "what": f"a root with {events:,} events, folded in one process: all of today, by an aggregate without "
        f"upcasters and by the same one with a chain of {LINKS}; and all old, through the whole chain",
        "how": f"processor time; two ways in turn, {rounds} times, the order changing each time; medians, and a 95 % "
        "interval of the median of paired ratios",
        "events": events,
        "rounds": rounds,
        "current_us": round(median(list(current)) / events / 1000, 3),
        "current_percent": round(median(ratios), 2),
        "current_interval_percent": [round(low, 2), round(high, 2)],
        "current_percent_off": round(max(abs(low), abs(high)), 2),
        "old_us_a_link": round(median(lifted), 3),
        "method_us_a_link": round(method, 3),
    }


def interval(values: list[float]) -> tuple[float, float]:
    """A 95 % interval of the median, by the ranks of the values: nothing is supposed about how they are spread."""
    ordered, half = sorted(values), 0.98 * sqrt(len(values))
    low, high = len(values) / 2 - half, len(values) / 2 + half
    return ordered[max(0, int(low))], ordered[min(len(values) - 1, int(high))]


def _in_turn(one: Callable[[], object], other: Callable[[], object], rounds: int) -> Iterator[tuple[int, int]]:
    """Nanoseconds of processor time of two ways, round by round; who goes first changes each time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        for turn in range(rounds + 2):
            if turn % 2:
                first, second = _spent(one), _spent(other)
            else:
                second, first = _spent(other), _spent(one)
            if turn > 1:  # the first two are to get warm
                yield first, second
    finally:
        if collecting:
            gc.enable()


def _spent(way: Callable[[], object]) -> int:
    started = time.process_time_ns()
    way()
    return time.process_time_ns() - started


def _folded(states: States, values: list[bytes]) -> Any:
    state = states.new()
    states.fold(state, values)
    return state


def _methods(events: list[Moved1]) -> None:
    past = TotalsPast()
    for event in events:
        past.third(past.second(past.first(event)))


def _stored(message: Any) -> bytes:
    key, ids = EventSchema(message.DESCRIPTOR.full_name).key, b"c" * 32
    data = message.SerializeToString()
    return StoredEvent(key, b"1767225600000", b"2026-01-01T00:00:00.000Z", ids, ids, b"", b"", data).pack()
