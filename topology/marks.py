"""What a decorator attaches to a method of an author's class; it is read when a topology is checked."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from headrace.topology.context import StateOf
from headrace.topology.merge import Merge

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Mark:
    """`role` is the decorator's name; the rest are its options."""

    role: str
    merge: Merge | None = None
    reads: Callable[..., Iterable[StateOf]] | None = None
    from_inbox: bool = False
    key: Callable[..., Any] | None = None
    version: int | None = None
    makes: int | None = None


def mark(method: F, found: Mark) -> F:
    """The same method, marked."""
    method.__headrace__ = found  # type: ignore[attr-defined]
    return method
