"""Sagas, facts, compensation, dead events and those behind them; the steps of production, in memory."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from headrace import Aggregate, Saga, Send, Topology, TopologyError, applies, handles, reacts
from headrace.schemas.headers import Headers
from headrace.schemas.headrace_v1_pb2 import Aborted, DeadLetter, Reply, Revoked
from headrace.schemas.record import Record
from headrace.testing import TopologyDriver
from tests.support.bank import reactions
from tests.support.bank.accounts import Purse
from tests.support.bank.messages_pb2 import (
    Account,
    Annotate,
    Annotated,
    Deposit,
    Deposited,
    Stash,
    Stashed,
    Touch,
    Withdrawn,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def driver() -> Iterator[TopologyDriver]:
    reactions.Keeper.broken, reactions.Keeper.stumbles = True, 0
    yield TopologyDriver(reactions.topology, start=NOW)
    reactions.Keeper.broken, reactions.Keeper.stumbles = True, 0


def notes(driver: TopologyDriver, root: str = "p") -> list[str]:
    return [event.note for event in driver.messages(root, "book")]


def settle(driver: TopologyDriver, dead_letter: DeadLetter, *, discard: bool = False) -> None:
    """What `headrace dead-letters replay` does: the input again, with the dead letter's id."""
    headers: Headers = [(h.key, h.value) for h in dead_letter.headers]
    headers.append(("ce_replayof", f"{dead_letter.topic}/{dead_letter.partition}/{dead_letter.offset}"))
    if discard:
        headers.append(("ce_discard", "1"))
    root = next(h.value for h in dead_letter.headers if h.key == "ce_subject")
    driver.produce(driver.topic("keeper", "inbox"), root, dead_letter.value, headers, dead_letter.partition)


def header(record: Record, name: str) -> str:
    return record.headers[name].decode()


# ---- sagas


def test_an_event_becomes_commands_of_another_domain(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=2), "p", correlation_id="trip")
    assert notes(driver) == ["0"]
    assert notes(driver, "p-copy") == ["again"]
    first, second = driver.records(driver.topic("book", "inbox"))
    assert header(first, "ce_id") == "/main/purse/p:0>keeper/0"
    assert header(second, "ce_id") == "/main/purse/p:0>keeper/1"
    assert header(first, "ce_causationid") == "/main/purse/p:0"
    assert header(first, "ce_source") == "/main/keeper"
    assert {header(r, "ce_correlationid") for r in (first, second)} == {"trip"}
    (event,) = [r for r in driver.records(driver.topic("book", "events")) if header(r, "ce_subject") == "p"]
    assert header(event, "ce_correlationid") == "trip"
    assert header(event, "ce_path") == "keeper>"


def test_the_same_event_again_changes_nothing(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=1), "p")
    (event,) = driver.records(driver.topic("purse", "events"))
    driver.produce(event.topic, event.key, event.value, event.headers.items(), event.partition)
    assert len(driver.records(driver.topic("book", "inbox"))) == 2
    assert notes(driver) == ["0"]


def test_a_transient_failure_is_tried_again(driver: TopologyDriver) -> None:
    reactions.Keeper.stumbles = 3
    driver.execute(Deposit(amount=14), "p")
    assert notes(driver) == ["0"]
    assert driver.clock.now > NOW + timedelta(seconds=1)
    reactions.Keeper.stumbles = 4
    driver.execute(Deposit(amount=14), "p")
    (dead_letter,) = driver.dead_letters("keeper")
    assert dead_letter.error_class == "Transient"


@pytest.mark.parametrize(
    ("amount", "says"),
    [(15, "to 'nowhere', which handles none; domains: book, purse"), (16, "to book without a root"), (13, "thirteen")],
)
def test_what_cannot_be_sent_is_dead_and_names_saga_and_event(driver: TopologyDriver, amount: int, says: str) -> None:
    driver.execute(Deposit(amount=amount), "p")
    (dead_letter,) = driver.dead_letters("keeper")
    assert says in dead_letter.error
    assert (dead_letter.component, dead_letter.topic, dead_letter.key) == (
        "saga:keeper",
        driver.topic("purse", "events"),
        b"p|00000000000000000000",
    )
    assert driver.records(driver.topic("book", "inbox")) == []


def test_a_loop_ends_at_the_hop_limit_with_its_path() -> None:
    driver = TopologyDriver(reactions.endless, start=NOW)
    driver.execute(Deposit(amount=1), "p")
    dead_letters = driver.dead_letters("keeper") + driver.dead_letters("echo")
    assert [dead_letter.error_class for dead_letter in dead_letters] == ["HopLimit"]
    assert dead_letters[0].error.startswith("64 hops led here and no end: keeper>echo>keeper>")
    assert len(driver.messages("p", "purse")) == 33


# ---- dead events, and those behind them


def test_events_behind_a_dead_one_wait_and_follow_in_order(driver: TopologyDriver) -> None:
    for amount in (1, 13, 3, 4):
        driver.execute(Deposit(amount=amount), "p")
    driver.execute(Deposit(amount=1), "other")
    assert notes(driver) == ["0"]
    assert notes(driver, "other") == ["0"]
    (dead_letter,) = driver.dead_letters("keeper")
    reactions.Keeper.broken = False
    settle(driver, dead_letter)
    assert notes(driver) == ["0", "1", "2", "3"]
    settle(driver, dead_letter)
    assert notes(driver) == ["0", "1", "2", "3"]
    driver.execute(Deposit(amount=5), "p")
    assert notes(driver)[-1] == "4"


def test_a_replay_that_fails_again_keeps_its_place(driver: TopologyDriver) -> None:
    for amount in (13, 3):
        driver.execute(Deposit(amount=amount), "p")
    settle(driver, driver.dead_letters("keeper")[0])
    assert notes(driver) == []
    assert len(driver.dead_letters("keeper")) == 2
    reactions.Keeper.broken = False
    settle(driver, driver.dead_letters("keeper")[1])
    assert notes(driver) == ["0", "1"]


def test_a_discarded_event_lets_those_behind_it_go_on(driver: TopologyDriver) -> None:
    for amount in (13, 3):
        driver.execute(Deposit(amount=amount), "p")
    settle(driver, driver.dead_letters("keeper")[0], discard=True)
    assert notes(driver) == ["1"]


# ---- compensation


def test_a_refused_command_is_compensated_by_events_of_its_source(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=1), "p")
    driver.execute(Deposit(amount=7), "p")
    assert driver.messages("p", "purse") == [
        Deposited(amount=1, balance=1),
        Deposited(amount=7, balance=8),
        Withdrawn(amount=1, balance=8),
    ]
    (notice,) = driver.records(driver.topic("purse", "inbox"))
    driver.produce(notice.topic, notice.key, notice.value, notice.headers.items())
    assert len(driver.messages("p", "purse")) == 3
    assert driver.dead_letters("book") == []


def test_flags_instead_of_events(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=70), "p")
    assert event_types(driver) == ["bank.v1.Deposited", "headrace.v1.Revoked"]
    revoked = Revoked.FromString(driver.records(driver.topic("purse", "events"))[1].value or b"")
    assert (revoked.sequence, "is not to be noted" in revoked.reason) == (0, True)
    driver.execute(Deposit(amount=71), "p")
    driver.execute(Deposit(amount=72), "p")
    kept = [dead_letter.error for dead_letter in driver.dead_letters("purse")]
    assert "keeps for a person" in kept[0]
    assert "escalates" in kept[1]
    assert [(told["root"], told["refused_by"]) for told in driver.escalations] == [("p", "aggregate:book p")]
    assert (driver.counts["purse"]["compensations"], driver.counts["book"]["rejected"]) == (3, 3)
    assert notes(driver) == []


def test_what_the_engine_wrote_is_folded_like_any_event(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=70), "p")
    late = driver.execute(Deposit(amount=1), "p", expected_sequence=0)  # folds to compare states
    assert (late.status, late.code) == ("accepted", "")
    assert driver.state("p", "purse").balance == 71


def test_an_aborted_root_goes_no_further(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=73), "p")
    driver.execute(Deposit(amount=1), "p")
    assert event_types(driver) == ["bank.v1.Deposited", "headrace.v1.Aborted", "bank.v1.Deposited"]
    assert "aborted" in driver.dead_letters("keeper")[0].error
    assert notes(driver) == []
    settle(driver, driver.dead_letters("keeper")[0], discard=True)
    assert notes(driver) == ["2"]
    assert Aborted.DESCRIPTOR.full_name == "headrace.v1.Aborted"


def test_without_a_handler_the_rejection_is_kept_visibly(driver: TopologyDriver) -> None:
    driver.execute(Deposit(amount=17), "p")
    (dead_letter,) = driver.dead_letters("purse")
    assert "compensates no bank.v1.Touch" in dead_letter.error
    assert "not to be touched" in dead_letter.error


def event_types(driver: TopologyDriver) -> list[str]:
    return [header(r, "ce_type") for r in driver.records(driver.topic("purse", "events"))]


# ---- facts


def record_fact(driver: TopologyDriver, fact: Stash, external_id: str | None, root: str = "p") -> Reply:
    headers: Headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", f"id-{len(driver.records(driver.topic('purse', 'facts')))}"),
        ("ce_source", "/test"),
        ("ce_type", fact.DESCRIPTOR.full_name),
        ("ce_replyto", "headrace.replies/0"),
    ]
    if external_id is not None:
        headers.append(("ce_factid", external_id))
    driver.produce(driver.topic("purse", "facts"), root.encode(), fact.SerializeToString(), headers)
    return Reply.FromString(driver.records("headrace.replies")[-1].value or b"")


def test_a_fact_is_recorded_once_for_its_external_id(driver: TopologyDriver) -> None:
    first = record_fact(driver, Stash(pocket="a", amount=5), "bank-1")
    again = record_fact(driver, Stash(pocket="a", amount=6), "bank-1")
    other = record_fact(driver, Stash(pocket="a", amount=7), "bank-2")
    assert [r.status for r in (first, again, other)] == [Reply.ACCEPTED] * 3
    assert (again.already_processed, again.events) == (True, first.events)
    assert driver.messages("p", "purse") == [Stashed(pocket="a", amount=5), Stashed(pocket="a", amount=7)]
    assert [header(r, "ce_factid") for r in driver.records(driver.topic("purse", "events"))] == ["bank-1", "bank-2"]


def test_bad_facts_are_refused_and_nothing_is_stored(driver: TopologyDriver) -> None:
    assert "ce_factid is missing" in record_fact(driver, Stash(), None).reason
    assert "records no bank.v1.Deposit" in record_fact(driver, Deposit(), "x").reason  # type: ignore[arg-type]
    rejecting = record_fact(driver, Stash(amount=-1), "y")
    assert (rejecting.status, "rejects a fact" in rejecting.reason) == (Reply.FAILED, True)
    assert driver.messages("p", "purse") == []
    assert len(driver.dead_letters("purse")) == 3


# ---- declarations


class Lost(Saga):
    name = "lost"
    source = "nowhere"

    @reacts
    def x(self, event: Deposited) -> None:
        return None


class Deaf(Saga):
    name = "deaf"
    source = "purse"

    @reacts
    def x(self, event: Annotated) -> Iterator[Send[Stash]]:
        yield from ()


class Mute(Saga):
    name = "purse"
    source = "book"


class Small(Aggregate[Account]):
    domain = "small"

    @handles
    def h(self, state: Account, command: Touch) -> None:
        return None

    @applies
    def a(self, state: Account, event: Annotate) -> None:
        return None


def test_mistakes_of_sagas_are_told_at_start() -> None:
    with pytest.raises(TopologyError) as caught:
        Topology(Purse, Small, Lost, Deaf, Mute)
    told = "\n".join(caught.value.mistakes)
    for part in (
        "Lost: reads events of unknown domain 'nowhere'",
        "Deaf.x: purse writes no bank.v1.Annotated",
        "Deaf.x: no aggregate handles bank.v1.Stash, which it sends",
        "Mute: has no method marked @reacts",
        "Mute: domain 'purse' is Purse's already",
    ):
        assert part in told
