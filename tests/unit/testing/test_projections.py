"""Given events, then documents: what passes, how failures read, and the documents of the in-memory driver."""

import json
import random
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from headrace import ProjectionContext, Projector, Topology, TopologyError, projects
from headrace.schemas.documents import DocumentError
from headrace.streams.steps.errors import HandlerError
from headrace.testing import TopologyDriver, given
from tests.support.bank import messages_pb2 as pb
from tests.support.bank import reactions
from tests.support.bank.accounts import Accounts
from tests.support.bank.projectors import Card, Cards, Pocket, Pockets


def fails(text: str) -> Any:
    return pytest.raises(AssertionError, match=re.escape(text))


# ---- what passes


def test_documents_follow_events() -> None:
    cards = given(Cards, pb.Opened(owner="Ann"), pb.Deposited(amount=5, balance=5), root="ann")
    cards.then_document("ann", Card(owner="Ann", balance=5, deposits=1)).then_document("bob", None)
    cards.when(pb.Withdrawn(amount=2, balance=3)).when(pb.Deposited(amount=1, balance=1), root="bob")
    cards.then_documents({"ann": Card("Ann", 3, 1), "bob": Card("", 1, 1)})
    assert cards.documents["ann"].balance == 3


class Messages(Projector[pb.Account]):
    """Documents that are messages."""

    name = "messages"

    @projects
    def opened(self, document: pb.Account, event: pb.Opened) -> None:
        document.owner = event.owner

    @projects
    def deposited(self, document: pb.Account, event: pb.Deposited) -> None:
        document.balance = event.balance
        document.pockets["all"] = document.pockets["all"] + event.amount


def test_documents_may_be_messages() -> None:
    scenario = given(Messages, pb.Opened(owner="Ann"), pb.Deposited(amount=5, balance=5), root="ann")
    scenario.then_document("ann", pb.Account(owner="Ann", balance=5, pockets={"all": 5})).in_any_order()
    with fails("other documents than expected"):
        scenario.then_document("ann", pb.Account(owner="Ann", balance=6, pockets={"all": 5}))
    driver = TopologyDriver(Topology(Accounts, Messages))
    driver.execute(pb.Deposit(amount=3), "bob")
    driver.execute(pb.Deposit(amount=4), "bob")
    assert driver.documents(Messages) == {"bob": pb.Account(balance=7, pockets={"all": 7})}
    _, second = driver.records(driver.topic("messages-v1", "documents"))
    assert json.loads(second.value or b"") == {"balance": "7", "pockets": {"all": "7"}}


def test_a_deleted_document_is_none() -> None:
    cards = given(Cards, pb.Deposited(amount=5, balance=5), root="ann").when(pb.Annotated(note="close"))
    cards.then_document("ann", None).then_documents({})
    cards.when(pb.Deposited(amount=1, balance=6)).then_document("ann", Card(balance=6, deposits=1))


def test_an_event_may_concern_several_documents() -> None:
    pockets = given(Pockets, pb.Stashed(pocket="l/r/l", amount=3), root="ann").when(pb.Stashed(pocket="l", amount=1))
    pockets.then_documents({"l": Pocket(4, 2), "r": Pocket(3, 1)}).in_any_order()


def test_nothing_has_happened_and_there_is_nothing() -> None:
    given(Cards).then_documents({}).in_any_order()


def test_what_a_method_may_know() -> None:
    seen: list[ProjectionContext] = []

    class Curious(Projector[Card]):
        name = "curious"

        @projects(key=lambda event: ["one", "two"])
        def opened(self, document: Card, event: pb.Opened, context: ProjectionContext) -> None:
            seen.append(context)

    now = datetime(2030, 1, 2, tzinfo=UTC)
    given(Curious, pb.Opened(), pb.Opened(), root="ann", now=now)
    assert seen[0] == seen[1], "each is asked twice"
    assert [(one.root, one.sequence, one.document_id) for one in seen[::2]] == [
        ("ann", 0, "one"),
        ("ann", 0, "two"),
        ("ann", 1, "one"),
        ("ann", 1, "two"),
    ]
    assert {(one.now, one.edition) for one in seen} == {(now, "main")}


# ---- how failures read


def test_other_documents_are_shown_side_by_side() -> None:
    cards = given(Cards, pb.Opened(owner="Ann"), root="ann").when(pb.Opened(owner="Bob"), root="bob")
    expected, got = "expected  ('bob', Card(owner='Rob'", "got       ('bob', Card(owner='Bob'"
    with fails("other documents than expected") as caught:
        cards.then_documents({"ann": Card("Ann"), "bob": Card("Rob")})
    assert expected in str(caught.value)
    assert got in str(caught.value)
    assert "Ann" not in str(caught.value), "what is right is left out"
    with fails("expected  ('cy', Card("):
        cards.then_document("cy", Card())
    with fails("expected  ('bob', None)"):
        cards.then_document("bob", None)
    with fails("got       ('bob', Card("):
        cards.then_documents({"ann": Card("Ann")})


def test_an_event_that_it_does_not_read_is_named() -> None:
    with pytest.raises(LookupError, match=r"Pockets projects no bank\.v1\.Opened; it projects: bank\.v1\.Stashed"):
        given(Pockets, pb.Opened())


def test_what_would_be_a_dead_letter_is_raised_and_changes_nothing() -> None:
    cards = given(Cards, pb.Annotated(note="fine"), root="ann")
    with pytest.raises(ZeroDivisionError, match="as noted"):
        cards.when(pb.Annotated(note="poison"))
    with pytest.raises(DocumentError, match=r"Expected `str`, got `int` - at `\$\.notes\[2\]`"):
        cards.when(pb.Annotated(note="type"))
    with pytest.raises(HandlerError, match=r"Cards\.annotated returned Card; it changes the document"):
        cards.when(pb.Annotated(note="return"))
    cards.when(pb.Annotated(note="more")).then_document("ann", Card(notes=["fine", "more"])).in_any_order(3)


def test_a_wrong_declaration_is_told() -> None:
    class Idle(Projector[Card]):
        name = "idle"

    with pytest.raises(TopologyError, match="Idle: has no method marked @projects"):
        given(Idle)


@dataclass
class Names:
    names: list[str] = field(default_factory=list)


class Register(Projector[Names]):
    """Depends on the order of roots."""

    name = "register"

    @projects(key=lambda event: "all")
    def opened(self, document: Names, event: pb.Opened) -> None:
        document.names.append(event.owner)


def test_documents_that_depend_on_the_order_of_roots_are_found() -> None:
    register = given(Register, pb.Opened(owner="Ann"), root="ann").when(pb.Opened(owner="Bob"), root="bob")
    register.then_document("all", Names(["Ann", "Bob"]))
    with fails("other documents when the events come in this order: Opened of bob, Opened of ann") as caught:
        register.in_any_order()
    assert "as given  ('all', Names(names=['Ann', 'Bob']))" in str(caught.value)
    assert "then      ('all', Names(names=['Bob', 'Ann']))" in str(caught.value)


def test_events_of_one_root_keep_their_order() -> None:
    given(Register, *(pb.Opened(owner=name) for name in "abcdef"), root="ann").in_any_order()


def test_methods_that_do_something_else_each_time_are_found() -> None:
    numbers = count()

    class Wild(Projector[Names]):
        name = "wild"

        @projects
        def opened(self, document: Names, event: pb.Opened) -> None:
            document.names.append(f"{next(numbers)}")

    with pytest.raises(HandlerError, match="Wild makes something else of the same events each time"):
        given(Wild, pb.Opened())


def test_keys_that_are_others_each_time_are_found() -> None:
    chance = random.Random(1)

    class Wild(Projector[Names]):
        name = "wild"

        @projects(key=lambda event: f"{chance.random()}")
        def opened(self, document: Names, event: pb.Opened) -> None: ...

    with pytest.raises(HandlerError, match=r"key= of Wild\.opened names other documents each time"):
        given(Wild, pb.Opened())


# ---- the driver


def test_the_driver_keeps_documents() -> None:
    driver = TopologyDriver(reactions.projected)
    for number, root in enumerate(["ann", "bob", "cy", "ann"]):
        driver.execute(pb.Deposit(amount=number), root)
        driver.execute(pb.Stash(pocket=f"{root[0]}/all", amount=1), root)
    assert driver.documents(Cards)["ann"] == Card(balance=3, deposits=2)
    assert driver.documents(Pockets) == {
        "a": Pocket(2, 2),
        "b": Pocket(1, 1),
        "c": Pocket(1, 1),
        "all": Pocket(4, 4),
    }
    driver.execute(pb.Annotate(note="close"), "ann")
    assert sorted(driver.documents(Cards)) == ["bob", "cy"]


def test_the_driver_parks_and_heals_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = TopologyDriver(reactions.projected)
    for note in ("poison", "second"):
        driver.execute(pb.Annotate(note=note), "ann")
    driver.execute(pb.Annotate(note="fine"), "bob")
    assert driver.documents(Cards) == {"bob": Card(notes=["fine"])}
    monkeypatch.setenv("BANK_HEALED", "1")
    driver.replay("cards-v1")
    assert driver.documents(Cards)["ann"] == Card(notes=["poison", "second"])


def test_the_driver_knows_the_projectors_of_its_topology() -> None:
    with pytest.raises(LookupError, match="'cards-v1'"):
        TopologyDriver(reactions.topology).documents(Cards)
