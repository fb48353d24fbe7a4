"""Plays commands through the aggregates in memory, as the tests of this folder need it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headrace.examples.poker import history, topology
from headrace.examples.poker import poker_pb2 as pb

_SPEC = topology.aggregate("hand")
_DECIDE = {handler.message: handler.call for handler in _SPEC.commands.values()}
_APPLY: dict[Any, Any] = dict(_SPEC.appliers.values())


def tell(state: pb.HandState, command: Any) -> list[Any]:
    """Decides one command and applies what follows; returns those events. Rejected leaves the state alone."""
    decided = _DECIDE[type(command)](state, command)
    events = list(decided) if isinstance(decided, list | tuple) else [decided]
    for event in events:
        _APPLY[type(event)](state, event)
    return events


def events_of(commands: Iterable[Any]) -> list[Any]:
    """All events of a hand that is told these commands, for a test to start from."""
    state = pb.HandState()
    return [event for command in commands for event in tell(state, command)]


def state_after(commands: Iterable[Any]) -> pb.HandState:
    """The hand after these commands."""
    state = pb.HandState()
    for command in commands:
        tell(state, command)
    return state


def replay(hand: history.HandHistory) -> pb.HandState:
    """A recorded hand, played again to its end."""
    return state_after(history.commands(hand))


def ended(path: Path) -> tuple[list[pb.HandState], list[str]]:
    """All hands of a file after their end, and where they ended otherwise than the file says."""
    states: list[pb.HandState] = []
    differences: list[str] = []
    for hand in history.read(path):
        state = replay(hand)
        assert sum(seat.stack for seat in state.seats) == sum(hand.starting_stacks), f"{hand}: chips were lost or made"
        states.append(state)
        differences += history.differences(hand, state)
    return states, differences
