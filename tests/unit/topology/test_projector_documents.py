"""Which types may be the documents of a projector, and when they are taken for others."""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from headrace import Projector, projects
from tests.support.bank import messages_pb2 as pb
from tests.unit.topology.test_projector_declarations import Base, Card, mistake, spec_of

X = TypeVar("X")


@dataclass
class Bare:
    name: str


@dataclass(frozen=True)
class Frozen:
    name: str = ""


@dataclass
class Opaque:
    thing: complex = 0j


@dataclass
class Numbered:
    seats: dict[int, str] = field(default_factory=dict)


@dataclass
class Misfit:
    count: int = "none"  # type: ignore[assignment]


class NoDataclass:
    pass


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (Bare, "Wrong: Bare cannot be a document: "),
        (Opaque, "Wrong: Opaque cannot be a document: "),
        (Misfit, "Wrong: Misfit cannot be a document: "),
        (Numbered, "Wrong: Numbered cannot be a document: the keys of a dict are text in JSON"),
        (Frozen, "Wrong: Frozen is frozen; a document is changed by the projector's methods"),
        (NoDataclass, "Wrong: names no document; write class Wrong(Projector[YourDocument]), a dataclass"),
        (str, "Wrong: names no document; "),
        (X, "Wrong: names no document; "),
    ],
)
def test_a_document_must_be_one_that_can_be_kept(document: Any, said: str) -> None:
    class Wrong(Projector[document]):
        name = "wrong"

    assert mistake(Wrong).startswith(said)


def test_a_projector_names_its_document() -> None:
    class Wrong(Projector):  # type: ignore[type-arg]
        name = "wrong"

    assert mistake(Wrong).startswith("Wrong: names no document; ")


def test_the_fingerprint_changes_with_the_document_and_the_way_of_events() -> None:
    @dataclass
    class More:
        balance: int = 0
        name: str = ""

    class Wider(Projector[More]):
        name = "base"

        @projects
        def opened(self, document: More, event: pb.Opened) -> None: ...

    class Keyed(Projector[Card]):
        name = "base"

        @projects(key=lambda event: event.owner)
        def opened(self, document: Card, event: pb.Opened) -> None: ...

    class Wordy(Base):
        """The same in other words."""

    assert len({spec_of(one).fingerprint for one in (Base, Wider, Keyed)}) == 3
    assert spec_of(Wordy).fingerprint == spec_of(Base).fingerprint


def test_a_message_may_be_a_document() -> None:
    class Messages(Projector[pb.Account]):
        name = "messages"

        @projects
        def opened(self, document: pb.Account, event: pb.Opened) -> None: ...

    assert spec_of(Messages).document is pb.Account
