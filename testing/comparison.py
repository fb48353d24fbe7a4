"""Messages of failed tests: what was expected and what was there, side by side."""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from itertools import zip_longest
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import Message

from headrace.streams.steps import merge
from headrace.topology.inspection import type_name
from headrace.topology.process_manager import Cancel, Schedule
from headrace.topology.saga import Send


def comparison(expected: Iterable[object], got: Iterable[object], one: str = "expected", other: str = "got") -> str:
    """Both lists side by side, item by item; if two items of one type differ, the fields that differ."""
    lines: list[str] = []
    for number, (want, have) in enumerate(zip_longest(expected, got), 1):
        if want == have:
            lines.append(f"  {number}. both      {_text(want)}")
            continue
        lines.append(f"  {number}. {one:<9} {_text(want)}")
        lines.append(f"     {other:<9} {_text(have)}")
        if paths := _differences(want, have):
            lines.append(f"     differ in {', '.join(sorted(paths))}")
    return "\n".join(lines)


def check_state(state: Message, expected: dict[str, Any]) -> None:
    """AssertionError unless these fields have these values; maps are compared as dict, repeated fields as list."""
    __tracebackhide__ = True
    known = state.DESCRIPTOR.fields_by_name
    if unknown := expected.keys() - known.keys():
        names = f"{', '.join(sorted(unknown))}; it has: {', '.join(known)}"
        raise AssertionError(f"{type_name(type(state))} has no {names}")
    wrong = [
        f"{name}\n  expected  {want!r}\n  got       {got!r}"
        for name, want, got in ((name, value, _plain(state, name)) for name, value in expected.items())
        if got != want
    ]
    if wrong:
        raise AssertionError("other state than expected\n" + "\n".join(wrong))


def _plain(message: Message, name: str) -> Any:
    field, value = message.DESCRIPTOR.fields_by_name[name], getattr(message, name)
    if not field.is_repeated:
        return value
    entry = field.message_type
    return dict(value) if entry is not None and entry.GetOptions().map_entry else list(value)


def _differences(want: Any, have: Any) -> list[str]:
    if type(want) is not type(have):
        return []
    if isinstance(want, Message):
        return [".".join(map(str, path)) for path in merge.changed(want, have)]
    if not isinstance(want, Send | Schedule | Cancel) or not is_dataclass(want):
        return []
    paths: list[str] = []
    for field in fields(want):
        left, right = getattr(want, field.name), getattr(have, field.name)
        inside = _differences(left, right)
        paths.extend(f"{field.name}.{path}" for path in inside)
        if left != right and not inside:
            paths.append(field.name)
    return paths


def _text(item: object) -> str:
    match item:
        case None:
            return "nothing"
        case Message():
            inside = text_format.MessageToString(item, as_one_line=True, as_utf8=True)
            return f"{type(item).__name__}({inside.strip()})"
        case Send():
            expected = "" if item.expected_sequence is None else f", expected_sequence={item.expected_sequence}"
            return f"Send({item.domain!r}, {item.root!r}, {_text(item.message)}{expected})"
        case Schedule():
            name = "" if item.name == item.message.DESCRIPTOR.full_name else f", name={item.name!r}"
            return f"Schedule({item.delay}, {_text(item.message)}{name})"
        case Cancel():
            return f"Cancel({item.name!r})"
    return f"{item!r}, which is no protobuf message" if isinstance(item, str | bytes | int) else str(item)
