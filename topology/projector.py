"""What the author of a read model declares: projectors, and the documents that they keep."""

from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar, Final, Generic, TypeVar, overload

from headrace.topology.marks import F, Mark, mark

D = TypeVar("D")


class Deleted(Enum):
    """The type of `DELETED`, for annotations."""

    DELETED = "deleted"


DELETED: Final = Deleted.DELETED
"""Returned by a projector's method: the document is removed. The next event for it begins with a new one."""


class Projector(Generic[D]):
    """Keeps documents that follow the events of one domain or several; `D` is a dataclass or a message.

    `name` names it, and `version` which of its versions this is: each version is a component of its own, with topics,
    group and sinks of its own, so that a new one is built beside the one that serves. A document that an event is the
    first for is `D()`, so that all its fields need defaults. Methods must be pure: they change the document that they
    are given and nothing else.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1


@overload
def projects(function: F) -> F: ...
@overload
def projects(*, key: Callable[..., Any]) -> Callable[[F], F]: ...
def projects(function: Any = None, *, key: Callable[..., Any] | None = None) -> Any:
    """Marks `method(self, document, event[, context]) -> None` of a projector.

    The document is that of the event's root, or those that `key(event[, context])` names: a string, or an iterable of
    strings for several documents (none at all: the event is passed over). A method that may return `DELETED` is
    annotated with `Deleted | None`.
    """
    found = Mark("projects", key=key)
    return (lambda method: mark(method, found)) if function is None else mark(function, found)


def version_name(name: str, version: int) -> str:
    """Name of a projector's version as a component: of its topics and its group."""
    return f"{name}-v{version}"
