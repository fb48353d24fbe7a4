"""What handlers may know in addition to state and message: the same each time that the same record is handled."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

_IDS = UUID("6f0d1e86-2f7c-5b0e-9a53-6a5f2a1d9c11")


@dataclass(slots=True)
class Context:
    """What a handler may know in addition to state and command; the same each time that the command is handled."""

    root: str
    command_id: str
    correlation_id: str
    sequence: int
    """Sequence of the root's last event before this command; -1 if there is none."""
    now: datetime
    """The time of the command's record, UTC: when the brokers received it."""
    edition: str = "main"
    _random: random.Random | None = field(default=None, repr=False)
    _ids: int = field(default=0, repr=False)

    @property
    def random(self) -> random.Random:
        """A random number generator, seeded by the root and the command's id."""
        if self._random is None:
            self._random = random.Random(f"{self.root}/{self.command_id}")
        return self._random

    def new_id(self) -> str:
        """A new UUID. It depends on the root, the command's id, and how many ids this handler has asked for before."""
        self._ids += 1
        return str(uuid5(_IDS, f"{self.root}/{self.command_id}/{self._ids}"))


@dataclass(slots=True)
class EventContext:
    """What a reaction may know in addition to the event; the same each time that the event is handled."""

    root: str
    sequence: int
    event_id: str
    """The event's source, a slash and its id; unique in the deployment."""
    correlation_id: str
    now: datetime
    """When the event happened, UTC."""
    edition: str


@dataclass(slots=True)
class ProjectionContext(EventContext):
    """What a projector's method may know in addition to document and event."""

    document_id: str = ""
    """The document's own name: the event's root, unless `key=` says otherwise."""


@dataclass(frozen=True, slots=True)
class StateOf:
    """Names the state of another root that a reaction reads: for `@reacts(reads=…)`."""

    domain: str
    root: str


@dataclass(frozen=True, slots=True)
class RootState:
    """What was read of another root: its state (None if it has no events), and the sequence at which it was read."""

    state: Any
    sequence: int


@dataclass(slots=True)
class ProcessContext(EventContext):
    """What a reaction of a process manager may know in addition to state and event."""

    states: Mapping[StateOf, RootState] = field(default_factory=dict)
    """The states that `reads` named."""
