"""What-ifs in memory: commands a second, beside the bare handlers; and whether the number of roots makes a difference.

The commands are those of real hands of poker. Bare is a loop that calls the same handlers and `@applies` methods on
states in a dictionary, and nothing else: no bytes, no events on a log, no answer.
"""

import gc
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from headrace import History, Topology, WhatIf
from headrace.bench.load import Progress, at_least, median
from headrace.examples import poker
from headrace.examples.poker import Hand, history
from headrace.streams.steps.handlers import several
from headrace.testing import TopologyDriver

TARGETS = {"ratio_to_bare": ">= 0.5", "ratio_of_most_hands_to_fewest": ">= 0.8"}
SAMPLE = Path(poker.__file__).with_name("sample.phhs")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOPOLOGY = Topology(Hand)
Told = Sequence[tuple[Message, str]]


def run(progress: Progress, *, hands: Sequence[int] = (25, 100, 1_000, 10_000), rounds: int = 3) -> dict[str, Any]:
    """A/B A/B …: bare handlers, what-ifs and the test driver in turn, for each number of hands; processor time counts.

    The driver plays a tenth of the most hands at most, as it keeps all records.
    """
    at_least("rounds", rounds, 3)
    at_least("hands", min(hands), 1)
    found: dict[str, list[float]] = {}

    def measure(name: str, work: Callable[[], int]) -> None:
        gc.collect()
        started = time.process_time()
        count = work()
        found.setdefault(name, []).append(count / (time.process_time() - started))

    fewest, most = min(hands), max(hands)
    for turn in range(rounds):
        for number in hands:
            told = commands(number)
            measure(f"bare {number}", lambda told=told: bare(told))  # type: ignore[misc]
            measure(f"what-if {number}", lambda told=told: decide(told))  # type: ignore[misc]
            if number <= max(fewest, most // 10):
                measure(f"driver {number}", lambda told=told: drive(told))  # type: ignore[misc]
        told = commands(fewest)
        measure("one by one", lambda told=told: one_by_one(told))  # type: ignore[misc]
        measure("what-ifs", lambda told=told: branch(told))  # type: ignore[misc]
        progress(f"round {turn + 1} of {rounds}: {found[f'what-if {most}'][-1]:,.0f} commands per second")
    ratios = [a / b for a, b in zip(found[f"what-if {most}"], found[f"bare {most}"], strict=True)]
    flat = [a / b for a, b in zip(found[f"what-if {most}"], found[f"what-if {fewest}"], strict=True)]
    return {
        "bench": "what-if",
        "what": f"the commands of {fewest} to {most:,} hands of poker, a root each, decided in one what-if; then one "
        "command in each of many what-ifs over the history of a hand",
        "how": f"what-ifs, the test driver and bare handlers in turn in one process, {rounds} rounds; medians, the "
        "ratios of each round's own figures; processor time, and no other input or output",
        "commands_per_second": round(median(found[f"what-if {most}"])),
        "bare_per_second": round(median(found[f"bare {most}"])),
        "ratio_to_bare": round(median(ratios), 3),
        "ratio_of_most_hands_to_fewest": round(median(flat), 3),
        "one_by_one_per_second": round(median(found["one by one"])),
        "what_ifs_per_second": round(median(found["what-ifs"])),
        "by_hands": {number: round(median(found[f"what-if {number}"])) for number in hands},
        "driver_by_hands": {
            number: round(median(found[f"driver {number}"])) for number in hands if f"driver {number}" in found
        },
    }


def commands(number: int) -> Told:
    """The commands of so many hands, each hand with a root of its own."""
    sample = [(hand.root, history.commands(hand)) for hand in history.read(SAMPLE)]
    return [
        (command, f"{root}-{again}")
        for again in range(-(-number // len(sample)))
        for root, told in sample[: number - again * len(sample)]
        for command in told
    ]


def bare(told: Told) -> int:
    """Decide and apply, and nothing else."""
    spec = TOPOLOGY.component("hand")
    handlers = {handler.message: handler.call for handler in spec.commands.values()}
    appliers = {applier.message: applier.call for applier in spec.appliers.values()}
    states: dict[str, Any] = {}
    for command, root in told:
        if (state := states.get(root)) is None:
            state = states[root] = spec.state_type()
        for event in several(handlers[type(command)](state, command)):
            appliers[type(event)](state, event)  # type: ignore[index]
    return len(told)


def decide(told: Told) -> int:
    """All commands in one what-if, in batches."""
    outcomes = WhatIf(TOPOLOGY, History({}), now=NOW).send_all(told)
    if refused := [outcome for outcome in outcomes[:100] if not outcome.accepted]:
        raise RuntimeError(f"a real hand was refused: {refused[0]}")
    return len(told)


def one_by_one(told: Told) -> int:
    """The same, each command by a call of its own."""
    what_if = WhatIf(TOPOLOGY, History({}), now=NOW)
    for command, root in told:
        what_if.send(command, root)
    return len(told)


def drive(told: Told) -> int:
    """The same by the test driver, which also keeps all records and looks whether handlers are pure."""
    driver = TopologyDriver(TOPOLOGY)
    for command, root in told:
        driver.execute(command, root)
    return len(told)


def branch(told: Told) -> int:
    """In each of many what-ifs, the next command of a hand that has been played up to it."""
    driver = TopologyDriver(TOPOLOGY)
    root = told[0][1]
    hand = [command for command, other in told if other == root]
    for command in hand[:-1]:
        driver.execute(command, root)
    what_if = WhatIf(TOPOLOGY, driver.history({"hand": [root]}))
    for _ in range(len(told)):
        what_if.reset()
        if not what_if.send(hand[-1], root).accepted:
            raise RuntimeError(f"{root} was refused its last command")
    return len(told)
