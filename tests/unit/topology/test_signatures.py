"""Each method that an author writes, in each kind of component, with each mistake that a signature can have.

The engine would find such a mistake at the first record only; so a topology is refused at its start.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

import headrace
from headrace import (
    Aggregate,
    CascadeCompensation,
    Context,
    Deleted,
    EventContext,
    Flag,
    ProcessContext,
    ProcessManager,
    ProjectionContext,
    Projector,
    Rejection,
    Saga,
    Send,
    StateOf,
    Topology,
    TopologyError,
    Upcaster,
    reacts,
)
from headrace.topology.inspection import spec
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import Accounts
from tests.support.bank.projectors import Card


class Form(NamedTuple):
    """A method as it should be."""

    decorator: str
    parameters: str
    returned: str
    context: bool
    """Whether it may take one more argument."""


HANDLER = Form("handles", "state: pb.Account, command: pb.Annotate", "pb.Annotated | None", True)
APPLIER = Form("applies", "state: pb.Account, event: pb.Annotated", "None", False)
FACT = Form("records", "state: pb.Account, fact: pb.Annotate", "pb.Annotated | None", True)
COMPENSATION = Form(
    "compensates", "state: pb.Account, command: pb.Annotate, rejection: Rejection", "pb.Annotated | Flag", False
)
REACTION = Form("reacts", "event: pb.Opened", "Iterator[Send[pb.Annotate]]", True)
PROCESS_REACTION = Form("reacts", "state: pb.Account, event: pb.Opened", "Iterator[Send[pb.Annotate]]", True)
FINISHED = Form("", "state: pb.Account", "bool", False)
READS = Form("reads", "state: pb.Account, event: pb.Opened", "Iterator[StateOf]", False)
PROJECTION = Form("projects", "document: Card, event: pb.Annotated", "Deleted | None", True)
UPCAST = Form("upcasts", "event: pb.Touch", "pb.Opened | list[pb.Deposited] | None", False)
KEY = Form("key", "event: pb.Annotated", "str", True)
BESIDE = {"reads": READS, "key": KEY}
"""Functions beside the class, which a decorator names."""

KINDS: dict[Any, dict[str, Form]] = {
    Aggregate: {"handle": HANDLER, "apply": APPLIER, "record": FACT, "compensate": COMPENSATION},
    Saga: {"react": REACTION},
    ProcessManager: {
        "react": PROCESS_REACTION,
        "apply": APPLIER,
        "compensate": COMPENSATION,
        "finished": FINISHED,
        "reads": READS,
    },
    Projector: {"project": PROJECTION, "key": KEY},
    Upcaster: {"upcast": UPCAST},
}
BASES: dict[Any, tuple[str, str]] = {
    Aggregate: ("Aggregate[pb.Account]", "domain = 'notes'"),
    Saga: ("Saga", "name = 'notes'\n    source = 'account'"),
    ProcessManager: ("ProcessManager[pb.Account]", "name = 'notes'"),
    Projector: ("Projector[Card]", "name = 'notes'"),
    Upcaster: ("Upcaster", "domain = 'account'"),
}
MARKS = ("handles", "applies", "records", "compensates", "reacts", "projects", "upcasts")
NAMES = {
    **{name: getattr(headrace, name) for name in MARKS},
    **{"pb": pb, "Iterator": Iterator, "Aggregate": Aggregate, "Saga": Saga, "ProcessManager": ProcessManager},
    **{"Context": Context, "Flag": Flag, "Rejection": Rejection, "Send": Send, "StateOf": StateOf},
    **{"Projector": Projector, "Card": Card, "Deleted": Deleted, "ProjectionContext": ProjectionContext},
    **{"Upcaster": Upcaster, "EventContext": EventContext, "ProcessContext": ProcessContext},
}


def text(form: Form, name: str, mistake: str) -> str:
    """The source of one method, or of a function beside the class, with a mistake or without (empty)."""
    parameters, keyword, body = form.parameters, "def", "raise NotImplementedError"
    decorator = f"@{form.decorator}\n" if form.decorator else ""
    if mistake == "async":
        keyword = "async def"
    elif mistake == "async generator":
        keyword, body = "async def", "yield"
    elif mistake == "generator":
        body = "yield"
    elif mistake == "too few":
        parameters = parameters.rpartition(", ")[0]
    elif mistake == "too many":
        parameters += ", one: int, other: int"
    elif mistake == "keyword":
        parameters += ", *, more: int = 0"
    elif mistake == "stars":
        parameters += ", *more: int"
    elif mistake == "named stars":
        parameters += ", **more: int"
    elif mistake == "another context":
        parameters += ", context: int"
    selfish = "" if mistake == "static" or form in BESIDE.values() else "self, "
    if form in BESIDE.values():
        decorator = ""
    elif mistake == "static":
        decorator += "@staticmethod\n"
    return f"{decorator}{keyword} {name}({selfish}{parameters}) -> {form.returned}:\n    {body}\n"


def declared(kind: type, wrong: str = "", mistake: str = "") -> Any:
    """A component with one method of each form, of which one has a mistake."""
    base, names = BASES[kind]
    forms = KINDS[kind]
    methods = [text(form, name, mistake if name == wrong else "") for name, form in forms.items() if name not in BESIDE]
    source = f"class Notes({base}):\n    {names}\n" + "".join(
        "    " + line + "\n" for method in methods for line in method.splitlines()
    )
    for name in BESIDE.keys() & forms.keys():
        marked = "reacts" if name == "reads" else "projects"
        source = text(forms[name], name, mistake if wrong == name else "") + source.replace(
            f"@{marked}\n", f"@{marked}({name}={name})\n"
        )
    scope = dict(NAMES)
    exec(source, scope)  # the point is how it is written
    return scope["Notes"]


def cases() -> Iterator[Any]:
    for kind, forms in KINDS.items():
        for name, form in forms.items():
            found = ["async", "async generator", "too few", "too many", "keyword", "stars", "named stars"]
            found += ["static"] if name not in BESIDE else []
            found += ["generator"] if form in (APPLIER, FINISHED, PROJECTION) else []
            found += ["another context"] if form.context and form is not KEY else []
            yield from (pytest.param(kind, name, mistake, id=f"{kind.__name__}-{name}-{mistake}") for mistake in found)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_mistake_it_is_taken(kind: type) -> None:
    Topology(Accounts, declared(kind))


@pytest.mark.parametrize(("kind", "method", "mistake"), list(cases()))
def test_each_mistake_is_told_at_the_start(kind: type, method: str, mistake: str) -> None:
    with pytest.raises(TopologyError) as told:
        Topology(Accounts, declared(kind, method, mistake))
    owner = {"reads": "react", "key": "project"}.get(method)
    where = f"Notes.{owner}: {method}={method}" if owner else f"Notes.{method}"
    assert any(found.startswith(f"{where}: ") for found in told.value.mistakes), told.value.mistakes


def test_reads_mean_nothing_in_a_saga() -> None:
    class Notes(Saga):
        name = "notes"
        source = "account"

        @reacts(reads=lambda state, event: ())
        def react(self, event: pb.Opened) -> Iterator[Send[pb.Annotate]]:
            raise NotImplementedError

    with pytest.raises(TopologyError, match=r"Notes\.react: reads= means nothing here"):
        Topology(Accounts, Notes)


def test_every_kind_and_every_mark_is_tried() -> None:
    """A new kind, or a new decorator for authors, belongs into the table above."""
    assert set(KINDS) - {Upcaster} == set(spec._KINDS) - {CascadeCompensation}  # which has nothing to declare
    tried = {
        form.decorator for forms in KINDS.values() for form in forms.values() if form not in (FINISHED, READS, KEY)
    }
    marks = {name for name in dir(headrace) if is_mark(getattr(headrace, name))}
    assert tried == marks


def is_mark(function: Any) -> bool:
    """Whether it is a decorator that leaves a mark."""

    def method(self: object) -> None:
        raise NotImplementedError

    if not callable(function) or isinstance(function, type):
        return False
    try:
        return hasattr(function(method), "__headrace__")
    except Exception:
        return False
