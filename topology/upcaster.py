"""What the author of a domain declares about its past: how events of older releases become those of today."""

from collections.abc import Callable
from typing import Any, ClassVar, overload

from headrace.schemas.event_schema import EventSchema
from headrace.topology.marks import F, Mark, mark


class Upcaster:
    """Turns events that an older release has written into those of today, each time that they are read.

    `domain` is the aggregate, or the process manager, that has written them. The log keeps them as they are. Methods
    must be pure. One method makes one step; the steps of all upcasters of a domain are put together when the topology
    is made.
    """

    domain: ClassVar[str]


@overload
def upcasts(function: F) -> F: ...
@overload
def upcasts(*, version: int | None = None, makes: int | None = None) -> Callable[[F], F]: ...
def upcasts(function: Any = None, *, version: int | None = None, makes: int | None = None) -> Any:
    """Marks `method(self, old_event) -> new event | list of events | None` of an upcaster.

    All events that a method returns have the sequence of the old one. Without `version` the old type is one that is no
    longer written. `version` is for a type that is still written, and whose meaning has changed: the method takes
    events of that version, and an event of the same type that it returns has the next one. `makes` says which version
    the events have that it returns of another type; it is required if that type has several.
    """
    found = Mark("upcasts", version=version, makes=makes)
    return mark(function, found) if function is not None else lambda f: mark(f, found)


class UpcastFailed(Exception):
    """An upcaster raised, or returned something else than it declares: the event cannot be read by this release.

    `root` and `sequence` say which event; they are empty and -1 where that is not known.
    """

    def __init__(self, where: str, schema: EventSchema, reason: str) -> None:
        super().__init__(where, schema, reason)
        self.where, self.schema, self.reason = where, schema, reason
        self.root, self.sequence = "", -1

    def at(self, root: str, sequence: int) -> "UpcastFailed":
        """The same error, which now says which event cannot be read."""
        self.root, self.sequence = root, sequence
        return self

    def __str__(self) -> str:
        which = f"event {self.sequence} of {self.root}, " if self.root else ""
        return f"{self.where} cannot lift {which}{self.schema}: {self.reason}"
