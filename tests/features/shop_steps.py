"""The steps of the features; README.md lists them. All that they do goes through a `World`."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from headrace.streams.admin.dead_letters import ListedDeadLetter
from headrace.topology.reply import OnError, Sync
from tests.features import shop
from tests.features.tables import (
    ANSWERED,
    DEAD,
    READ,
    RECORD,
    REJECTION,
    Column,
    Table,
    about,
    header,
    message,
    past,
    said,
    same,
    short,
)
from tests.features.world import Answer, World

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
