"""A projector's documents, and sinks of all kinds for them. `HEADRACE_TOPOLOGY=tests.support.sink_cards:topology`."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from headrace import Iceberg, Jdbc, Projector, Search, Sinks, Snowflake, Topology, projects
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


topology = Topology(Accounts, PlayerCards)
sinks = Sinks(
    Search(PlayerCards, {"name": {"type": "text"}}, user="headrace", password="${env:SEARCH_PASSWORD}"),  # noqa: S106
    Snowflake(PlayerCards),
    Jdbc(PlayerCards),
    Iceberg(PlayerCards, "room.player_cards", {"type": "rest", "uri": "https://catalog", "token": "${env:TOKEN}"}),
)
