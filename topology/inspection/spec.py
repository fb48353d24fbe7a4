"""What the engine asks of any kind of component, and the registry of kinds.

A kind of component is a declaration (such as `headrace.topology.saga`), an inspection of it here, which makes a spec,
and a step in `headrace.streams.steps`. Everything else asks the spec, and never what class it is.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Generic, NamedTuple, TypeVar

from google.protobuf.message import Message

from headrace.schemas.fingerprint import fingerprint
from headrace.topology.context import StateOf
from headrace.topology.describe import Description
from headrace.topology.merge import Merge
from headrace.topology.snapshots import Snapshots
from headrace.topology.upcaster_chain import NO_UPCASTERS, UpcasterChain

MessageType = type[Message]
S = TypeVar("S", bound=Message)
C = TypeVar("C", bound=Message)


def type_name(message: MessageType) -> str:
    """Full protobuf name of a message type, which is the `ce_type` of its records."""
    return message.DESCRIPTOR.full_name


@dataclass(frozen=True, slots=True)
class Handler(Generic[S, C]):
    """A method that decides on one command, fact or rejected command `C`, given a state `S`."""

    message: type[C]
    call: Callable[..., object]
    """Takes a state, the message and, if `wants_context`, the context."""
    events: tuple[MessageType, ...]
    merge: Merge
    wants_context: bool
    method: str
    where: str
    """Class and method, for messages."""


AnyHandler = Handler[Message, Message]


class Applier(NamedTuple):
    """A method that changes a state to what it is after one event."""

    message: MessageType
    call: Callable[..., None]
    """Takes a state and the event."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """A method of a saga or process manager that reacts to one event."""

    message: MessageType
    call: Callable[..., object]
    sends: tuple[MessageType, ...]
    wants_context: bool
    method: str
    where: str
    reads: Callable[..., Iterable[StateOf]] | None = None
    from_inbox: bool = False
    """Whether it takes only events of commands that a saga or process manager has sent."""


class Replay(Enum):
    """How the input of a dead letter is sent again, to the component's inbox."""

    BY_KEY = "key"
    """With its own key, which is the root."""
    BY_ROOT = "root"
    """With the root as key, because the key of the input is that of an event."""
    NEVER = "never"
    """It cannot be sent again, only discarded."""


@dataclass(slots=True, kw_only=True)
class ComponentSpec:
    """One component of a topology."""

    name: str
    """Names its consumer group and topics: an aggregate's domain, a saga's name."""
    class_name: str
    state: MessageType | None = None
    """What it folds from its own events; None if it has no state."""
    snapshots: Snapshots = field(default_factory=Snapshots)
    """When snapshots of its state are written, and the version of what its appliers do."""
    appliers: dict[str, Applier] = field(default_factory=dict)
    """By event type name: the events that it writes."""
    upcasters: UpcasterChain = NO_UPCASTERS
    """Of the events that it has written."""
    source_upcasters: Mapping[str, UpcasterChain] = field(default_factory=dict)
    """Of the events that it reads, by the component that has written them."""
    begin: str = ""
    """Where it begins to read other components' events the first time: oldest, now, or empty if not declared."""
    commands: dict[str, AnyHandler] = field(default_factory=dict)
    """By command type name."""
    facts: dict[str, AnyHandler] = field(default_factory=dict)
    """By fact type name."""

    kind: ClassVar[str]
    topics: ClassVar[tuple[str, ...]]
    """Kinds of topics that it owns."""
    has_timers: ClassVar[bool] = False
    sends: ClassVar[bool] = False
    """Whether it writes to topics of other components."""
    replay: ClassVar[Replay] = Replay.BY_KEY

    @property
    def restored(self) -> tuple[str, ...]:
        """Kinds of topics that its store is restored from, the changelog first."""
        return ("snapshots",) if self.state is None else ("snapshots", "events")

    @property
    def fingerprint(self) -> str:
        """What must not change while its store is in use; empty where nothing is like that."""
        return ""

    @property
    def state_type(self) -> MessageType:
        """The type of its state; LookupError if it has none."""
        if self.state is None:
            raise LookupError(f"{self.name} has no state of its own")
        return self.state

    @property
    def state_fingerprint(self) -> str:
        """What must not change while snapshots of its states are in use."""
        return fingerprint(self.state_type, self.snapshots.version, self.upcasters.text)

    @property
    def takes_commands(self) -> bool:
        """Whether clients may send commands to it."""
        return "commands" in self.topics

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """Component and kind of each topic that it reads."""
        raise NotImplementedError

    @property
    def subscription(self) -> tuple[str, str]:
        """Component and kind of the topic whose partitions its group distributes; the same in all releases."""
        return self.inputs[0]

    @property
    def parts(self) -> Iterable["ComponentSpec"]:
        """Further components that this one needs, such as the feed of a process manager."""
        return ()

    def reacts_to(self, writer: str, event_type: str) -> bool:
        """Whether it reacts to events of this type that `writer` writes; projectors react to none."""
        return False

    def resolve(self, components: Mapping[str, "ComponentSpec"], mistakes: list[str]) -> None:
        """Look up what it needs from the other components; append a line to `mistakes` for each thing missing."""

    def describe(self) -> Description | None:
        """What it reads and leads to, for people to read; None for a part of another component."""
        raise NotImplementedError


Inspect = Callable[[type, list[str]], ComponentSpec | None]
_KINDS: dict[type, Inspect] = {}


def inspects(declaration: type) -> Callable[[Inspect], Inspect]:
    """Registers a function that makes a spec of a subclass of `declaration` and appends a line per mistake."""

    def register(inspect: Inspect) -> Inspect:
        _KINDS[declaration] = inspect
        return inspect

    return register


def inspect_component(component: object, mistakes: list[str]) -> ComponentSpec | None:
    """The spec of an author's class; None if there are mistakes that prevent it, which are then in `mistakes`."""
    for declaration, inspect in _KINDS.items():
        if isinstance(component, type) and issubclass(component, declaration):
            return inspect(component, mistakes)
    *names, last = (declaration.__name__ for declaration in _KINDS)
    mistakes.append(f"{component!r} is no {', '.join(names)} or {last} class")
    return None
