"""The steps of the features; README.md lists them. All that they do goes through a `World`."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from pytest_bdd import given, parsers, then, when

from headrace.schemas import headrace_v1_pb2
from headrace.schemas.event_schema import parse_key, schema_key
from headrace.schemas.headrace_v1_pb2 import Rejection as WireRejection
from headrace.schemas.record import Record
from headrace.streams.admin.dead_letters import ListedDeadLetter
from headrace.topology.reply import OnError, Sync
from tests.features import shop, shop_pb2
from tests.features.world import Answer, World

Table = Sequence[Sequence[str]]
Column = Callable[[Any], str]
QUERY = b"headrace.v1.Query"
COMPONENT = r'(?:aggregate|saga|process manager|projector) "(?P<component>[a-z0-9-]+)"'
ROOT = r'(?P<domain>[a-z]+) "(?P<root>[^"]+)"'
DEAD_LETTER = rf'the dead letter of {COMPONENT} for "(?P<root>[^"]+)"'
IN = r'(?: in purchase "(?P<correlation>[^"]+)")?'
COMMAND = (
    rf'(?P<kind>\w+) (?P<data>{{.*}}) is sent to {ROOT}{IN}(?: with the id "(?P<identity>[^"]+)")?'
    r'(?: within the trace "(?P<trace>[0-9a-f]{32})")?'
    r"(?P<mode> until all is settled| until documents have it| isolated)?"
    r"(?:, on errors (?P<on_error>continue|dead-letter|compensate))?"
)
MODES: dict[str | None, Sync] = {
    None: "decision",
    " until all is settled": "cascade",
    " until documents have it": "simple",
    " isolated": "isolated",
}
FACT = rf'the fact (?P<kind>\w+) (?P<data>{{.*}}) is stated of {ROOT}{IN} (?:as "(?P<external>[^"]+)"|without an id)'


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


# ---- tables


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


# ---- what is done


@pytest.fixture
def answers() -> list[Answer]:
    """What this scenario was told, the last one last."""
    return []


@given(parsers.re(COMMAND))
@when(parsers.re(COMMAND))
def send(
    world: World,
    answers: list[Answer],
    kind: str,
    data: str,
    domain: str,
    root: str,
    correlation: str | None,
    identity: str | None,
    trace: str | None,
    mode: str | None,
    on_error: OnError | None,
) -> None:
    answer = world.send(
        domain,
        root,
        message(kind, data),
        command_id=identity or "",
        correlation_id=correlation or "",
        traceparent=f"00-{trace}-00f067aa0ba902b7-01" if trace else "",
        sync=MODES[mode],
        on_error=on_error or "fail-fast",
    )
    answers.append(answer)


@given(parsers.re(FACT))
@when(parsers.re(FACT))
def record_fact(
    world: World,
    answers: list[Answer],
    kind: str,
    data: str,
    domain: str,
    root: str,
    correlation: str | None,
    external: str | None,
) -> None:
    fact = message(kind, data)
    answers.append(world.record_fact(domain, root, fact, external_id=external or "", correlation_id=correlation or ""))


@given(parsers.re(rf"an older release has written of {ROOT}"))
def has_written(world: World, domain: str, root: str, datatable: Table) -> None:
    world.has_written(domain, root, past(datatable))


@then(parsers.re(rf"the history of {ROOT} is"))
def history_is(world: World, domain: str, root: str, datatable: Table) -> None:
    same(world.history(domain, root), datatable, READ)


@when(parsers.re(rf"the last (?P<kind>event|rejection) of {ROOT} is delivered again"))
def deliver_again(world: World, kind: str, domain: str, root: str) -> None:
    world.deliver(about(root, said(world, domain, kind))[-1])


@given(parsers.re(rf'{COMPONENT} is broken for "(?P<root>[^"]+)"'))
def broken(world: World, component: str, root: str) -> None:
    world.break_down(component, root)


@given(parsers.re(rf'{COMPONENT} stumbles (?P<times>\d+) times over "(?P<root>[^"]+)"'), converters={"times": int})
def stumbles(world: World, component: str, root: str, times: int) -> None:
    world.break_down(component, root, times)


@when(parsers.re(rf'{COMPONENT} is repaired for "(?P<root>[^"]+)"'))
def repaired(world: World, component: str, root: str) -> None:
    world.repair(component, root)


@when(parsers.re(r"(?P<seconds>\d+) seconds pass"), converters={"seconds": int})
def pass_time(world: World, seconds: int) -> None:
    world.pass_time(seconds)


@when(parsers.re(rf"{DEAD_LETTER} is (?P<what>replayed|discarded)(?P<twice> twice)?"))
def settle(world: World, component: str, root: str, what: str, twice: str | None) -> None:
    found = world.dead_letters(component, root)
    assert len(found) == 1, f"{component} has {len(found)} dead letters for {root}"
    for _ in range(2 if twice else 1):
        world.settle(found, discard=what == "discarded")


# ---- what is then


@then(parsers.re(r"(?:it is|all are) accepted"))
def accepted(answers: list[Answer]) -> None:
    assert answers
    assert [(a.status, a.already_processed) for a in answers] == [("accepted", False)] * len(answers), answers


@then(parsers.re(r'the last one (?:is|has) (?P<status>accepted|rejected|failed)(?: because "(?P<reason>[^"]+)")?'))
def answered(answers: list[Answer], status: str, reason: str | None) -> None:
    assert answers[-1].status == status, answers[-1]
    assert (reason or "") in answers[-1].reason, answers[-1]
    assert not answers[-1].already_processed


@then("the last one is known already, and its answer is the first one's")
def known(answers: list[Answer]) -> None:
    first, last = answers[0], answers[-1]
    assert (first.already_processed, last.already_processed) == (False, True), answers
    assert (last.status, last.reason, last.events) == (first.status, first.reason, first.events)


@then(parsers.re(r'the caller is told of (?:an error, "(?P<part>[^"]+)"|no error)'))
def told(answers: list[Answer], part: str | None) -> None:
    assert part in answers[-1].error if part else not answers[-1].error, answers[-1]


@then("nothing has failed")
def settled(answers: list[Answer]) -> None:
    assert not any(answer.failures or answer.error for answer in answers), answers


@then(parsers.re(r"what has failed is(?P<loose>, in any order)?"))
def failed(answers: list[Answer], loose: str | None, datatable: Table) -> None:
    columns: dict[str, Column] = {name: operator.attrgetter(name) for name in ("component", "root", "reason", "code")}
    columns["type"] = lambda failure: short(failure.type)
    same(answers[-1].failures, datatable, columns, ordered=not loose)


@then("its answer holds the events")
def answer_holds(answers: list[Answer], datatable: Table) -> None:
    same(answers[-1].events, datatable, ANSWERED)


@then(parsers.re(rf"the (?P<kind>command|event)s of {ROOT} are(?P<loose>, in any order)?"))
def records_are(world: World, kind: str, domain: str, root: str, loose: str | None, datatable: Table) -> None:
    same(about(root, said(world, domain, kind)), datatable, RECORD, ordered=not loose)


@then(parsers.re(rf"{ROOT} has (?P<number>\d+) (?P<kind>command|event|rejection)s?"), converters={"number": int})
def records_count(world: World, kind: str, domain: str, root: str, number: int) -> None:
    assert len(about(root, said(world, domain, kind))) == number


@then(parsers.re(rf"the rejections of {ROOT} are"))
def rejections_are(world: World, domain: str, root: str, datatable: Table) -> None:
    same(about(root, said(world, domain, "rejection")), datatable, REJECTION)


@then(parsers.re(rf"{ROOT} has no (?P<kind>command|event|rejection)s"))
def no_records(world: World, kind: str, domain: str, root: str) -> None:
    found = about(root, said(world, domain, kind))
    assert not found, [header(record, "ce_type") for record in found]


@then(parsers.re(rf'the dead letters of {COMPONENT} for "(?P<root>[^"]+)" are'))
def letters_are(world: World, component: str, root: str, datatable: Table) -> None:
    same(world.dead_letters(component, root), datatable, DEAD)


@then(parsers.re(rf'{COMPONENT} has no dead letters for "(?P<root>[^"]+)"'))
def no_letters(world: World, component: str, root: str) -> None:
    found: list[ListedDeadLetter] = world.dead_letters(component, root)
    assert not found, [dead_letter.data() for dead_letter in found]


@then(parsers.re(rf"{DEAD_LETTER} holds its input whole"))
def whole(world: World, component: str, root: str) -> None:
    (dead_letter,) = world.dead_letters(component, root)
    body = dead_letter.body
    word, kind = body.topic.split(".")[-2:]
    place = (body.topic, body.partition, body.offset)
    (record,) = [r for r in world.records(word, kind) if (r.topic, r.partition, r.offset) == place]
    assert (record.key or b"", record.value or b"") == (body.key, body.value)
    assert dict(record.headers) == {header.key: header.value for header in body.headers}
    assert body.first_failed == body.last_failed == record.timestamp


@then("no rejection is on an event log")
def no_notices(world: World) -> None:
    for component in [name for name, spec in shop.topology.components.items() if spec.state is not None]:
        kinds = {header(record, "ce_type") for record in world.records(component, "events")}
        assert "headrace.v1.Rejection" not in kinds, f"a notice is among the events of {component}"


@then(parsers.re(r'a person is told of the escalations for "(?P<root>[^"]+)"'))
def escalated(world: World, root: str, datatable: Table) -> None:
    columns: dict[str, Column] = {
        "command": lambda e: short(e["command"]),
        "refused by": lambda e: e["refused_by"],
        "reason": lambda e: e["reason"],
        "purchase": lambda e: e["correlation_id"],
    }
    same([e for e in world.escalations() if e["root"] == root], datatable, columns)


@given("the figures as they are now", target_fixture="before")
def figures(world: World) -> Mapping[tuple[str, str], int]:
    return world.figures()


@then(parsers.re(rf"{COMPONENT} has counted (?P<more>\d+) more as (?P<outcome>[a-z]+)"), converters={"more": int})
def counted(world: World, before: Mapping[tuple[str, str], int], component: str, more: int, outcome: str) -> None:
    figure = component, outcome
    assert world.figures().get(figure, 0) - before.get(figure, 0) == more


@then(
    parsers.re(
        r'(?P<later>\w+) of (?P<component>[a-z]+) "(?P<root>[^"]+)" came at least (?P<seconds>\d+) seconds '
        r'after (?P<earlier>\w+) of (?P<other>[a-z]+) "(?P<source>[^"]+)"'
    ),
    converters={"seconds": int},
)
def came_after(
    world: World, later: str, component: str, root: str, seconds: int, earlier: str, other: str, source: str
) -> None:
    (late,) = [r for r in about(root, world.records(component, "events")) if RECORD["type"](r) == later]
    (early,) = [r for r in about(source, world.records(other, "events")) if RECORD["type"](r) == earlier]
    assert late.timestamp - early.timestamp >= seconds * 1000


# ---- traces


@then(parsers.re(r'the trace of purchase "(?P<correlation>[^"]+)" is'))
def trace_is(world: World, correlation: str, docstring: str) -> None:
    lines = [(len(line) - len(line.lstrip()), line.strip()) for line in docstring.splitlines() if line.strip()]
    wanted = _trees(lines)
    found = world.trace(correlation)
    assert _matches(wanted, found), "the trace is\n" + "\n".join(_drawn(found))


def _trees(lines: Sequence[tuple[int, str]]) -> list[Any]:
    """Lines nested by their indentation: pairs of a line and what is below it."""
    trees: list[Any] = []
    for number, (indent, line) in enumerate(lines):
        if indent == lines[0][0]:
            below = []
            for further in lines[number + 1 :]:
                if further[0] <= indent:
                    break
                below.append(further)
            trees.append((line, _trees(below)))
    return trees


def _matches(wanted: list[Any], found: list[dict[str, Any]]) -> bool:
    """Whether there is a tree for each, in whatever order: records of one moment have none."""
    if len(wanted) != len(found):
        return False
    left = list(found)
    for line, below in wanted:
        head, _, note = line.partition("  (")
        fit = next(
            (n for n in left if _line(n) == head and note.rstrip(")") in n["note"] and _matches(below, n["children"])),
            None,
        )
        if fit is None:
            return False
        left.remove(fit)
    return True


def _line(node: dict[str, Any]) -> str:
    return f"{node['kind']} {node['domain']} {node['root']}: {short(node['type'])}"


def _drawn(nodes: list[dict[str, Any]], indent: str = "") -> list[str]:
    return [
        line
        for node in nodes
        for line in (f"{indent}{_line(node)}  ({node['note']})", *_drawn(node["children"], indent + "  "))
    ]
