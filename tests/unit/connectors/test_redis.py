"""The parts of the Redis sink that decide without Redis: keys, batches, where to go on, what a read's answer means."""

import importlib
import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from headrace import Projector, Sinks
from headrace.connectors.fields import document_type
from headrace.connectors.redis import DocumentUnreadable, NotLoaded, Redis
from headrace.connectors.redis.batch import MOST_BYTES, MOST_RECORDS, Batch
from headrace.connectors.redis.confirmation import Confirmation, confirmations, pack, unpack_kept
from headrace.connectors.redis.declaration import AddressUnfit, address
from headrace.connectors.redis.keys import Keys
from headrace.connectors.redis.position import Log, Position, begun_anew_because, parse
from headrace.connectors.redis.reads import Place, document, place_in, question
from headrace.extras import MissingExtra
from headrace.schemas.awaited import Awaited
from headrace.schemas.awaited import pack as pack_awaited
from headrace.schemas.documents import DocumentCodec
from headrace.topology.partitioner import partition_of
from tests.support.bank import messages_pb2 as pb
from tests.unit.test_extras import forget


@dataclass
class Card:
    """A document."""

    name: str = ""
    bankroll: int = 0


class Cards(Projector[Card]):
    """Its projector."""

    name = "player-cards"


class LaterCards(Cards):
    """A version that inherits its document."""

    version = 2


KEYS = Keys("shop.", "main")
POSITION = Position("cluster/topic", next=100, at=1_000_000, loaded=True)
LOG = Log("cluster/topic", first=0, end=200, partitions=4, tombstones_kept=60_000)


# ---- the declaration


def test_a_declaration_names_a_variable_and_never_a_password() -> None:
    declared = Redis(LaterCards, url="${env:CACHE}", expires=timedelta(days=1))
    assert declared.component == "player-cards-v2"
    with pytest.raises(ValueError) as refused:
        Redis(Cards, url="redis://:hunter2@cache:6379")
    assert 'url="${env:NAME}"' in str(refused.value)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(ValueError, match=r"Redis\(Cards\): expires is 0:00:00; it must be above zero"):
        Redis(Cards, expires=timedelta(0))


def test_the_address_comes_from_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE", "redis://cache:6379/3")
    assert address("${env:CACHE}") == "redis://cache:6379/3"
    monkeypatch.delenv("CACHE")
    with pytest.raises(AddressUnfit, match="set CACHE to its address"):
        address("${env:CACHE}")


def test_declaring_needs_no_client_of_redis_and_reading_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one == "redis" or one.startswith("redis.")]:
        monkeypatch.setitem(sys.modules, name, None)
    forget(monkeypatch, "headrace.connectors.redis")
    package = importlib.import_module("headrace.connectors.redis")
    assert package.Redis(Cards).component == "player-cards-v1"
    with pytest.raises(MissingExtra, match=r"pip install 'headrace\[redis\]'"):
        _ = package.get


# ---- keys


@given(st.binary(max_size=50), st.integers(0, 9999))
def test_all_keys_of_a_partition_are_in_one_slot_and_none_is_its_position(document_id: bytes, partition: int) -> None:
    key = KEYS.document("player-cards-v1", partition, document_id)
    position = KEYS.position("player-cards-v1", partition).encode()
    assert key_slot(key) == key_slot(position)
    assert key != position
    assert key == b"{shop.main.player-cards-v1.%d}:" % partition + document_id
    assert KEYS.partition(key) == partition


# ---- batches


def test_the_last_record_of_a_document_counts() -> None:
    batch = Batch(10, 10)
    batch.take(10, b"anna", b"1", 1)
    batch.take(12, b"mike", b"2", 2)
    batch.take(13, b"anna", None, 3)
    batch.take(17, None, b"3", 4)
    assert batch.documents == {b"anna": (None, 3), b"mike": (b"2", 2)}
    assert (batch.begin, batch.next, batch.at, batch.records) == (10, 18, 4, 4)


def test_a_batch_is_bounded_in_records_and_in_bytes() -> None:
    many, large = Batch(0, 0), Batch(0, 0)
    for offset in range(MOST_RECORDS):
        assert not many.full
        many.take(offset, b"anna", b"", 0)
    assert many.full
    large.take(0, b"", b"x" * (MOST_BYTES - 1), 0)
    assert not large.full
    large.take(1, b"", b"x", 0)
    assert large.full


# ---- who is told


def test_those_who_wait_for_a_document_are_kept_until_they_are_told() -> None:
    header = pack_awaited([Awaited("headrace.replies/0", "c-1", 4), Awaited("headrace.replies/1", "c-2", 0)])
    found = confirmations("müller".encode(), header, 77)
    assert found[1] == Confirmation("headrace.replies/1", "c-2", 0, "müller", 77)
    assert unpack_kept(pack(found)) == found
    assert pack([]) == b""
    for kept in (b"", b"[", b"7", b"\xff", b'[["a"]]'):
        assert unpack_kept(kept) == []


def test_sinks_say_which_of_them_confirm() -> None:
    assert Sinks(Redis(Cards, confirm=True), Redis(LaterCards)).confirmed == {"player-cards-v1": "redis"}


# ---- where to go on


def test_redis_goes_on_where_it_is() -> None:
    late = POSITION.at + LOG.tombstones_kept
    assert begun_anew_because(POSITION, LOG, late) == ""
    assert begun_anew_because(replace(POSITION, next=200), LOG, late + 10**9) == "", "nothing is missing at the end"


@pytest.mark.parametrize(
    ("position", "log", "reason"),
    [
        (None, LOG, "Redis has no position of it"),
        (replace(POSITION, topic="cluster/other"), LOG, "the topic was made again"),
        (replace(POSITION, next=201), LOG, "the log ends before Redis's position"),
        (POSITION, replace(LOG, first=101), "records behind Redis's position were deleted"),
        (replace(POSITION, at=939_999), LOG, "deletions may be missing, which the log keeps only so long"),
    ],
)
def test_it_begins_anew_when_what_it_has_is_of_no_use(position: Position | None, log: Log, reason: str) -> None:
    assert begun_anew_because(position, log, 1_000_000) == reason


def test_a_position_that_no_writer_has_written_is_none() -> None:
    assert parse({b"topic": b"cluster/topic", b"next": b"100", b"at": b"1000000", b"loaded": b"1"}) == POSITION
    for damaged in ({}, {b"topic": b"t"}, {b"topic": b"t", b"next": b"x", b"at": b"1", b"loaded": b"1"}):
        assert parse(damaged) is None
    assert parse({b"topic": b"\xff", b"next": b"1", b"at": b"1", b"loaded": b"1"}) is None


# ---- reads


def answers(values: dict[str, bytes], document_id: str = "mike") -> Card | None:
    """A read with a Redis that has these values, as `Documents.get` does it."""
    place = Place(Cards.version, 0)
    for _ in range(3):
        asked = question(KEYS, Cards, document_id, place)
        found = place_in(Cards, place, values.get(asked.serving), values.get(asked.first))
        if found == place:
            return document(Cards, document_id, place, values.get(asked.document.decode()), values.get(asked.own))
        place = found
    raise AssertionError("three questions did not find the place")


def stored(version: int, value: bytes | None, loaded: bytes = b"1") -> dict[str, Any]:
    """What Redis has of mike: the position's field that is asked for stands for the whole hash."""
    component, number = f"player-cards-v{version}", partition_of(b"mike", 5)
    assert number > 0
    found: dict[str, Any] = {KEYS.position(component, 0): b"5", KEYS.position(component, number): loaded}
    if value is not None:
        found[KEYS.document(component, number, b"mike").decode()] = value
    return found


def test_without_a_pointer_the_version_of_the_class_is_read() -> None:
    assert answers(stored(1, b'{"name":"Mike","bankroll":7,"more":true}')) == Card("Mike", 7)


def test_a_pointer_leads_to_another_version() -> None:
    both = {**stored(1, b'{"name":"old"}'), **stored(2, b'{"name":"new"}')}
    assert answers(both) == Card("old")
    assert answers({**both, KEYS.serving("player-cards"): b"2"}) == Card("new")


def test_a_document_that_is_not_there_is_none_only_where_all_are_there() -> None:
    assert answers(stored(1, None)) is None
    with pytest.raises(NotLoaded, match="player-cards-v1/mike is not in Redis, which is still being filled"):
        answers(stored(1, None, loaded=b"0"))
    assert answers(stored(1, b"{}", loaded=b"0")) == Card()
    with pytest.raises(NotLoaded, match="nothing of player-cards-v1 is in this Redis"):
        answers({})


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"bankroll":"much"}', b"\xff"])
def test_a_value_that_is_no_document_is_named(value: bytes) -> None:
    with pytest.raises(DocumentUnreadable, match="player-cards-v1/mike in Redis is no Cards document: "):
        answers(stored(1, value))


class Accounts(Projector[pb.Account]):
    name = "player-cards"


def test_a_message_is_read_back() -> None:
    """Also one that another version has written."""
    value = DocumentCodec(pb.Account).encode(pb.Account(owner="Mike", balance=7))
    for stored_value in (value, value[:-1] + b',"more":[1]}'):
        found = document(Accounts, "mike", Place(1, 5), stored_value, b"1")
        assert found == pb.Account(owner="Mike", balance=7)
    with pytest.raises(DocumentUnreadable, match="player-cards-v1/mike in Redis is no Accounts document: "):
        document(Accounts, "mike", Place(1, 5), b'{"balance":"much"}', b"1")


def test_the_document_of_a_projector() -> None:
    assert document_type(LaterCards) is Card

    class Nameless(Projector):  # type: ignore[type-arg]
        name = "nameless"

    with pytest.raises(TypeError, match=r"write class Nameless\(Projector\[YourDocument\]\)"):
        document_type(Nameless)
