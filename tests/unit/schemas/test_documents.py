"""Documents as JSON: what is written and read back, what is refused, and what changes the fingerprint of a type."""

import json
import re
from dataclasses import dataclass, field
from dataclasses import make_dataclass as make
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace import Message as MessageBase
from headrace import field as message_field
from headrace.schemas.documents import DocumentCodec, DocumentError
from tests.support.bank import messages_pb2 as pb


class Suit(Enum):
    CLUBS = "c"
    HEARTS = "h"


@dataclass
class Seat:
    player: str = ""
    stack: int = 0


@dataclass
class Table:
    """A document with all that JSON has."""

    name: str = ""
    open: bool = False
    rake: float = 0.0
    limit: int | None = None
    seats: list[Seat] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    blinds: tuple[int, int] = (0, 0)
    trump: Suit = Suit.CLUBS
    began: datetime | None = None
    last: Seat = field(default_factory=Seat)


WHOLE = Table(
    name="Zoë",
    open=True,
    rake=0.05,
    limit=2**53,
    seats=[Seat("ann", 5), Seat("bob", 7)],
    notes={"b": "two", "a": "one"},
    tags={"z", "a"},
    blinds=(1, 2),
    trump=Suit.HEARTS,
    began=datetime(2026, 1, 1, tzinfo=UTC),
    last=Seat("cy"),
)

# ---- dataclasses


def test_a_document_is_read_back_as_it_was() -> None:
    codec = DocumentCodec(Table)
    assert codec.decode(codec.encode(WHOLE)) == WHOLE
    assert codec.decode(codec.encode(codec.new())) == Table()


def test_its_json_is_what_a_reader_in_any_language_expects() -> None:
    assert json.loads(DocumentCodec(Table).encode(WHOLE)) == {
        "name": "Zoë",
        "open": True,
        "rake": 0.05,
        "limit": 2**53,
        "seats": [{"player": "ann", "stack": 5}, {"player": "bob", "stack": 7}],
        "notes": {"a": "one", "b": "two"},
        "tags": ["a", "z"],
        "blinds": [1, 2],
        "trump": "h",
        "began": "2026-01-01T00:00:00Z",
        "last": {"player": "cy", "stack": 0},
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=8).map(lambda found: list(found.items())),
    st.randoms(use_true_random=False),
)
def test_equal_documents_have_equal_bytes(notes: list[tuple[str, str]], chance: Any) -> None:
    codec = DocumentCodec(Table)
    first = codec.encode(Table(notes=dict(notes), tags={name for name, _ in notes}))
    chance.shuffle(notes)
    assert codec.encode(Table(notes=dict(notes), tags={name for name, _ in notes})) == first


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 5},
        {"name": None},
        {"open": 1},
        {"rake": float("nan")},
        {"rake": float("-inf")},
        {"limit": 1.5},
        {"limit": True},
        {"seats": [{"player": "ann"}]},
        {"seats": ["ann"]},
        {"notes": {"a": 1}},
        {"notes": {1: "a"}},
        {"trump": "h"},
        {"began": "today"},
        {"name": object()},
        {"last": None},
        {"name": b"bytes"},
    ],
    ids=lambda wrong: re.sub(" at 0x[0-9a-f]+", "", str(wrong)),
)
def test_what_does_not_fit_the_type_is_not_written(wrong: dict[str, Any]) -> None:
    """It would be found when the document is read again, which is too late."""
    with pytest.raises(DocumentError):
        DocumentCodec(Table).encode(Table(**wrong))


def test_a_loop_is_not_written() -> None:
    @dataclass
    class Node:
        next: Any = None

    node = Node()
    node.next = node
    with pytest.raises(DocumentError, match="Node cannot be written as JSON"):
        DocumentCodec(Node).encode(node)


def test_errors_name_the_type_and_the_field() -> None:
    codec = DocumentCodec(Table)
    with pytest.raises(DocumentError, match=r"is no Table: Expected `str`, got `int` - at `\$.seats\[0\].player`"):
        codec.encode(Table(seats=[Seat(player=5)]))  # type: ignore[arg-type]
    with pytest.raises(DocumentError, match="is no Table: Input data was truncated"):
        codec.decode(b"{")


def test_fields_that_a_document_does_not_have_get_their_defaults_and_others_are_passed_over() -> None:
    assert DocumentCodec(Seat).decode(b'{"player": "ann", "hat": true}') == Seat("ann")


@dataclass
class Numbered:
    by_number: list[dict[int, str] | None] = field(default_factory=list)


@dataclass
class Bare:
    player: str


@dataclass
class Opaque:
    thing: object = field(default_factory=object)


@dataclass(eq=False)
class Alone:
    name: str = ""


@pytest.mark.parametrize("document", [Bare, Numbered, Opaque, Alone, make("Complex", [("z", complex, 1j)])])
def test_a_type_that_cannot_be_kept_is_refused_when_it_is_declared(document: type[Any]) -> None:
    with pytest.raises((TypeError, DocumentError)):
        DocumentCodec(document)


def test_a_type_may_hold_itself() -> None:
    codec = DocumentCodec(Tree)
    tree = Tree("a", [Tree("b"), Tree("c", [Tree("d")])])
    assert codec.decode(codec.encode(tree)) == tree
    assert len(codec.fingerprint) == 16


@dataclass
class Tree:
    name: str = ""
    below: "list[Tree]" = field(default_factory=list)


# ---- messages


def test_a_message_is_written_by_the_mapping_of_protobuf() -> None:
    codec = DocumentCodec(pb.Deposited)
    assert codec.encode(pb.Deposited(amount=5, balance=7)) == b'{"amount":"5","balance":"7"}'
    assert codec.decode(b'{"amount":"5","balance":"7"}') == pb.Deposited(amount=5, balance=7)
    assert codec.encode(codec.new()) == b"{}"
    with pytest.raises(DocumentError, match="is no Deposited"):
        codec.decode(b'{"hat": 1}')


class Nest(MessageBase, package="documents.v1"):
    inner: "Nest | None" = message_field(1)


def test_a_message_that_could_not_be_read_back_is_not_written() -> None:
    document: Any = Nest()
    within = document
    for _ in range(150):
        within.inner.SetInParent()
        within = within.inner
    with pytest.raises(DocumentError, match="is no Nest: "):
        DocumentCodec(Nest).encode(document)
    assert DocumentCodec(Nest).encode(Nest(inner=Nest())) == b'{"inner":{}}'


def test_maps_of_a_message_are_written_in_order() -> None:
    codec = DocumentCodec(pb.Account)
    one, other = pb.Account(pockets={"b": 1, "a": 2}), pb.Account(pockets={"a": 2, "b": 1})
    assert codec.encode(one) == codec.encode(other)


# ---- the fingerprint


def row(*fields: Any, doc: str = "", **more: Any) -> type[Any]:
    """A dataclass of this name with these fields."""
    made = make("Row", list(fields), **more)
    made.__doc__ = doc
    return made


NAME, COUNT = ("name", str, ""), ("count", int, 0)
BASE = DocumentCodec(row(NAME, COUNT)).fingerprint


def test_a_fingerprint_is_16_hex_digits_and_the_same_in_each_process() -> None:
    """The value is of the fields above; if it changes, every deployed projector is refused at its next start."""
    assert BASE == "c9511b7b28d17299"


def test_what_people_write_for_people_does_not_change_it() -> None:
    assert DocumentCodec(row(NAME, COUNT, doc="Another text.")).fingerprint == BASE
    assert DocumentCodec(row(COUNT, NAME)).fingerprint == BASE


@pytest.mark.parametrize(
    "fields",
    [
        [NAME],
        [NAME, COUNT, ("more", int, 0)],
        [NAME, ("total", int, 0)],
        [NAME, ("count", float, 0)],
        [NAME, ("count", int | None, 0)],
        [NAME, ("count", int, 1)],
        [NAME, ("count", list[int], field(default_factory=list))],
    ],
    ids=["fewer", "more", "another name", "another type", "optional", "another default", "a list"],
)
def test_fields_change_it(fields: list[Any]) -> None:
    assert DocumentCodec(row(*fields)).fingerprint != BASE


def test_a_field_may_be_called_title_or_description() -> None:
    titled = DocumentCodec(row(("title", str, ""))).fingerprint
    assert titled != DocumentCodec(row(("title", int, 0))).fingerprint
    assert titled != DocumentCodec(row(("description", str, ""))).fingerprint


def test_a_type_with_all_that_json_has_has_one() -> None:
    assert DocumentCodec(Table).fingerprint == DocumentCodec(Table).fingerprint != BASE


def test_so_does_another_name() -> None:
    assert DocumentCodec(make("Line", [NAME, COUNT])).fingerprint != BASE


def test_types_inside_change_it() -> None:
    def outer(*fields: Any) -> str:
        inner = make("Inner", fields)
        return DocumentCodec(row(("inner", inner, field(default_factory=inner)))).fingerprint

    assert outer(NAME) == outer(NAME)
    assert outer(NAME) != outer(NAME, COUNT)


def test_that_of_a_message_changes_with_its_fields() -> None:
    assert DocumentCodec(pb.Deposited).fingerprint != DocumentCodec(pb.Stashed).fingerprint
