"""A projector's documents, and sinks of all kinds for them. `HEADRACE_TOPOLOGY=tests.support.cards:topology`."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

import pytest

from headrace import Iceberg, Jdbc, Projector, Search, Sinks, Snowflake, Topology, projects
from headrace.topology.describe import Description
from headrace.topology.inspection import spec
from headrace.topology.inspection.spec import ComponentSpec
from headrace.topology.projector import version_name
from tests.support.bank.accounts import Accounts
from tests.support.bank.messages_pb2 import Deposited


@dataclass
class Seat:
    table: str = ""
    number: int = 0


@dataclass
class PlayerCard:
    """A field of each kind."""

    name: str = ""
    chips: int = 0
    ratio: float = 0.0
    active: bool = False
    worth: Decimal = Decimal(0)
    born: date | None = None
    joined: datetime | None = None
    style: Literal["tight", "loose"] = "tight"
    home: Seat = field(default_factory=Seat)
    seats: list[Seat] = field(default_factory=list)
    tags: tuple[str, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)


class PlayerCards(Projector[PlayerCard]):
    name = "player-cards"

    @projects
    def deposited(self, document: PlayerCard, event: Deposited) -> None:
        document.chips = event.balance


@dataclass(slots=True, kw_only=True)
class _Spec(ComponentSpec):
    kind: ClassVar[str] = "projector"
    topics: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> list[tuple[str, str]]:
        return []

    def describe(self) -> Description | None:
        return None


def _inspect(projector: type[Projector[Any]], mistakes: list[str]) -> _Spec:
    return _Spec(name=version_name(projector.name, projector.version), class_name=projector.__name__)


with pytest.MonkeyPatch.context() as patch:  # for this topology alone
    patch.setitem(spec._KINDS, Projector, _inspect)
    topology = Topology(Accounts, PlayerCards)
sinks = Sinks(
    Search(PlayerCards, {"name": {"type": "text"}}, user="headrace", password="${env:SEARCH_PASSWORD}"),  # noqa: S106
    Snowflake(PlayerCards),
    Jdbc(PlayerCards),
    Iceberg(PlayerCards, "room.player_cards", {"type": "rest", "uri": "https://catalog", "token": "${env:TOKEN}"}),
)
