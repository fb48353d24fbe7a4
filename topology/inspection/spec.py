"""What the engine asks of a component, whatever its kind, and the kinds there are.

A kind of component is a declaration (such as `headrace.topology.saga`), an inspection of it here, which makes a spec,
and a step in `headrace.streams.steps`. Everything else asks the spec and never its class.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Generic, NamedTuple, TypeVar

from google.protobuf.message import Message

from headrace.topology.context import StateOf
from headrace.topology.describe import Description
from headrace.topology.merge import Merge

MessageType = type[Message]
S = TypeVar("S", bound=Message)
C = TypeVar("C", bound=Message)


def type_name(message: MessageType) -> str:
    """Full protobuf name of a message type; it is the `ce_type` of its records."""
    return message.DESCRIPTOR.full_name


@dataclass(frozen=True, slots=True)
class Handler(Generic[S, C]):
    """A method that decides on one command, fact or rejected command `C`, given a state `S`."""

    message: type[C]
    call: Callable[..., object]
    """Takes a state, the message and, if `wants_context`, what else it may know."""
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
    """With the root that the input is about: its key is an event's."""
    NEVER = "never"
    """Nowhere; it can only be discarded."""


@dataclass(slots=True, kw_only=True)
class ComponentSpec:
    """One component of a topology."""

    name: str
    """Names its consumer group and topics: an aggregate's domain, a saga's name."""
    class_name: str
    state: MessageType | None = None
    """What it folds out of its own events; None where it has no state."""
    appliers: dict[str, Applier] = field(default_factory=dict)
    """By event type name: the events that it writes."""
    begin: str = ""
    """Where it begins to read other components' events, if it never has: oldest, now, or unsaid."""
    commands: dict[str, AnyHandler] = field(default_factory=dict)
    """By command type name."""
    facts: dict[str, AnyHandler] = field(default_factory=dict)
    """By fact type name."""

    kind: ClassVar[str]
    topics: ClassVar[tuple[str, ...]]
    """Kinds of topics that are its own."""
    has_timers: ClassVar[bool] = False
    sends: ClassVar[bool] = False
    """Whether it writes to topics of other components."""
    replay: ClassVar[Replay] = Replay.BY_KEY

    @property
    def state_type(self) -> MessageType:
        """The type of its state; LookupError where it has none."""
        if self.state is None:
            raise LookupError(f"{self.name} has no state of its own")
        return self.state

    @property
    def takes_commands(self) -> bool:
        """Whether clients may send to it."""
        return "commands" in self.topics

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """Component and kind of each topic that it reads."""
        raise NotImplementedError

    @property
    def subscription(self) -> tuple[str, str]:
        """Component and kind of the topic whose partitions its group shares out; the same in all releases."""
        return self.inputs[0]

    @property
    def parts(self) -> Iterable["ComponentSpec"]:
        """Further components that this one brings along."""
        return ()

    def resolve(self, components: Mapping[str, "ComponentSpec"], mistakes: list[str]) -> None:
        """Find what it needs of the other components; what is missing is appended to `mistakes`, a line each."""

    def describe(self) -> Description | None:
        """What it reads and leads to, for a person; None for a part of another component."""
        raise NotImplementedError


Inspect = Callable[[type, list[str]], ComponentSpec | None]
_KINDS: dict[type, Inspect] = {}


def inspects(declaration: type) -> Callable[[Inspect], Inspect]:
    """Registers what makes a spec out of subclasses of `declaration`; it appends a line to `mistakes` for each."""

    def register(inspect: Inspect) -> Inspect:
        _KINDS[declaration] = inspect
        return inspect

    return register


def inspect_component(component: object, mistakes: list[str]) -> ComponentSpec | None:
    """The spec of an author's class; None when that cannot be made, and then `mistakes` says why."""
    for declaration, inspect in _KINDS.items():
        if isinstance(component, type) and issubclass(component, declaration):
            return inspect(component, mistakes)
    *names, last = (declaration.__name__ for declaration in _KINDS)
    mistakes.append(f"{component!r} is no {', '.join(names)} or {last} class")
    return None
