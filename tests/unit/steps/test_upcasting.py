"""Events of an older release, read by all that read events: lifted, in their order, and untouched on the log."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from headrace import (
    Aggregate,
    Projector,
    Send,
    Topology,
    Upcaster,
    UpcastFailed,
    applies,
    handles,
    projects,
    upcasts,
)
from headrace.schemas.event_schema import EventSchema
from headrace.schemas.headers import DATA_SCHEMA, TYPE
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.schemas.record import Record
from headrace.schemas.stored_event import StoredEvent
from headrace.streams.steps.errors import UnknownEvent
from headrace.streams.steps.handlers import States
from headrace.testing import OfVersion, TopologyDriver, given
from tests.support.purse import (
    Audited,
    Auditor,
    Banker,
    Contents,
    Fill,
    Filled,
    Filled1,
    Filled2,
    Metals,
    Mix,
    Mixed,
    Note,
    Noted,
    Page,
    Pages,
    Purse,
    PursePast,
    Spend,
    Spent,
    Store,
    Stored,
    before,
    today,
)

UNLIFTED = Topology(Purse)
STATES = States(today.component("purse"))
PAST = (PursePast,)


def written_before() -> TopologyDriver:
    """A purse of which the first release has written five events."""
    driver = TopologyDriver(before)
    for command in (Fill(coins=5), Spend(coins=20), Mix(coins=7, spent=1), Note(text="well"), Fill(coins=1)):
        assert driver.execute(command, "anna", domain="purse").accepted
    return driver


# ---- aggregates


def test_the_state_is_that_of_the_older_release() -> None:
    driver = written_before()
    then = driver.state("anna", "purse")
    driver.deploy(today)
    assert driver.state("anna", "purse") == then == Contents(coins=13, spent=21, metals=["copper", "brass", "copper"])


def test_a_command_decides_on_the_lifted_history_and_the_log_stays_as_it_is() -> None:
    """Invariant 5."""
    driver = written_before()
    topic = driver.topic("purse", "events")
    stored = driver.records(topic)
    driver.deploy(today)
    reply = driver.execute(Spend(coins=3), "anna", domain="purse")
    assert (reply.sequence, reply.messages) == (5, [Spent(coins=3)])
    assert driver.state("anna", "purse").spent == 24
    assert driver.records(topic)[: len(stored)] == stored


def test_events_are_read_as_those_of_today_with_their_sequences() -> None:
    driver = written_before()
    driver.deploy(today)
    driver.execute(Spend(coins=3), "anna", domain="purse")
    assert [(event.sequence, event.data) for event in driver.events("anna", domain="purse")] == [
        (0, Filled(coins=5, metal="copper", by="nobody")),
        (1, Spent(coins=20)),
        (2, Filled(coins=7, metal="brass", by="nobody")),
        (2, Spent(coins=1)),
        (4, Filled(coins=1, metal="copper", by="nobody")),
        (5, Spent(coins=3)),
    ]
    raw = driver.events("anna", domain="purse", lift=False)
    assert [(event.data, event.stored.version) for event in raw] == [
        (Filled1(coins=5), 1),
        (Spent(coins=2), 1),
        (Mixed(coins=7, spent=1), 1),
        (Noted(text="well"), 1),
        (Filled1(coins=1), 1),
        (Spent(coins=3), 2),
    ]


def test_what_is_written_today_says_its_version() -> None:
    driver = TopologyDriver(today)
    driver.execute(Fill(coins=5), "anna", domain="purse")
    driver.execute(Spend(coins=3), "anna", domain="purse")
    filled, spent = driver.records(driver.topic("purse", "events"))
    assert DATA_SCHEMA not in filled.headers
    assert (spent.headers[TYPE], spent.headers[DATA_SCHEMA]) == (b"purse.v1.Spent", b"headrace:purse.v1.Spent/2")


def test_an_older_release_understands_what_it_can_and_names_the_rest() -> None:
    """It still folds the history that it has written; of a newer version it does not guess the meaning."""
    driver = written_before()
    driver.deploy(today)
    driver.execute(Spend(coins=3), "anna", domain="purse")
    driver.execute(Fill(coins=3), "bert", domain="purse")
    driver.deploy(before)
    assert driver.execute(Fill(coins=1), "carl", domain="purse").accepted
    for root, text in (
        (
            "anna",
            "no @applies method for purse.v1.Spent of version 2, which the log holds as event 5 of anna; apply it",
        ),
        ("bert", "no @applies method for purse.v1.Filled, which the log holds as event 0 of bert"),
    ):
        assert text in driver.execute(Fill(coins=1), root, domain="purse").reason
    driver.deploy(today)
    driver.replay("purse")
    assert driver.state("anna", "purse").coins == 14


def test_an_upcaster_that_raises_fails_the_command_and_names_event_and_method() -> None:
    driver = TopologyDriver(before)
    driver.execute(Fill(coins=1), "anna", domain="purse")
    driver.execute(Fill(coins=13), "anna", domain="purse")
    driver.deploy(today)
    reply = driver.execute(Spend(coins=3), "anna", domain="purse")
    text = "PursePast.second cannot lift event 1 of anna, purse.v1.Filled2: ValueError: thirteen"
    assert text in reply.reason
    (dead_letter,) = driver.dead_letters("purse")
    assert (dead_letter.error_class, dead_letter.error) == ("UpcastFailed", text)
    with pytest.raises(UpcastFailed, match="event 1 of anna"):
        driver.events("anna", domain="purse")
    assert driver.execute(Fill(coins=3), "bert", domain="purse").accepted


def test_without_events_no_upcaster_is_called() -> None:
    class Never(Upcaster):
        domain = "purse"

        @upcasts
        def first(self, event: Filled1) -> Filled:
            raise NotImplementedError

    assert given(Purse, upcasters=[Never]).when(Fill(coins=1)).events


def test_a_snapshot_of_today_needs_no_upcaster() -> None:
    driver = written_before()
    driver.deploy(today)
    driver.execute(Fill(coins=2), "anna", domain="purse")

    class Raising(PursePast):
        @upcasts
        def first(self, event: Filled1) -> Filled2:
            raise NotImplementedError

    driver.deploy(Topology(Purse, Raising))
    assert driver.execute(Fill(coins=2), "anna", domain="purse").accepted


def test_other_content_types_are_lifted_too() -> None:
    state = STATES.new()
    stored = StoredEvent(b"purse.v1.Filled1", b"", b"", b"", b"", b"", b"application/json", b'{"coins": "4"}').pack()
    assert STATES.fold(state, [stored]) == 1
    assert state == Contents(coins=4, metals=["copper"])


# ---- sagas, process managers, projectors


@pytest.fixture
def read_anew() -> TopologyDriver:
    """What the first release has written, as the second one's readers get it when they begin with the oldest event."""
    old, driver = written_before(), TopologyDriver(today)
    for record in old.records(old.topic("purse", "events")):
        deliver(driver, record)
    return driver


def deliver(driver: TopologyDriver, record: Record) -> None:
    driver.produce(record.topic, record.key, record.value, record.headers.items(), record.partition)


def test_a_saga_reacts_to_the_events_of_today(read_anew: TopologyDriver) -> None:
    commands = read_anew.records(read_anew.topic("vault", "inbox"))
    assert [Store.FromString(one.value or b"").coins for one in commands] == [5, -20, 7, -1, 1]
    assert len({one.headers["ce_id"] for one in commands}) == 5
    assert read_anew.state("anna", "vault").coins == -8


def test_a_process_manager_reacts_to_the_events_of_today(read_anew: TopologyDriver) -> None:
    records = read_anew.records(read_anew.topic("auditor", "inbox"))
    assert [one.headers[TYPE].decode().rpartition(".")[2] for one in records] == [
        "Filled1",
        "Spent",
        "Mixed",
        "Filled1",
    ]
    seen = [text for one in records for text in read_anew.state(one.key.decode() if one.key else "", "auditor").seen]
    assert seen == ["0 Filled 5", "0 Spent 20", "0 Filled 7", "1 Spent 1", "0 Filled 1"]


def test_documents_are_of_the_events_of_today(read_anew: TopologyDriver) -> None:
    lines = ["Filled 5", "Spent 20", "Filled 7", "Spent 1", "Filled 1"]
    assert read_anew.documents(Pages) == {"anna": Page(lines)}
    assert read_anew.documents(Metals) == {
        "copper": Page(["5 copper", "1 copper"]),
        "brass": Page(["7 brass"]),
        "spent": Page(["20 spent", "1 spent"]),
    }


def test_an_upcaster_that_raises_parks_the_document_and_the_event_of_the_root() -> None:
    old, driver = TopologyDriver(before), TopologyDriver(today)
    for coins in (1, 13, 2):
        old.execute(Fill(coins=coins), "anna", domain="purse")
    for record in old.records(old.topic("purse", "events")):
        deliver(driver, record)
    assert driver.documents(Pages) == {"anna": Page(["Filled 1"])}
    text = "PursePast.second cannot lift event 1 of anna, purse.v1.Filled2: ValueError: thirteen"
    for component in ("pages-v1", "metals-v1-feed", "banker", "auditor"):
        assert [one.error for one in driver.dead_letters(component)] == [text], component


def test_readers_of_an_older_release_do_not_guess_at_a_newer_version() -> None:
    new = TopologyDriver(today)
    new.execute(Spend(coins=3), "anna", domain="purse")
    (record,) = new.records(new.topic("purse", "events"))

    class Spender(Aggregate[Contents]):
        domain = "purse"

        @handles
        def spend(self, state: Contents, command: Spend) -> Spent:
            raise NotImplementedError

        @applies
        def spent(self, state: Contents, event: Spent) -> None:
            raise NotImplementedError

    class OnlySpent(Projector[Page]):
        name = "only-spent"

        @projects
        def spent(self, document: Page, event: Spent) -> None:
            document.lines.append(f"{event.coins}")

    old = TopologyDriver(Topology(Spender, OnlySpent))
    deliver(old, record)
    (dead_letter,) = old.dead_letters("only-spent-v1")
    assert dead_letter.error == "purse.v1.Spent of version 2 is not known here; a newer release may have written it"
    deliver(old, record._replace(headers={**record.headers, DATA_SCHEMA: b"https://schemas.example/spent"}))
    assert len(old.dead_letters("only-spent-v1")) == 1, "a data schema of another kind means nothing here"


# ---- tests of authors


def test_given_takes_events_of_the_past() -> None:
    events = Filled1(coins=5), OfVersion(1, Spent(coins=2)), Spent(coins=2), Noted()
    given(Purse, *events, upcasters=PAST).when(Fill()).then_state(coins=5, spent=22)
    sent = Send("vault", "anna", Store(coins=1)), Send("vault", "anna", Store(coins=-2))
    saga = given(Banker, upcasters=PAST).when(Mixed(coins=1, spent=2), root="anna").then(*sent)
    saga.when(Noted()).then_nothing()
    saga.when(OfVersion(1, Spent(coins=1))).then(Send("vault", "anna", Store(coins=-10)))
    process = given(Auditor, upcasters=PAST).when(Mixed(coins=1, spent=2))
    process.then(Audited(text="0 Filled 1"), Audited(text="1 Spent 2"))
    process.when(Spent(coins=4)).then(Audited(text="2 Spent 4"))
    given(Pages, *events, upcasters=PAST).then_document("root-1", Page(["Filled 5", "Spent 20", "Spent 2"]))
    given(Metals, Mixed(coins=1, spent=2), upcasters=PAST).then_documents(
        {"brass": Page(["1 brass"]), "spent": Page(["2 spent"])}
    )


def test_given_names_what_nobody_lifts() -> None:
    with pytest.raises(LookupError, match=r"Purse applies no purse\.v1\.Filled1; it applies: "):
        given(Purse, Filled1())
    with pytest.raises(LookupError, match=r"Pages projects no purse\.v1\.Filled1"):
        given(Pages, Filled1())
    with pytest.raises(LookupError, match=r"Banker reacts to no purse\.v1\.Stored"):
        given(Banker, upcasters=PAST).when(Stored())
    with pytest.raises(LookupError, match=r"Purse applies no purse\.v1\.Spent of version 3"):
        given(Purse, OfVersion(3, Spent()), upcasters=PAST)


# ---- laws

PAST_EVENTS = st.one_of(
    st.builds(Filled1, coins=st.integers(0, 12)).map(lambda one: (EventSchema("purse.v1.Filled1"), one)),
    st.builds(Filled2, coins=st.integers(0, 12), metal=st.sampled_from(["tin", "zinc"])).map(
        lambda one: (EventSchema("purse.v1.Filled2"), one)
    ),
    st.builds(Filled, coins=st.integers(0, 12)).map(lambda one: (EventSchema("purse.v1.Filled"), one)),
    st.builds(Mixed, coins=st.integers(0, 12), spent=st.integers(0, 9)).map(
        lambda one: (EventSchema("purse.v1.Mixed"), one)
    ),
    st.builds(Noted, text=st.just("x")).map(lambda one: (EventSchema("purse.v1.Noted"), one)),
    st.builds(
        lambda coins, version: (EventSchema("purse.v1.Spent", version), Spent(coins=coins)),
        st.integers(0, 9),
        st.integers(1, 2),
    ),
)


def stored(schema: EventSchema, message: Any) -> bytes:
    return StoredEvent(schema.key, b"", b"", b"", b"", b"", b"", message.SerializeToString()).pack()


@settings(deadline=None)
@drawn(st.lists(PAST_EVENTS, max_size=30))
def test_folding_old_events_is_folding_what_each_step_makes_of_them(events: list[tuple[EventSchema, Any]]) -> None:
    """Chains of upcasters = one upcaster after the other, then a fold without any; the order is kept."""
    past = PursePast()
    steps: dict[str, Callable[[Any], list[Any]]] = {
        "purse.v1.Filled1": lambda one: [past.second(past.first(one))],
        "purse.v1.Filled2": lambda one: [past.second(one)],
        "purse.v1.Mixed": lambda one: list(past.mixed(one)),
        "purse.v1.Noted": lambda one: [],
        "headrace:purse.v1.Spent/2": lambda one: [one],
        "purse.v1.Spent": lambda one: [past.tens(one)],
        "purse.v1.Filled": lambda one: [one],
    }
    lifted = [one for schema, event in events for one in steps[schema.key.decode()](event)]
    state, plain = STATES.new(), States(UNLIFTED.component("purse"))
    assert STATES.fold(state, [stored(*one) for one in events]) == len(events)
    other = plain.new()
    plain.fold(other, [stored(EventSchema(one.DESCRIPTOR.full_name), one) for one in lifted])
    assert state == other


@settings(deadline=None)
@drawn(st.lists(PAST_EVENTS, min_size=1, max_size=30), st.data())
def test_the_event_that_cannot_be_read_is_named(events: list[tuple[EventSchema, Any]], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(events)))
    bad = data.draw(st.sampled_from([Filled1(coins=13), Store()]))
    schema = EventSchema(bad.DESCRIPTOR.full_name)
    values = [stored(*one) for one in [*events[:place], (schema, bad), *events[place:]]]
    with pytest.raises((UpcastFailed, UnknownEvent), match=rf"event {place + 4} of anna"):
        STATES.fold(STATES.new(), values, b"anna", 4)


def test_snapshots_are_of_the_chain() -> None:
    driver = written_before()
    store = driver._runtime.stores_of("purse")
    (old,) = [Snapshot.FromString(value) for one in store for value in one.snapshots.values()]
    assert old.fingerprint != STATES.fingerprint
