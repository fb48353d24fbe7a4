"""Reads an author's methods from their annotations, the same way for all kinds of components."""

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard, TypeVar, Union

from google.protobuf.message import Message

from headrace.topology.aggregate import Aggregate, Flag, Rejection
from headrace.topology.context import Context
from headrace.topology.inspection.spec import (
    AnyHandler,
    Applier,
    ComponentSpec,
    Handler,
    MessageType,
    Reaction,
    type_name,
)
from headrace.topology.marks import Mark
from headrace.topology.merge import Merge
from headrace.topology.names import is_name
from headrace.topology.process_manager import ProcessManager
from headrace.topology.saga import Send
from headrace.topology.snapshots import Snapshots

T = TypeVar("T")
_FORMS = {
    "handles": ("(state, command[, context])", Context),
    "records": ("(state, fact[, context])", Context),
    "compensates": ("(state, command, rejection)", Rejection),
    "applies": ("(state, event)", None),
}


@dataclass(frozen=True, slots=True)
class Method:
    """A marked method of an author's class."""

    where: str
    """Class and method, for messages."""
    call: Callable[..., object]
    mark: Mark
    parameters: list[object]
    """Their annotations; None for one without."""
    returned: object

    @property
    def name(self) -> str:
        """Of the method alone."""
        return str(self.call.__name__)


def component_name(component: type, attribute: str, mistakes: list[str]) -> str | None:
    """The name in a class attribute; None, and a mistake, if a component cannot have that name."""
    name = getattr(component, attribute, None)
    if isinstance(name, str) and is_name(name):
        return name
    mistakes.append(f"{component.__name__}: {attribute} is {name!r}; give it a name that matches [a-z][a-z0-9-]*")
    return None


def state_type(component: type, declaration: type, mistakes: list[str]) -> MessageType | None:
    """The message in `declaration[…]`, the base of a class; None, and a mistake, if there is no such base."""
    for argument in base_arguments(component, declaration):
        if is_message(argument):
            return argument
    name = component.__name__
    mistakes.append(f"{name}: names no state; write class {name}({declaration.__name__}[YourStateMessage])")
    return None


def base_arguments(component: type, declaration: type) -> Iterator[object]:
    """What stands in `declaration[…]` where it is a base of a class, or of its bases; the nearest first."""
    for cls in component.__mro__:
        for base in getattr(cls, "__orig_bases__", ()):
            if typing.get_origin(base) is declaration:
                yield from typing.get_args(base)


def instance_of(component: type[T], mistakes: list[str]) -> T | None:
    """An instance of an author's class; None, and a mistake, if it cannot be created."""
    try:
        return component()
    except Exception as error:
        mistakes.append(f"{component.__name__}: cannot be made without arguments: {error}")
        return None


def marked_methods(instance: object, roles: Sequence[str], mistakes: list[str]) -> Iterator[Method]:
    """Methods of a component that have one of these roles; another role is a mistake."""
    component = type(instance)
    for name, mark in _marks(component):
        where, bound = f"{component.__name__}.{name}", getattr(instance, name)
        if mark.role not in roles:
            allowed = ", ".join(f"@{role}" for role in roles)
            mistakes.append(f"{where}: @{mark.role} means nothing here; {component.__name__} may have {allowed}")
        elif is_plain(where, bound, mistakes) and (hints := _hints(bound, where, mistakes)) is not None:
            yield Method(where, bound, mark, *hints)


def is_plain(where: str, bound: Callable[..., object], mistakes: list[str]) -> bool:
    """Whether a method can be called by the engine: with self, by position, and without waiting."""
    if not inspect.ismethod(bound):
        mistakes.append(f"{where}: must be a plain method, which takes self")
        return False
    return by_position(where, bound, mistakes)


def by_position(where: str, function: Callable[..., object], mistakes: list[str]) -> bool:
    """Whether a method, or a function, can be called by position and without waiting."""
    parameters = inspect.signature(function).parameters.values()
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        mistakes.append(f"{where}: is async; a handler does no I/O and is a plain method")
    elif named := [str(p) for p in parameters if p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]:
        mistakes.append(f"{where}: takes {', '.join(named)}, which the engine cannot give; take arguments by position")
    else:
        return True
    return False


def check_number(where: str, function: Callable[..., object], form: str, mistakes: list[str]) -> None:
    """Adds a mistake unless a function takes as many arguments as `form` has."""
    number = len(inspect.signature(function).parameters)
    if number != form.count(",") + 1:
        mistakes.append(f"{where}: takes {number} arguments; it takes {form}")


def add_handler(
    spec: ComponentSpec, table: dict[str, AnyHandler], method: Method, merge: Merge, mistakes: list[str]
) -> None:
    """Adds a method that decides on commands, facts or rejected commands to `table`."""
    where, parameters, role = method.where, method.parameters, method.mark.role
    form, third = _FORMS[role]
    if len(parameters) not in ((3,) if role == "compensates" else (2, 3)):
        mistakes.append(f"{where}: takes {len(parameters)} arguments; @{role} takes {form}")
        return
    if len(parameters) == 3 and parameters[2] not in (None, third):
        name = third.__name__ if third else ""
        mistakes.append(f"{where}: takes {as_text(parameters[2])} as its third argument; that is the {name}")
    messages = _arguments(spec, method, mistakes)
    events = tuple(events_in(method.returned))
    for event in events:
        spec.appliers.setdefault(type_name(event), Applier(event, missing_applier))
    for message in messages:
        if other := table.get(type_name(message)):
            mistakes.append(f"{where}: {type_name(message)} is handled by {other.where} already; keep one of them")
            continue
        wants_context = len(parameters) == 3
        table[type_name(message)] = Handler(
            message, method.call, events, method.mark.merge or merge, wants_context, method.name, where
        )


def check_returns_events(method: Method, mistakes: list[str]) -> None:
    """Adds a mistake unless a handler returns an event, several or none; a compensation may also return a Flag."""
    besides = (Flag,) if method.mark.role == "compensates" else ()
    if returns_others(method.returned, besides):
        text = as_text(method.returned)
        mistakes.append(f"{method.where}: wrong return type {text}; return an event, a list of events or None")


def add_applier(spec: ComponentSpec, method: Method, mistakes: list[str]) -> None:
    """Adds a method that applies events."""
    where, parameters = method.where, method.parameters
    if len(parameters) != 2:
        mistakes.append(f"{where}: takes {len(parameters)} arguments; @applies takes {_FORMS['applies'][0]}")
        return
    if inspect.isgeneratorfunction(method.call):
        mistakes.append(f"{where}: yields; @applies changes state and returns None, and a generator would never run")
    elif method.returned is not type(None):
        text = as_text(method.returned)
        mistakes.append(f"{where}: wrong return type {text}; @applies changes state and returns None")
    for event in _arguments(spec, method, mistakes):
        other = spec.appliers.get(type_name(event))
        if other is not None and other.call is not missing_applier:
            first = f"{spec.class_name}.{other.call.__name__}"
            mistakes.append(f"{where}: {type_name(event)} is applied by {first} already; keep one of them")
            continue
        spec.appliers[type_name(event)] = Applier(event, typing.cast(Callable[..., None], method.call))


def add_reaction(
    reactions: dict[str, Reaction], method: Method, before: int, context: type, mistakes: list[str]
) -> None:
    """Adds a method that reacts to events: it takes `before` arguments, then the event, then perhaps a context."""
    where, parameters = method.where, method.parameters
    if len(parameters) not in (before + 1, before + 2):
        form = "(state, event[, context])" if before else "(event[, context])"
        mistakes.append(f"{where}: takes {len(parameters)} arguments; @reacts takes {form}")
        return
    if parameters[before + 1 :] not in ([], [None], *([one] for one in context.__mro__)):
        mistakes.append(
            f"{where}: takes {as_text(parameters[-1])} as its last argument; that is the {context.__name__}"
        )
    reads = method.mark.reads
    if reads is not None:
        if before == 0:
            mistakes.append(f"{where}: reads= means nothing here; only a process manager reads states of other roots")
        else:
            named = f"{where}: reads={getattr(reads, '__name__', reads)}"
            if by_position(named, reads, mistakes):
                check_number(named, reads, "(state, event)", mistakes)
    if method.mark.from_inbox and before == 0:
        mistakes.append(f"{where}: from_inbox= means nothing here; only a process manager tells causes apart")
    wants_context = len(parameters) == before + 2
    for event in members(parameters[before]):
        if not is_message(event):
            mistakes.append(f"{where}: {as_text(event)} is no protobuf message, nor a union of them")
        elif other := reactions.get(type_name(event)):
            mistakes.append(f"{where}: {type_name(event)} has a reaction already, {other.method}; keep one of them")
        else:
            sends = tuple(_sent(method.returned))
            reactions[type_name(event)] = Reaction(
                event, method.call, sends, wants_context, method.name, where, reads, method.mark.from_inbox
            )


def begin_of(component: type, mistakes: list[str]) -> str:
    """Where a component begins to read, as its author has declared; empty if not declared."""
    begin: object = getattr(component, "begin", "")
    if begin not in ("", "oldest", "now"):
        mistakes.append(f'{component.__name__}: begin is {begin!r}; it is "oldest" or "now"')
    return str(begin)


def check_sends(
    reactions: Mapping[str, Reaction], components: Mapping[str, ComponentSpec], mistakes: list[str]
) -> None:
    """Adds a mistake for each command that the reactions declare and nobody handles."""
    handled = {name for spec in components.values() for name in spec.commands}
    for reaction in reactions.values():
        for command in reaction.sends:
            if type_name(command) not in handled:
                mistakes.append(f"{reaction.where}: no aggregate handles {type_name(command)}, which it sends")


def missing_applier(state: object, event: object) -> None:
    """Stands for the missing method where an event is written and no method applies it."""
    raise LookupError(f"no @applies method for {type(event).__name__}")


# ---- annotations


def events_in(annotation: object) -> Iterator[MessageType]:
    """Message types in a return annotation: alone, in unions, and in lists or iterators."""
    for member in members(annotation):
        if is_message(member):
            yield member
        elif _is_iterable(member):
            for argument in typing.get_args(member):
                yield from (m for m in members(argument) if is_message(m))


def members(annotation: object) -> Sequence[object]:
    """The parts of a union; the annotation itself if it is not a union."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def is_message(annotation: object) -> TypeGuard[MessageType]:
    """Whether it is a protobuf message type."""
    return isinstance(annotation, type) and issubclass(annotation, Message) and annotation is not Message


def as_text(annotation: object) -> str:
    """An annotation as an author writes it."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation.__name__
    return str(annotation)


def returns_others(annotation: object, besides: tuple[type, ...] = ()) -> bool:
    """Whether a return annotation names something else than messages, `besides` and None, alone or in lists."""
    for member in members(annotation):
        if _is_iterable(member):
            inner = [m for argument in typing.get_args(member) for m in members(argument) if m is not Ellipsis]
            if not all(is_message(m) for m in inner):
                return True
        elif not is_message(member) and member is not type(None) and member not in besides:
            return True
    return False


def _is_iterable(annotation: object) -> bool:
    origin = typing.get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Iterable)


def _sent(annotation: object) -> Iterator[MessageType]:
    """Command types named in `Send[…]`, anywhere in a return annotation."""
    if typing.get_origin(annotation) is Send:
        yield from (m for a in typing.get_args(annotation) for m in members(a) if is_message(m))
    else:
        for argument in typing.get_args(annotation):
            yield from _sent(argument)


def snapshots_of(component: type[Aggregate[Message]] | type[ProcessManager[Message]], mistakes: list[str]) -> Snapshots:
    """What `snapshots` says; a mistake if that is something else than Snapshots."""
    if isinstance(component.snapshots, Snapshots):
        return component.snapshots
    mistakes.append(f"{component.__name__}: snapshots is {component.snapshots!r}; write Snapshots(version=2)")
    return Snapshots()


def check_kept(spec: ComponentSpec, mistakes: list[str]) -> None:
    """Adds a mistake for each event after which a snapshot is kept, and that the component does not apply."""
    for event in spec.snapshots.keep:
        if not is_message(event) or type_name(event) not in spec.appliers:
            mistakes.append(f"{spec.class_name}: snapshots keeps {as_text(event)}, which it does not apply")


def check_state(spec: ComponentSpec, method: Method, mistakes: list[str]) -> None:
    """Adds a mistake unless the first parameter is the component's state."""
    if method.parameters and method.parameters[0] is not spec.state:
        have, own = as_text(method.parameters[0]), as_text(spec.state)
        mistakes.append(f"{method.where}: takes state {have}; {spec.class_name}'s is {own}")


def _arguments(spec: ComponentSpec, method: Method, mistakes: list[str]) -> list[MessageType]:
    """The message types of the second parameter; the first one is the state."""
    check_state(spec, method, mistakes)
    argument = method.parameters[1]
    found = [member for member in members(argument) if is_message(member)]
    if len(found) != len(members(argument)):
        mistakes.append(f"{method.where}: {as_text(argument)} is no protobuf message, nor a union of them")
        return []
    return found


def _marks(component: type) -> Iterator[tuple[str, Mark]]:
    seen: set[str] = set()
    for cls in component.__mro__:
        for name, value in vars(cls).items():
            # a staticmethod, which is a mistake, is marked either itself or in its function
            marks = (getattr(one, "__headrace__", None) for one in (value, getattr(value, "__func__", None)))
            if name not in seen and (mark := next(filter(None, marks), None)) is not None:
                yield name, mark
            seen.add(name)


def _hints(bound: Callable[..., object], where: str, mistakes: list[str]) -> tuple[list[object], object] | None:
    try:
        hints = typing.get_type_hints(getattr(bound, "__func__", bound))
    except Exception as error:
        mistakes.append(f"{where}: its annotations cannot be read: {error}")
        return None
    parameters = list(inspect.signature(bound).parameters.values())
    missing = [p.name for p in parameters[:2] if p.name not in hints]
    if missing:
        mistakes.append(f"{where}: annotate {', '.join(missing)} with the message type it takes")
        return None
    if "return" not in hints:
        mistakes.append(f"{where}: annotate what it returns")
        return None
    return [hints.get(p.name) for p in parameters], hints["return"]
