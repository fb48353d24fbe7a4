"""Which fields differ between two states: what the COMMUTATIVE merge strategy compares."""

from typing import Any

from google.protobuf.message import Message

Path = tuple[Any, ...]


def changed(before: Message, after: Message) -> set[Path]:
    """Paths of the fields that differ: messages are compared by field, maps by key, lists as a whole."""
    paths: set[Path] = set()
    for field in before.DESCRIPTOR.fields:
        _compare(field, getattr(before, field.name), getattr(after, field.name), before, after, paths)
    return paths


def overlap(one: set[Path], other: set[Path]) -> set[Path]:
    """Paths of `one` that are equal to a path of `other`, or contain it, or are contained in it."""
    return {a for a in one for b in other if a[: len(b)] == b or b[: len(a)] == a}


def clash(then: Message, now: Message, after: Message) -> str:
    """Names of fields that changed from `then` to `now` and change again to `after`; empty when there are none."""
    both = overlap(changed(then, now), changed(now, after))
    return ", ".join(sorted(".".join(map(str, path)) for path in both))


def _compare(field: Any, old: Any, new: Any, before: Message, after: Message, paths: set[Path]) -> None:
    entry = field.message_type
    if field.is_repeated:
        if entry is not None and entry.GetOptions().map_entry:
            paths.update((field.name, key) for key in {*old, *new} if _differs(old, new, key))
        elif len(old) != len(new) or any(map(_unequal, old, new)):
            paths.add((field.name,))
        return
    if field.has_presence and before.HasField(field.name) != after.HasField(field.name):
        paths.add((field.name,))
    elif entry is not None:
        if before.HasField(field.name):
            paths.update((field.name, *path) for path in changed(old, new))
    elif _unequal(old, new):
        paths.add((field.name,))


def _differs(old: Any, new: Any, key: Any) -> bool:
    return key not in old or key not in new or _unequal(old[key], new[key])


def _unequal(old: Any, new: Any) -> bool:
    """Whether two values differ. NaN, although it is not equal to itself, does not differ from NaN."""
    if old == new:
        return False
    if isinstance(old, Message):
        return bool(old.SerializeToString(deterministic=True) != new.SerializeToString(deterministic=True))
    return bool(old == old or new == new)
