"""The upcasters of one domain, put together: from any schema that an event may have to the events of today."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from headrace.schemas.event_schema import EventSchema
from headrace.topology.upcaster import UpcastFailed

MessageType = type[Message]
MOST = 1000
"""The most events that one method may make of one; more means that it never ends."""
Take = Callable[[Any, Any], object]
"""What is done with an event of today: takes a target, such as a state, and the event."""


@dataclass(frozen=True, slots=True)
class Link:
    """One method of an upcaster."""

    message: MessageType
    version: int | None
    """Of the events that it takes; None for a type that is no longer written: the newest one."""
    makes: int | None
    """Version of the events that it returns of other types that have several."""
    call: Callable[[Any], object]
    results: tuple[MessageType, ...]
    where: str
    """Class and method, for messages."""


class UpcasterChain:
    """All methods of a domain's upcasters. It takes for granted that they fit together, as the inspection checks."""

    def __init__(self, links: Iterable[Link] = ()) -> None:
        self.links = tuple(links)
        self.versions: dict[str, int] = {}
        """The newest version of each type that has several."""
        for link in self.links:
            if link.version is not None:
                name = link.message.DESCRIPTOR.full_name
                self.versions[name] = max(self.versions.get(name, 0), link.version + 1)
        schemas = [(self.taken(link), link) for link in self.links]
        self.old = {schema.key: (schema, link) for schema, link in schemas}
        """What is not of today, by schema key."""

    def newest(self, type_name: str) -> EventSchema:
        """The schema of the events of a type that are written today."""
        return EventSchema(type_name, self.versions.get(type_name, 1))

    def taken(self, link: Link) -> EventSchema:
        """The schema of the events that a method takes."""
        name = link.message.DESCRIPTOR.full_name
        return self.newest(name) if link.version is None else EventSchema(name, link.version)

    def made(self, link: Link, result: MessageType) -> EventSchema:
        """The schema of the events of a type that a method returns."""
        name = result.DESCRIPTOR.full_name
        if result is link.message and link.version is not None:
            return EventSchema(name, link.version + 1)
        return EventSchema(name, link.makes or 1) if name in self.versions else EventSchema(name)

    def outcomes(self, schema: EventSchema) -> frozenset[str]:
        """Names of today's types that events of a schema may become."""
        if (found := self.old.get(schema.key)) is None:
            return frozenset([schema.type])
        _, link = found
        return frozenset(name for result in link.results for name in self.outcomes(self.made(link, result)))

    @property
    def text(self) -> str:
        """What a fingerprint of states folded from the events depends on; empty without upcasters."""
        return "\n".join(sorted(f"{taken} -> {', '.join(map(str, made))}" for taken, made in self.steps))

    @property
    def steps(self) -> list[tuple[EventSchema, list[EventSchema]]]:
        """What each method takes and returns."""
        return [(self.taken(link), [self.made(link, result) for result in link.results]) for link in self.links]

    # ---- lifting

    def lift(self, schema: EventSchema, message: Message) -> list[Message]:
        """The events of today that an event becomes, in order. Raises UpcastFailed."""
        if schema.key not in self.old:
            return [message]
        lifted: list[Message] = []
        self.lifting(schema, lambda _: list.append)(lifted, message)
        return lifted

    def lifting(self, schema: EventSchema, end: Callable[[str], Take]) -> Take:
        """A function that takes a target and an event of a schema, and gives each event of today to `end(its type)`.

        Everything is looked up here, once: what one step costs counts where long histories are folded.
        """
        if (found := self.old.get(schema.key)) is None:
            return end(schema.type)
        _, link = found
        call, where = link.call, link.where
        following = {result: self.lifting(self.made(link, result), end) for result in link.results}

        def lift(target: Any, message: Any) -> None:
            try:
                made: Any = call(message)
            except Exception as error:
                raise UpcastFailed(where, schema, f"{type(error).__name__}: {error}") from error
            then = following.get(made.__class__)
            if then is not None:  # the usual case
                then(target, made)
                return
            for one in _several(made, link, schema):
                if (then := following.get(type(one))) is None:
                    raise UpcastFailed(where, schema, _undeclared(one, link))
                then(target, one)

        return lift


NO_UPCASTERS = UpcasterChain()


def _several(made: object, link: Link, schema: EventSchema) -> Iterable[Any]:
    if made is None:
        return ()
    if isinstance(made, Message) or not isinstance(made, Iterable):
        return (made,)
    found: list[Any] = []
    try:
        for one in made:  # a generator may raise here
            if len(found) == MOST:
                raise UpcastFailed(link.where, schema, f"it made more than {MOST} events of one; does it end?")
            found.append(one)
    except UpcastFailed:
        raise
    except Exception as error:
        raise UpcastFailed(link.where, schema, f"{type(error).__name__}: {error}") from error
    return found


def _undeclared(one: object, link: Link) -> str:
    declared = ", ".join(result.__name__ for result in link.results) or "nothing"
    return f"it returned {type(one).__name__}; as it is annotated, it returns {declared}"
