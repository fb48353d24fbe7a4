"""What may be declared about the past, and what is said about each mistake."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Topology, TopologyError, Upcaster, UpcastFailed, upcasts
from headrace.schemas.event_schema import EventSchema, parse_key
from headrace.topology.upcaster_chain import MOST
from tests.support.purse import (
    Filled,
    Filled1,
    Filled2,
    Mixed,
    Noted,
    OldPurse,
    Purse,
    PursePast,
    Spent,
    Stored,
    Vault,
    today,
)

CHAIN = today.component("purse").upcasters


def lifted(schema: EventSchema, event: Any) -> list[Any]:
    return CHAIN.lift(schema, event)


# ---- what fits


def test_a_chain_has_as_many_steps_as_it_needs() -> None:
    assert lifted(EventSchema("purse.v1.Filled1"), Filled1(coins=5)) == [Filled(coins=5, metal="copper", by="nobody")]
    assert lifted(EventSchema("purse.v1.Filled2"), Filled2(coins=5)) == [Filled(coins=5, by="nobody")]


def test_one_event_may_become_several_or_none() -> None:
    two = [Filled(coins=5, metal="brass", by="nobody"), Spent(coins=3)]
    assert lifted(EventSchema("purse.v1.Mixed"), Mixed(coins=5, spent=3)) == two
    assert lifted(EventSchema("purse.v1.Noted"), Noted(text="well")) == []


def test_versions_of_one_type_are_told_apart() -> None:
    assert lifted(EventSchema("purse.v1.Spent", 1), Spent(coins=5)) == [Spent(coins=50)]
    assert lifted(EventSchema("purse.v1.Spent", 2), Spent(coins=5)) == [Spent(coins=5)]
    assert CHAIN.newest("purse.v1.Spent") == ("purse.v1.Spent", 2)
    assert CHAIN.newest("purse.v1.Filled") == ("purse.v1.Filled", 1)


def test_what_is_of_today_or_unknown_passes_unchanged() -> None:
    event = Stored(coins=1)
    for name in ("purse.v1.Filled", "purse.v1.Unheard", "v1.Filled1", "Filled1", "purse.v1.Filled1x"):
        (same,) = lifted(EventSchema(name), event)
        assert same is event


@given(st.text("abc.", min_size=1), st.integers(1, 10**9 - 1))
def test_a_schema_comes_back_from_its_key(name: str, version: int) -> None:
    schema = EventSchema(name, version)
    assert parse_key(schema.key) == schema


@pytest.mark.parametrize("key", [b"headrace:", b"headrace:a.B", b"headrace:a.B/", b"headrace:a.B/0", b"headrace:/2"])
def test_a_key_that_names_no_version_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="names no version"):
        parse_key(key)


def test_upcasters_of_one_domain_may_be_several_classes() -> None:
    class Later(Upcaster):
        domain = "purse"

        @upcasts
        def stored(self, event: Stored) -> Filled1:
            return Filled1(coins=event.coins)

    chain = Topology(Purse, PursePast, Later).component("purse").upcasters
    assert chain.lift(EventSchema("purse.v1.Stored"), Stored(coins=4)) == [Filled(coins=4, metal="copper", by="nobody")]
    assert chain.outcomes(EventSchema("purse.v1.Stored")) == {"purse.v1.Filled"}


def test_the_fingerprint_of_states_changes_with_the_chain_alone() -> None:
    class Shorter(Upcaster):
        domain = "purse"

        @upcasts
        def first(self, event: Filled1) -> Filled:
            return Filled(coins=event.coins)

    prints = {
        Topology(Purse, *past).component("purse").state_fingerprint
        for past in ([], [PursePast], [Shorter], [PursePast])
    }
    assert len(prints) == 3
    assert Topology(Vault, Purse, PursePast).component("vault").state_fingerprint == (
        Topology(Vault).component("vault").state_fingerprint
    )


# ---- what fails when an event is read


class Faulty(Upcaster):
    domain = "purse"

    @upcasts
    def raising(self, event: Filled1) -> Filled:
        raise KeyError("metal")

    @upcasts
    def another(self, event: Filled2) -> Filled:
        return Stored()  # type: ignore[return-value]

    @upcasts
    def endless(self, event: Mixed) -> Iterator[Filled]:
        while True:
            yield Filled()

    @upcasts
    def late(self, event: Noted) -> Iterator[Filled]:
        yield Filled()
        raise ValueError("too late")


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Filled1(), "Faulty.raising cannot lift purse.v1.Filled1: KeyError: 'metal'"),
        (Filled2(), "Faulty.another cannot lift purse.v1.Filled2: it returned Stored; as it is annotated, it returns "),
        (Mixed(), f"Faulty.endless cannot lift purse.v1.Mixed: it made more than {MOST} events of one"),
        (Noted(), "Faulty.late cannot lift purse.v1.Noted: ValueError: too late"),
    ],
)
def test_a_method_that_fails_is_named(event: Any, text: str) -> None:
    chain = Topology(Purse, Faulty).component("purse").upcasters
    with pytest.raises(UpcastFailed) as failed:
        chain.lift(EventSchema(event.DESCRIPTOR.full_name), event)
    assert str(failed.value).startswith(text)
    assert "event 7 of anna, purse.v1." in str(failed.value.at("anna", 7))


# ---- mistakes


def upcaster(name: str, of: str = "purse", **methods: Any) -> type[Upcaster]:
    return type(name, (Upcaster,), {"domain": of, **methods})


@upcasts
def renamed(self: Any, event: Filled1) -> Filled:
    raise NotImplementedError


@upcasts
def renamed_again(self: Any, event: Filled1) -> Filled2:
    raise NotImplementedError


@upcasts
def back(self: Any, event: Filled2) -> Filled1:
    raise NotImplementedError


@upcasts
def to_itself(self: Any, event: Filled1) -> Filled1:
    raise NotImplementedError


@upcasts
def to_nobody(self: Any, event: Filled1) -> Stored:
    raise NotImplementedError


@upcasts
def of_today(self: Any, event: Filled) -> Filled2:
    raise NotImplementedError


@upcasts(version=2)
def second(self: Any, event: Spent) -> Spent:
    raise NotImplementedError


@upcasts(version=1)
def first(self: Any, event: Spent) -> Spent:
    raise NotImplementedError


@upcasts
def unclear(self: Any, event: Mixed) -> Spent:
    raise NotImplementedError


@upcasts(makes=4)
def too_new(self: Any, event: Mixed) -> Filled:
    raise NotImplementedError


@upcasts(makes=3)
def newer(self: Any, event: Mixed) -> Spent:
    raise NotImplementedError


@upcasts(version=0)
def none(self: Any, event: Spent) -> Spent:
    raise NotImplementedError


@upcasts
def number(self: Any, event: Filled1) -> int:
    raise NotImplementedError


@upcasts
def of_text(self: Any, event: str) -> Filled:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("past", "told"),
    [
        (upcaster("P", of="Purse", one=renamed), "P: domain is 'Purse'; give it a name that matches"),
        (upcaster("P", of="till", one=renamed), "P.one: 'till' writes no events in this topology; there are: purse"),
        (upcaster("P"), "P: has no method marked @upcasts that takes an event"),
        (upcaster("P", one=renamed, two=renamed_again), "P.two: purse.v1.Filled1 is lifted by P.one already"),
        (
            upcaster("P", one=renamed_again, two=back),
            "P.one: leads back to what it takes: purse.v1.Filled1 -> purse.v1.",
        ),
        (upcaster("P", one=to_itself), "P.one: leads back to what it takes: purse.v1.Filled1 -> purse.v1.Filled1; for"),
        (upcaster("P", one=to_nobody), "P.one: makes purse.v1.Stored, which Purse does not apply; add an @applies"),
        (upcaster("P", one=renamed_again), "P.one: makes purse.v1.Filled2, which Purse does not apply"),
        (upcaster("P", one=of_today), "P.one: lifts purse.v1.Filled, which Purse writes or applies today"),
        (upcaster("P", one=second), "purse: nothing lifts version 1 of purse.v1.Spent, which has 3 versions; add a "),
        (upcaster("P", one=first, two=unclear), "P.two: makes purse.v1.Spent, which has 2 versions; say which: @upc"),
        (upcaster("P", one=too_new), "P.one: makes=4 means nothing, as it makes purse.v1.Filled, without several"),
        (upcaster("P", one=first, two=newer), "P.two: makes version 3 of purse.v1.Spent, whose newest one is 2"),
        (upcaster("P", one=none), "P.one: version is 0; versions are 1, 2, 3, …"),
        (upcaster("P", one=number), "P.one: wrong return type int; return an event, a list of events or None"),
        (upcaster("P", one=of_text), "P.one: str is no protobuf message"),
    ],
)
def test_mistakes_are_told_at_the_start(past: type[Upcaster], told: str) -> None:
    with pytest.raises(TopologyError) as caught:
        Topology(Purse, past)
    assert any(mistake.startswith(told) for mistake in caught.value.mistakes), caught.value.mistakes


def test_two_classes_that_lift_one_type_are_told() -> None:
    with pytest.raises(TopologyError, match=r"Q\.two: purse\.v1\.Filled1 is lifted by P\.one already"):
        Topology(Purse, upcaster("P", one=renamed), upcaster("Q", two=renamed))


def test_upcasters_of_an_aggregate_that_writes_the_old_type_are_told() -> None:
    with pytest.raises(TopologyError, match=r"lifts purse\.v1\.Filled1, which OldPurse writes or applies today"):
        Topology(OldPurse, PursePast)
