"""Tables of the features: what is in their columns, and how they are held against what was found."""

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from headrace.schemas import headrace_v1_pb2
from headrace.schemas.event_schema import parse_key, schema_key
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.record import Record
from tests.features import shop_pb2
from tests.features.world import World

Table = Sequence[Sequence[str]]
Column = Callable[[Any], str]
QUERY = b"headrace.v1.Query"


def message_type(name: str) -> type[Message]:
    """The message of a name; without a package it is one of the shop's."""
    package, _, short = name.rpartition(".")
    assert package in ("", "shop.v1", "headrace.v1"), f"{name} is of no package known here"
    found: type[Message] = getattr(headrace_v1_pb2 if package == "headrace.v1" else shop_pb2, short)
    return found


def message(name: str, data: str) -> Message:
    """A message from JSON, by the protobuf mapping."""
    return json_format.Parse(data or "{}", message_type(name)())


def header(record: Record, name: str) -> str:
    return record.headers.get(name, b"").decode()


def about(root: str, records: Sequence[Record]) -> list[Record]:
    """Records of a root, but for the engine's own questions."""
    return [r for r in records if header(r, "ce_subject") == root and r.headers["ce_type"] != QUERY]


def same(found: Sequence[Any], table: Table, columns: dict[str, Column], *, ordered: bool = True) -> None:
    """Hold what was found against a table: as many rows, in this order unless it does not matter."""
    names, *rows = table
    assert rows, "the table has no rows; there is a step that says so"
    shown = [{name: columns[name](one) for name in names} for one in found]
    wanted = [dict(zip(names, row, strict=True)) for row in rows]
    text = "\n".join(map(str, shown))
    assert len(shown) == len(wanted), f"{len(wanted)} expected, but there are {len(shown)}:\n{text}"
    if ordered:
        for row, one in zip(wanted, shown, strict=True):
            assert fits(row, one), f"{row} expected; found:\n{text}"
        return
    left = list(shown)
    for row in wanted:
        fit = next((one for one in left if fits(row, one)), None)
        assert fit is not None, f"{row} expected; found:\n{text}"
        left.remove(fit)


def fits(row: dict[str, str], one: dict[str, str]) -> bool:
    """Whether a row says what is; an empty cell leaves it open, `none` stands for nothing."""
    for name, cell in row.items():
        if not cell:
            continue
        if name == "data":
            right = one["type"] == row["type"] and one[name] == normal(row["type"], cell)
        elif name.endswith(" says"):
            right = cell in one[name]
        else:
            right = one[name] == ("" if cell == "none" else cell)
        if not right:
            return False
    return True


def normal(kind: str, data: str) -> str:
    """JSON of a message as it is written here."""
    return data_of(kind, message(kind, data).SerializeToString())


def short(name: str) -> str:
    return name.removeprefix("shop.v1.")


def data_of(name: str, value: bytes) -> str:
    found = message_type(name).FromString(value)
    return json_format.MessageToJson(found, preserving_proto_field_name=True, indent=None)


RECORD: dict[str, Column] = {
    "type": lambda r: short(header(r, "ce_type")),
    "data": lambda r: data_of(short(header(r, "ce_type")), r.value or b""),
    "id": lambda r: header(r, "ce_id"),
    "cause": lambda r: header(r, "ce_causationid"),
    "purchase": lambda r: header(r, "ce_correlationid"),
    "path": lambda r: header(r, "ce_path"),
    "trace": lambda r: "".join(header(r, "ce_traceparent").split("-")[1:2]),
    "fact": lambda r: header(r, "ce_factid"),
    "sequence": lambda r: header(r, "ce_sequence"),
    "version": lambda r: str(parse_key(schema_key(r.headers)).version),
}
READ: dict[str, Column] = {
    "sequence": lambda event: str(event.sequence),
    "type": lambda event: short(event.type),
    "data": lambda event: data_of(short(event.type), event.data.SerializeToString()),
}


def said(world: World, domain: str, kind: str) -> Sequence[Record]:
    """Events of a domain, its commands from whomever they come, or the rejections that it was told of."""
    if kind == "event":
        return world.records(domain, "events")
    inbox = world.records(domain, "inbox")
    if kind == "rejection":
        return [record for record in inbox if header(record, "ce_type") == "headrace.v1.Rejection"]
    sent = [record for record in inbox if header(record, "ce_type") != "headrace.v1.Rejection"]
    return sorted([*world.records(domain, "commands"), *sent], key=lambda record: record.timestamp)


def past(table: Table) -> list[tuple[str, bytes]]:
    """Type names and bytes of the events in a table; the bytes are those of the shop's message of the short name."""
    found = []
    for name, data in table[1:]:
        kind = message_type(name.rpartition(".")[2])
        full = name if "." in name else kind.DESCRIPTOR.full_name
        found.append((full, json_format.Parse(data, kind()).SerializeToString()))
    return found


def rejection(record: Record) -> WireRejection:
    return WireRejection.FromString(record.value or b"")


REJECTION: dict[str, Column] = {
    "command": lambda r: short(rejection(r).command_type),
    "refused by": lambda r: f"{rejection(r).component} {rejection(r).root}",
    "reason": lambda r: rejection(r).reason,
    **{name: RECORD[name] for name in ("id", "cause", "purchase", "trace")},
}
DEAD: dict[str, Column] = {
    "type": lambda dead_letter: short(dead_letter.headers["ce_type"].decode()),
    "input": lambda dead_letter: dead_letter.headers["ce_id"].decode(),
    "error class": lambda dead_letter: dead_letter.body.error_class,
    "error says": lambda dead_letter: dead_letter.body.error,
    "attempts": lambda dead_letter: str(dead_letter.body.attempts),
    "outcome": lambda dead_letter: dead_letter.settled or "open",
}
ANSWERED: dict[str, Column] = {"type": lambda e: short(e[0]), "data": lambda e: data_of(short(e[0]), e[1])}
