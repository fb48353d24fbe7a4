"""What handlers may know besides state and message: the same whenever the same record is handled again."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

_IDS = UUID("6f0d1e86-2f7c-5b0e-9a53-6a5f2a1d9c11")


@dataclass(slots=True)
class Context:
    """What a handler may know besides state and command; the same at each replay of the same command."""

    root: str
    command_id: str
    correlation_id: str
    sequence: int
    """Of the root's last event before this command; -1 when there is none."""
    now: datetime
    """When the command was sent, UTC."""
    edition: str = "main"
    _random: random.Random | None = field(default=None, repr=False)
    _ids: int = field(default=0, repr=False)

    @property
    def random(self) -> random.Random:
        """A source of chance seeded by the root and the command's id."""
        if self._random is None:
            self._random = random.Random(f"{self.root}/{self.command_id}")
        return self._random

    def new_id(self) -> str:
        """A UUID that depends on the root, the command's id, and how many were asked for before."""
        self._ids += 1
        return str(uuid5(_IDS, f"{self.root}/{self.command_id}/{self._ids}"))


@dataclass(slots=True)
class EventContext:
    """What a reaction may know besides the event; the same at each replay."""

    root: str
    sequence: int
    event_id: str
    """The event's source, a slash and its id; unlike any other event's."""
    correlation_id: str
    now: datetime
    """When the event happened, UTC."""
    edition: str


@dataclass(frozen=True, slots=True)
class StateOf:
    """The state of another root, which a reaction wants to read: for `@reacts(reads=…)`."""

    domain: str
    root: str


@dataclass(frozen=True, slots=True)
class RootState:
    """What was read of another root: its state (None when it has no events) and the sequence it was read at."""

    state: Any
    sequence: int


@dataclass(slots=True)
class ProcessContext(EventContext):
    """What a reaction of a process manager may know besides state and event."""

    states: Mapping[StateOf, RootState] = field(default_factory=dict)
    """The states that `reads` named."""
