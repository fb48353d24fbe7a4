"""The accounts of an older release, read with the code of today."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from headrace.examples import poker
from headrace.examples.poker import PlayerPast, read_side
from headrace.examples.poker import poker_pb2 as pb
from headrace.examples.poker.player import Player
from headrace.examples.poker.projectors import PlayerCards
from headrace.schemas.event_schema import schema_key
from headrace.schemas.stored_event import StoredEvent, split_event_key
from headrace.streams.steps.store import Staged
from headrace.testing import OfVersion, TopologyDriver, given
from headrace.testing.memory_store import MemoryStore
from headrace.topology.partitioner import partition_of

LOG = Path(poker.__file__).with_name("accounts-v1.jsonl")
NAMES = {"linda": "Linda Johnson", "eric": "Eric Seidel Brandt", "ada": "Ada", "mo": "Mo Okafor"}


@pytest.fixture
def driver() -> TopologyDriver:
    """The room and its read side, on that log."""
    driver = TopologyDriver(read_side)
    for line in LOG.read_text().splitlines():
        record: dict[str, Any] = json.loads(line)
        headers = {name: value.encode() for name, value in record["headers"].items()}
        root, sequence = split_event_key(record["key"].encode())
        value, partition = base64.b64decode(record["value"]), partition_of(root, 4)
        stored = StoredEvent(schema_key(headers), b"0", headers["ce_time"], b"", b"", b"", b"", value)
        staged = Staged(history=[(root, sequence, stored.pack())])
        driver._runtime.stores.setdefault(("player", partition), MemoryStore()).put(staged)
        driver.produce(driver.topic("player", "events"), record["key"].encode(), value, headers.items(), partition)
    return driver


def test_accounts_of_the_older_release_have_names_as_of_today(driver: TopologyDriver) -> None:
    assert {root: driver.state(root, Player).name for root in NAMES} == NAMES
    assert driver.state("linda", Player).bankroll == 19_500
    assert driver.state("mo", Player).bankroll == 21_500, "the room of today has no table-1, and gives the money back"


def test_so_have_the_cashiers_cards(driver: TopologyDriver) -> None:
    assert {root: card.name for root, card in driver.documents(PlayerCards).items()} == NAMES


def test_commands_go_on_from_there(driver: TopologyDriver) -> None:
    reply = driver.execute(pb.RegisterPlayer(name="Linda"), "linda")
    assert reply.reason == "Linda Johnson is registered already"
    assert driver.execute(pb.WithdrawFunds(amount=19_500), "linda").accepted


def test_what_the_log_has_stays_as_it_was(driver: TopologyDriver) -> None:
    (first, *_) = driver.events("linda", domain=Player, lift=False)
    assert (first.data, first.stored.version) == (pb.PlayerRegistered(name="Johnson, Linda"), 1)


def test_names_of_today_are_left_alone() -> None:
    written = OfVersion(1, pb.PlayerRegistered(name="Johnson, Linda")), pb.FundsDeposited(amount=1, new_balance=1)
    given(Player, *written, upcasters=[PlayerPast]).when(pb.DepositFunds(amount=1)).then_state(name="Linda Johnson")
    today = pb.PlayerRegistered(name="Johnson, Linda")
    given(Player, today, upcasters=[PlayerPast]).when(pb.DepositFunds(amount=1)).then_state(name="Johnson, Linda")
