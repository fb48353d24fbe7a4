"""What may be declared as a projector, and what is said about each mistake."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from headrace import (
    Aggregate,
    Context,
    Deleted,
    EventContext,
    Names,
    ProcessContext,
    ProjectionContext,
    Projector,
    Topology,
    TopologyError,
    applies,
    handles,
    projects,
)
from headrace.topology.inspection.projector import ProjectorSpec
from headrace.topology.inspection.spec import Replay
from tests.support.bank import messages_pb2 as pb
from tests.support.bank.accounts import Accounts, Book, Purse


@dataclass
class Card:
    balance: int = 0


class Base(Projector[Card]):
    """With a method, so that tests have one mistake less."""

    name = "base"

    @projects
    def opened(self, document: Card, event: pb.Opened) -> None: ...


def mistakes(*components: Any) -> list[str]:
    with pytest.raises(TopologyError) as caught:
        Topology(Accounts, *components)
    return caught.value.mistakes


def mistake(component: Any) -> str:
    (only,) = mistakes(component)
    return only


def spec_of(projector: Any, *around: Any) -> ProjectorSpec:
    spec = Topology(*(around or [Accounts]), projector).component(f"{projector.name}-v{projector.version}")
    assert isinstance(spec, ProjectorSpec)
    return spec


# ---- what may be declared


class Good(Projector[Card]):
    """Unions, contexts, deletion, and a key that takes the context."""

    name = "good"
    version = 3

    @projects
    def moved(self, document: Card, event: pb.Deposited | pb.Withdrawn, context: ProjectionContext) -> None: ...

    @projects
    def noted(self, document: Card, event: pb.Annotated, context: EventContext) -> Deleted | None: ...

    @projects(key=lambda event, context: context.root)
    def stashed(self, document: Card, event: pb.Stashed) -> Deleted | None: ...

    @projects
    def opened(self, document: Card, event: pb.Opened, context) -> None: ...  # type: ignore[no-untyped-def]


def test_methods_by_event() -> None:
    spec = spec_of(Good)
    found = {name.removeprefix("bank.v1."): one for name, one in spec.projections.items()}
    assert {name: one.wants_context for name, one in found.items()} == {
        "Deposited": True,
        "Withdrawn": True,
        "Annotated": True,
        "Stashed": False,
        "Opened": True,
    }
    assert [name for name, one in found.items() if one.key] == ["Stashed"]
    assert found["Stashed"].key_wants_context
    assert found["Stashed"].where == "Good.stashed"
    assert set(spec.sources.values()) == {"account"}


def test_a_version_is_a_component_of_its_own() -> None:
    class Better(Good):
        version = 4

    topology = Topology(Accounts, Good, Better)
    assert {"good-v3", "good-v3-feed", "good-v4", "good-v4-feed"} < set(topology.components)
    names = [topic.name for topic in topology.topics(Names(), 1, components=["good-v3"])]
    kinds = ("inbox", "documents", "snapshots", "dead-letters")
    assert names == [f"main.good-v3.{kind}" for kind in kinds]


def test_documents_by_root_are_read_from_the_events_and_others_by_a_feed() -> None:
    direct, fed = spec_of(Base), spec_of(Good)
    assert (direct.fed, direct.replay, list(direct.parts)) == (False, Replay.BY_ROOT, [])
    assert direct.inputs == [("account", "events"), ("base-v1", "inbox")]
    assert (fed.fed, fed.replay, [part.name for part in fed.parts]) == (True, Replay.BY_KEY, ["good-v3-feed"])
    assert fed.inputs == [("good-v3", "inbox")]
    (feed,) = fed.parts
    assert feed.inputs == [("account", "events"), ("good-v3-feed", "inbox")]


def test_two_sources_need_a_feed() -> None:
    class Both(Projector[Card]):
        name = "both"

        @projects
        def deposited(self, document: Card, event: pb.Deposited) -> None: ...

        @projects
        def noted(self, document: Card, event: pb.Annotated) -> None: ...

    spec = spec_of(Both, Purse, Book)
    assert spec.fed
    assert spec.sources == {"bank.v1.Deposited": "purse", "bank.v1.Annotated": "book"}


def test_the_graph_shows_it() -> None:
    topology = Topology(Accounts, Good)
    text = topology.text()
    assert "good-v3 (projector Good; version 3 of good)" in text
    assert "bank.v1.Deposited -> Card" in text
    assert "good-v3-feed" not in text
    assert "good_v3[[" in topology.mermaid()


# ---- name and version


def test_a_name_is_needed() -> None:
    class Nameless(Base):
        name = None  # type: ignore[assignment]

    assert mistake(Nameless).startswith("Nameless: name is None; give it a name that matches")


@pytest.mark.parametrize("number", [0, -1, "2", 1.0, True, None])
def test_versions_are_numbers_from_one(number: Any) -> None:
    class Odd(Base):
        version = number

    assert mistake(Odd) == f"Odd: version is {number!r}; versions are 1, 2, 3, …"


def test_a_version_is_there_once() -> None:
    class Again(Base):
        pass

    assert mistakes(Base, Again) == ["Again: domain 'base-v1' is Base's already; keep one of them"]


def test_a_feeds_name_may_be_taken() -> None:
    class Taker(Aggregate[pb.Account]):
        domain = "good-v3-feed"

        @handles
        def open(self, state: pb.Account, command: pb.Open, context: Context) -> None: ...

    assert mistakes(Taker, Good) == ["Good's feed: name 'good-v3-feed' is Taker's already; give one of them another"]


def test_it_is_made_without_arguments() -> None:
    class Needy(Base):
        def __init__(self, pool: object) -> None: ...

    assert mistake(Needy).startswith("Needy: cannot be made without arguments: ")


# ---- methods


def test_it_needs_a_method() -> None:
    class Idle(Projector[Card]):
        name = "idle"

    assert mistake(Idle) == "Idle: has no method marked @projects"


def test_each_wrong_method_is_named() -> None:
    class Wrong(Base):
        name = "wrong"

        @projects
        def few(self, document: Card) -> None: ...

        @projects
        def many(self, document: Card, event: pb.Deposited, context: EventContext, more: int) -> None: ...

        @projects
        def other(self, document: dict[str, int], event: pb.Withdrawn) -> None: ...

        @projects
        def told(self, document: Card, event: pb.Swollen, context: ProcessContext) -> None: ...

        @projects
        def yields(self, document: Card, event: pb.Stashed) -> Iterator[None]:
            yield

        @projects
        def returns(self, document: Card, event: pb.Annotated) -> Card:
            return document

        @projects
        def text(self, document: Card, event: str) -> None: ...

        @projects
        def again(self, document: Card, event: pb.Opened) -> None: ...

        @projects
        async def waits(self, document: Card, event: pb.Deposited) -> None: ...

        @projects
        def named(self, document: Card, *, event: pb.Deposited) -> None: ...

        @projects
        def silent(self, document: Card, event: pb.Deposited): ...  # type: ignore[no-untyped-def]

        @applies
        def folds(self, state: pb.Account, event: pb.Deposited) -> None: ...

    found = mistakes(Wrong)
    wanted = [
        "Wrong.few: takes 1 arguments; @projects takes (document, event[, context])",
        "Wrong.many: takes 4 arguments; @projects takes (document, event[, context])",
        "Wrong.other: takes document dict[str, int]; Wrong's is Card",
        "Wrong.told: takes ProcessContext as its third argument; that is the ProjectionContext",
        "Wrong.yields: yields; @projects changes the document that it is given, and a generator never runs",
        "Wrong.returns: wrong return type Card; @projects changes the document that it is given and returns None or "
        "DELETED",
        "Wrong.text: str is no protobuf message, nor a union of them",
        "Wrong.opened: bank.v1.Opened is projected by Wrong.again already; keep one of them",
        "Wrong.waits: is async; a handler does no I/O and is a plain method",
        "Wrong.named: takes event: ",
        "Wrong.silent: annotate what it returns",
        "Wrong.folds: @applies means nothing here; Wrong may have @projects",
    ]
    missing = [one for one in wanted if not any(line.startswith(one) for line in found)]
    assert missing == [], "\n".join(found)
    assert len(found) == len(wanted), "\n".join(found)


def test_projects_means_nothing_elsewhere() -> None:
    class Folding(Aggregate[pb.Account]):
        domain = "folding"

        @projects
        def opened(self, document: Card, event: pb.Opened) -> None: ...

    assert any("Folding.opened: @projects means nothing here" in line for line in mistakes(Folding))


# ---- keys


def _many(event: Any, context: Any, more: Any) -> str:
    return ""


async def _later(event: Any) -> str:
    return ""


def _by_name(*, event: Any) -> str:
    return ""


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("owner", "Wrong.moved: key=owner is no function whose arguments are known; write key=lambda event: event.…"),
        (operator.attrgetter("owner"), "Wrong.moved: key=operator.attrgetter('owner') is no function whose arguments"),
        (str, "Wrong.moved: key=str is no function whose arguments are known"),
        (_many, "Wrong.moved: key=_many: takes 3 arguments; it takes (event[, context])"),
        (_later, "Wrong.moved: key=_later: is async; "),
        (_by_name, "Wrong.moved: key=_by_name: takes event: "),
        (lambda: "", "Wrong.moved: key=<lambda>: takes 0 arguments; it takes (event[, context])"),
    ],
)
def test_a_key_is_a_function_of_the_event(key: Any, said: str) -> None:
    """Said once, whatever the number of events."""

    class Wrong(Projector[Card]):
        name = "wrong"

        @projects(key=key)
        def moved(self, document: Card, event: pb.Deposited | pb.Withdrawn) -> None: ...

    assert mistake(Wrong).startswith(said)


# ---- the topology around it


def test_an_event_needs_one_writer() -> None:
    class Moves(Projector[Card]):
        name = "moves"

        @projects
        def deposited(self, document: Card, event: pb.Deposited) -> None: ...

    both = "account and purse"
    assert mistakes(Purse, Moves) == [
        f"Moves.deposited: bank.v1.Deposited is written by {both}; a projection needs one source"
    ]
    with pytest.raises(TopologyError) as caught:
        Topology(Moves)
    assert caught.value.mistakes == ["Moves.deposited: no component of this topology writes bank.v1.Deposited"]
