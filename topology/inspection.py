"""Reads declarations from their annotations, and collects every mistake in them."""

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

from google.protobuf.message import Message

from headrace.topology.aggregate import Aggregate, Context, Flag, Mark, Merge, Rejection
from headrace.topology.names import is_name
from headrace.topology.process_manager import ProcessManager
from headrace.topology.saga import Cascade, Saga, Send

MessageType = type[Message]


@dataclass(frozen=True, slots=True)
class Handler:
    """One command of an aggregate and the method that decides it."""

    command: MessageType
    call: Callable[..., Any]
    events: tuple[MessageType, ...]
    merge: Merge
    wants_context: bool
    method: str


@dataclass(slots=True)
class AggregateSpec:
    """An aggregate as the engine uses it; handlers by command type name, appliers by event type name."""

    name: str
    domain: str
    state: MessageType
    handlers: dict[str, Handler] = field(default_factory=dict)
    appliers: dict[str, tuple[MessageType, Callable[[Any, Any], None]]] = field(default_factory=dict)
    facts: dict[str, Handler] = field(default_factory=dict)
    """By fact type name."""
    compensators: dict[str, Handler] = field(default_factory=dict)
    """By type name of the refused command."""


def type_name(message: MessageType) -> str:
    """Full protobuf name of a message type; it is the `ce_type` of its records."""
    return message.DESCRIPTOR.full_name


def inspect_aggregate(aggregate: type[Aggregate[Any]], mistakes: list[str]) -> AggregateSpec | None:
    """The declaration of `aggregate`; what is wrong with it is appended to `mistakes`, a line each."""
    name = aggregate.__name__
    domain = getattr(aggregate, "domain", None)
    state = _state_type(aggregate)
    if domain is None or not isinstance(domain, str) or not is_name(domain):
        mistakes.append(f"{name}: domain is {domain!r}; give it a name that matches [a-z][a-z0-9-]*")
    if state is None:
        mistakes.append(f"{name}: names no state; write class {name}(Aggregate[YourStateMessage])")
    if not isinstance(domain, str) or state is None:
        return None
    spec = AggregateSpec(name, domain, state)
    try:
        instance = aggregate()
    except Exception as error:
        mistakes.append(f"{name}: cannot be made without arguments: {error}")
        return None
    for method, mark in _marked(aggregate):
        where = f"{name}.{method}"
        bound = getattr(instance, method)
        if not inspect.ismethod(bound):
            mistakes.append(f"{where}: must be a plain method, which takes self")
            continue
        if inspect.iscoroutinefunction(bound) or inspect.isasyncgenfunction(bound):
            mistakes.append(f"{where}: is async; a handler does no I/O and is a plain method")
            continue
        hints = _hints(bound, where, mistakes)
        if hints is None:
            continue
        if mark.role in ("handles", "records", "compensates"):
            _add_handler(spec, where, bound, hints, mark, aggregate.merge, mistakes)
        elif mark.role == "applies":
            _add_applier(spec, where, bound, hints, mistakes)
    _check_whole(spec, mistakes)
    return spec


@dataclass(frozen=True, slots=True)
class Reaction:
    """One event and the method of a saga or process manager that reacts to it."""

    event: MessageType
    call: Callable[..., Any]
    sends: tuple[MessageType, ...]
    wants_context: bool
    method: str
    reads: Callable[..., Any] | None = None


@dataclass(slots=True)
class SagaSpec:
    """A saga as the engine uses it; reactions by event type name."""

    name: str
    domain: str
    """The word that names its group and topics."""
    source: str
    on_rejection: Cascade
    reactions: dict[str, Reaction] = field(default_factory=dict)


def inspect_saga(saga: type[Saga], mistakes: list[str]) -> SagaSpec | None:
    """The declaration of `saga`; what is wrong with it is appended to `mistakes`, a line each."""
    name = saga.__name__
    words = {}
    for attribute in ("name", "source"):
        word = getattr(saga, attribute, None)
        if not isinstance(word, str) or not is_name(word):
            mistakes.append(f"{name}: {attribute} is {word!r}; give it a word that matches [a-z][a-z0-9-]*")
            return None
        words[attribute] = word
    spec = SagaSpec(name, words["name"], words["source"], saga.on_rejection)
    instance = saga()
    for method, mark in _marked(saga):
        where, bound = f"{name}.{method}", getattr(instance, method)
        hints = _hints(bound, where, mistakes)
        if hints is None or mark.role != "reacts":
            continue
        parameters, returned = hints
        if len(parameters) not in (1, 2):
            mistakes.append(f"{where}: takes {len(parameters)} arguments; @reacts takes (event[, context])")
            continue
        _add_reactions(spec.reactions, where, bound, parameters[0], returned, len(parameters) == 2, mark, mistakes)
    if not spec.reactions:
        mistakes.append(f"{name}: has no method marked @reacts")
    return spec


def _add_reactions(
    reactions: dict[str, Reaction],
    where: str,
    bound: Any,
    events: Any,
    returned: Any,
    wants_context: bool,
    mark: Mark,
    mistakes: list[str],
) -> None:
    for event in _members(events):
        if not _is_message(event):
            mistakes.append(f"{where}: {_text(event)} is no protobuf message, nor a union of them")
        elif other := reactions.get(type_name(event)):
            mistakes.append(f"{where}: {type_name(event)} has a reaction already, {other.method}; keep one of them")
        else:
            sends = tuple(_sent(returned))
            reactions[type_name(event)] = Reaction(event, bound, sends, wants_context, bound.__name__, mark.reads)


@dataclass(slots=True)
class ProcessSpec(AggregateSpec):
    """A process manager as the engine uses it: an aggregate of its own events, with reactions to those of others."""

    on_rejection: Cascade = Cascade.COMPENSATE
    reactions: dict[str, Reaction] = field(default_factory=dict)
    """By event type name."""
    finished: Callable[[Any], bool] = lambda state: False
    sources: dict[str, str] = field(default_factory=dict)
    """Domain that writes each event type; types of time-outs are not in it."""


@dataclass(frozen=True, slots=True)
class FeedSpec:
    """What brings events of other domains to a process manager's inbox."""

    name: str
    domain: str
    process: ProcessSpec


def inspect_process(process: type[ProcessManager[Any]], mistakes: list[str]) -> ProcessSpec | None:
    """The declaration of `process`; what is wrong with it is appended to `mistakes`, a line each."""
    name, word, state = process.__name__, getattr(process, "name", None), _state_type(process, ProcessManager)
    if not isinstance(word, str) or not is_name(word):
        mistakes.append(f"{name}: name is {word!r}; give it a word that matches [a-z][a-z0-9-]*")
    if state is None:
        mistakes.append(f"{name}: names no state; write class {name}(ProcessManager[YourStateMessage])")
    if not isinstance(word, str) or state is None:
        return None
    instance = process()
    spec = ProcessSpec(name, word, state, on_rejection=process.on_rejection, finished=instance.finished)
    for method, mark in _marked(process):
        where, bound = f"{name}.{method}", getattr(instance, method)
        hints = _hints(bound, where, mistakes)
        if hints is None:
            continue
        parameters, returned = hints
        if mark.role == "applies":
            _add_applier(spec, where, bound, hints, mistakes)
        elif mark.role == "compensates":
            found: list[str] = []
            _add_handler(spec, where, bound, hints, mark, Merge.AGGREGATE_HANDLES, found)
            mistakes.extend(m for m in found if "wrong return type" not in m)  # it may yield commands too
        elif mark.role == "reacts" and len(parameters) in (2, 3):
            events, wants = parameters[1], len(parameters) == 3
            _add_reactions(spec.reactions, where, bound, events, returned, wants, mark, mistakes)
        else:
            mistakes.append(f"{where}: a process manager has @reacts (state, event[, context]), @applies, @compensates")
    if not spec.reactions:
        mistakes.append(f"{name}: has no method marked @reacts")
    return spec


def _sent(annotation: Any) -> Iterator[MessageType]:
    """Command types named inside `Send[…]`, wherever it stands in a return annotation."""
    if typing.get_origin(annotation) is Send:
        yield from (m for a in typing.get_args(annotation) for m in _members(a) if _is_message(m))
    else:
        for argument in typing.get_args(annotation):
            yield from _sent(argument)


def _marked(aggregate: type[Any]) -> Iterator[tuple[str, Mark]]:
    seen: set[str] = set()
    for cls in aggregate.__mro__:
        for name, value in vars(cls).items():
            mark = getattr(getattr(value, "__func__", value), "__headrace__", None)  # also of a staticmethod
            if name not in seen and isinstance(mark, Mark):
                yield name, mark
            seen.add(name)


def _state_type(component: type[Any], of: type[Any] = Aggregate) -> MessageType | None:
    for cls in component.__mro__:
        for base in getattr(cls, "__orig_bases__", ()):
            if typing.get_origin(base) is of:
                (argument,) = typing.get_args(base)
                return argument if _is_message(argument) else None
    return None


def _hints(bound: Any, where: str, mistakes: list[str]) -> tuple[list[Any], Any] | None:
    try:
        hints = typing.get_type_hints(bound.__func__)
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


def _add_handler(
    spec: AggregateSpec,
    where: str,
    bound: Any,
    hints: tuple[list[Any], Any],
    mark: Mark,
    merge: Merge,
    mistakes: list[str],
) -> None:
    parameters, returned = hints
    table = {"handles": spec.handlers, "records": spec.facts, "compensates": spec.compensators}[mark.role]
    if len(parameters) not in ((3,) if mark.role == "compensates" else (2, 3)):
        form = {"records": "(state, fact[, context])", "compensates": "(state, command, rejection)"}.get(
            mark.role, "(state, command[, context])"
        )
        mistakes.append(f"{where}: takes {len(parameters)} arguments; @{mark.role} takes {form}")
        return
    third = Rejection if mark.role == "compensates" else Context
    if len(parameters) == 3 and parameters[2] not in (None, third):
        mistakes.append(f"{where}: takes {_text(parameters[2])} as its third argument; that is the {third.__name__}")
    commands = _check_arguments(spec, where, parameters, mistakes)
    events, wrong = _returned(returned, (Flag,) if mark.role == "compensates" else ())
    if wrong:
        mistakes.append(f"{where}: wrong return type {_text(returned)}; return an event, a list of events or None")
    for event in events:
        if type_name(event) not in spec.appliers:
            spec.appliers[type_name(event)] = (event, _missing)
    for command in commands:
        if other := table.get(type_name(command)):
            first = f"{spec.name}.{other.method}"
            mistakes.append(f"{where}: {type_name(command)} is handled by {first} already; keep one of them")
            continue
        table[type_name(command)] = Handler(
            command, bound, tuple(events), mark.merge or merge, len(parameters) == 3, bound.__name__
        )


def _add_applier(
    spec: AggregateSpec, where: str, bound: Any, hints: tuple[list[Any], Any], mistakes: list[str]
) -> None:
    parameters, returned = hints
    if len(parameters) != 2:
        mistakes.append(f"{where}: takes {len(parameters)} arguments; @applies takes (state, event)")
        return
    if returned is not type(None):
        mistakes.append(f"{where}: wrong return type {_text(returned)}; @applies changes state and returns None")
    for event in _check_arguments(spec, where, parameters, mistakes):
        known = spec.appliers.get(type_name(event))
        if known is not None and known[1] is not _missing:
            first = f"{spec.name}.{known[1].__name__}"
            mistakes.append(f"{where}: {type_name(event)} is applied by {first} already; keep one of them")
            continue
        spec.appliers[type_name(event)] = (event, bound)


def _check_arguments(spec: AggregateSpec, where: str, parameters: list[Any], mistakes: list[str]) -> list[MessageType]:
    if parameters[0] is not spec.state:
        mistakes.append(f"{where}: takes state {_text(parameters[0])}; {spec.name}'s is {_text(spec.state)}")
    members = list(_members(parameters[1]))
    if not members or not all(_is_message(m) for m in members):
        mistakes.append(f"{where}: {_text(parameters[1])} is no protobuf message, nor a union of them")
        return []
    return members


def _check_whole(spec: AggregateSpec, mistakes: list[str]) -> None:
    if not spec.handlers and not spec.facts:
        mistakes.append(f"{spec.name}: has no method marked @handles")
    for handler in (*spec.handlers.values(), *spec.facts.values(), *spec.compensators.values()):
        for event in handler.events:
            if spec.appliers[type_name(event)][1] is _missing:
                mistakes.append(
                    f"{spec.name}.{handler.method}: no handler for {type_name(event)}, which it returns; "
                    f"add an @applies method to {spec.name} that takes it"
                )


def _missing(state: Any, event: Any) -> None:
    raise LookupError(f"no @applies method for {type(event).__name__}")


def _returned(annotation: Any, besides: tuple[type, ...] = ()) -> tuple[list[MessageType], bool]:
    """Event types in a return annotation, and whether anything else is in it than what may be there `besides`."""
    events: list[MessageType] = []
    wrong = False
    for member in _members(annotation):
        if _is_message(member):
            events.append(member)
        elif isinstance(origin := typing.get_origin(member), type) and issubclass(origin, Iterable):
            for argument in typing.get_args(member):
                inner = [m for m in _members(argument) if m is not Ellipsis]
                events.extend(m for m in inner if _is_message(m))
                wrong = wrong or not all(_is_message(m) for m in inner)
        elif member is not type(None) and member not in besides:
            wrong = True
    return events, wrong


def _members(annotation: Any) -> Sequence[Any]:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _is_message(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Message) and annotation is not Message


def _text(annotation: Any) -> str:
    plain = isinstance(annotation, type) and typing.get_origin(annotation) is None
    return annotation.__name__ if plain else str(annotation)
