"""A projector at work: what it writes, what goes wrong in one document, and what does not go wrong in the others."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from headrace import Projector, Topology, projects
from headrace.schemas.changelog import QUEUE
from headrace.schemas.documents import DOCUMENTS, DocumentCodec
from headrace.schemas.headers import (
    CAUSATION,
    CONTENT_TYPE,
    CORRELATION,
    ID,
    REPLAY_OF,
    REQUIRED,
    SOURCE,
    SPECVERSION,
    SUBJECT,
    TYPE,
)
from headrace.schemas.record import RecordError
from headrace.testing.request import raw
from tests.support.bank import messages_pb2 as pb
from tests.support.bank import reactions
from tests.support.bank.accounts import Accounts
from tests.support.bank.projectors import Card
from tests.support.projector_fixture import StepUnderTest, event, without_header

QUEUED = QUEUE.decode()


@pytest.fixture
def cards() -> StepUnderTest:
    return StepUnderTest(reactions.projected, "cards-v1")


@pytest.fixture
def healed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call it, and poison is none any more."""
    return lambda: monkeypatch.setenv("BANK_HEALED", "1")


def deposited(amount: int, balance: int, root: str = "r", number: int = 0) -> Any:
    return event(pb.Deposited(amount=amount, balance=balance), root, number)


def noted(note: str, root: str = "r", number: int = 0) -> Any:
    return event(pb.Annotated(note=note), root, number)


# ---- what it writes


def test_a_batch_writes_each_document_once_as_it_is_in_the_end(cards: StepUnderTest) -> None:
    written = cards.run(
        event(pb.Opened(owner="Ann"), "a", 0), deposited(5, 5, "a", 1), deposited(7, 7, "b"), deposited(1, 6, "a", 2)
    )
    assert [key for _, _, key, _, _ in written.on("documents")] == [b"a", b"b"]
    assert written.documents() == {
        "a": {"owner": "Ann", "balance": 6, "deposits": 2, "notes": []},
        "b": {"owner": "", "balance": 7, "deposits": 1, "notes": []},
    }


def test_a_document_says_what_it_is_and_why(cards: StepUnderTest) -> None:
    (topic, value, key, partition, headers), *_ = cards.run(deposited(5, 5, "a", 3)).outputs
    assert (topic, key, partition) == ("main.cards-v1.documents", b"a", 0)
    assert value == b'{"owner":"","balance":5,"deposits":1,"notes":[]}'
    found = raw(headers or [])
    assert found[SOURCE] == b"/main/cards-v1"
    assert found[TYPE] == b"cards.v1"
    assert found[CONTENT_TYPE] == b"application/json"
    assert found[SUBJECT] == b"a"
    assert found[ID] == b"/main/account/a:3>a"
    assert (found[CAUSATION], found[CORRELATION]) == (b"/main/account/a:3", b"trip")


def test_the_fingerprint_of_the_type_is_written_once_also_where_there_is_no_document(cards: StepUnderTest) -> None:
    cards.step.record_positions(b"where it begins")
    cards.commit()
    assert cards.store.entry(DOCUMENTS) == f"{DocumentCodec(Card).fingerprint} account".encode()
    cards.step.record_positions(b"further")
    again = cards.run(deposited(1, 2, number=1))
    assert DOCUMENTS not in [key for _, _, key, _, _ in again.outputs]


def test_events_without_a_method_change_nothing(cards: StepUnderTest) -> None:
    written = cards.run(event(pb.Swollen(), "a"), event(pb.Stashed(pocket="l"), "a", 1))
    assert not written.on("documents")
    assert not written.on("dead-letters")


def test_what_is_deleted_is_gone_and_the_next_event_begins_anew(cards: StepUnderTest) -> None:
    cards.run(event(pb.Opened(owner="Ann"), "a", 0), deposited(5, 5, "a", 1))
    (gone,) = cards.run(noted("close", "a", 2)).on("documents")
    assert gone[1:3] == (None, b"a")
    assert raw(gone[4] or [])[ID] == b"/main/account/a:2>a"
    assert cards.store.document(b"a") is None
    assert cards.run(deposited(5, 10, "a", 3)).documents()["a"] == {
        "owner": "",
        "balance": 10,
        "deposits": 1,
        "notes": [],
    }


def test_deleted_and_begun_anew_within_one_batch(cards: StepUnderTest) -> None:
    written = cards.run(deposited(5, 5, "a", 0), noted("close", "a", 1), deposited(2, 2, "a", 2))
    assert written.documents()["a"]["deposits"] == 1
    written = cards.run(deposited(2, 4, "a", 3), noted("close", "a", 4))
    assert written.documents() == {}
    assert cards.store.documents == {}


def test_deleting_what_is_not_there_harms_nothing(cards: StepUnderTest) -> None:
    written = cards.run(noted("close", "a"))
    assert (written.documents(), written.errors) == ({}, [])


# ---- what goes wrong


@pytest.mark.parametrize("missing", [ID, SOURCE, SPECVERSION])
def test_an_event_with_an_incomplete_envelope_is_not_overtaken(cards: StepUnderTest, missing: str) -> None:
    """It is dead as any other one: its document waits, and a replay of what is still incomplete changes nothing."""
    written = cards.run(deposited(1, 1), without_header(deposited(1, 2, number=1), missing), deposited(1, 3, number=2))
    assert written.errors == [f"RecordError: header {missing} is missing; a record needs {', '.join(REQUIRED)}"]
    assert written.documents()["r"] == {"owner": "", "balance": 1, "deposits": 1, "notes": []}
    assert cards.count(QUEUED) == 2
    assert len(cards.run(cards.settling()).dead) == 1
    assert cards.run(cards.settling(1, discard=True)).documents()["r"]["balance"] == 3


def test_events_before_a_bad_one_of_the_same_batch_stay(cards: StepUnderTest) -> None:
    """The document is made again from the latest that was written, by the events since then: also after a deletion."""
    cards.run(deposited(5, 5))
    written = cards.run(
        deposited(1, 6, number=1),
        noted("poison", number=2),
        noted("poison", "other"),
        noted("close", "third"),
        deposited(1, 1, "third"),
        noted("poison", "third"),
    )
    assert len(written.errors) == 3
    assert written.documents() == {
        "r": {"owner": "", "balance": 6, "deposits": 2, "notes": []},
        "third": {"owner": "", "balance": 1, "deposits": 1, "notes": []},
    }


def test_a_document_is_written_once_a_batch_however_many_events_it_has(
    cards: StepUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[Any] = []
    encode = DocumentCodec[Any].encode

    def counted(codec: DocumentCodec[Any], one: Any) -> bytes:
        encoded.append(one)
        return encode(codec, one)

    monkeypatch.setattr(DocumentCodec, "encode", counted)
    written = cards.run(*[deposited(1, number, number=number) for number in range(50)])
    assert (len(encoded), len(written.on("documents"))) == (1, 1)


@pytest.mark.parametrize(
    ("note", "error"),
    [
        ("poison", "ZeroDivisionError: as noted"),
        ("type", 'DocumentError: b\'{"owner":"","balance":6,"deposits":2,"notes":["type",7]'),
        ("return", "HandlerError: Cards.annotated returned Card; it changes the document that it is given"),
        ("large", "TooLarge: document bad of 11000"),
    ],
)
def test_a_bad_event_leaves_its_document_as_it_was_and_parks_the_next_ones(
    cards: StepUnderTest, note: str, error: str
) -> None:
    cards.run(deposited(5, 5, "bad"))
    before = cards.store.document(b"bad")
    written = cards.run(
        deposited(1, 6, "bad", 1), noted(note, "bad", 2), deposited(1, 7, "bad", 3), deposited(9, 9, "good")
    )
    assert written.errors[0].startswith(error)
    assert written.documents()["good"]["balance"] == 9
    assert written.documents()["bad"] == {"owner": "", "balance": 6, "deposits": 2, "notes": []}
    assert before != cards.store.document(b"bad")
    assert cards.run(deposited(1, 8, "bad", 4)).documents() == {}
    assert cards.count(QUEUED) == 3


def test_a_batch_that_is_rolled_back_leaves_no_trace(cards: StepUnderTest) -> None:
    cards.run(deposited(5, 5))
    for record in (deposited(1, 6, number=1), noted("poison", number=2), deposited(1, 7, number=3)):
        cards.step.handle(record)
    cards.step.rolled_back()
    assert cards.run(deposited(1, 6, number=1)).documents()["r"] == {
        "owner": "",
        "balance": 6,
        "deposits": 2,
        "notes": [],
    }


def test_replay_heals_in_order(cards: StepUnderTest, healed: Any) -> None:
    cards.run(noted("first", number=0), noted("poison", number=1), noted("second", number=2), noted("third", number=3))
    still = cards.run(cards.settling())
    assert (still.settled, len(still.dead)) == (["replayed"], 1)
    assert cards.log.dead[-1][1].attempts == 2
    healed()
    cards.run(noted("fourth", number=4))
    written = cards.run(cards.settling(1))
    assert written.settled == ["replayed"]
    assert written.documents()["r"]["notes"] == ["first", "poison", "second", "third", "fourth"]
    assert cards.run(noted("fifth", number=5)).documents()["r"]["notes"][-1] == "fifth"
    assert cards.count(QUEUED) == 0


def test_a_replay_twice_is_a_replay_once(cards: StepUnderTest, healed: Any) -> None:
    cards.run(noted("poison"), noted("second", number=1))
    healed()
    again = cards.settling()
    assert cards.run(again, again).documents()["r"]["notes"] == ["poison", "second"]
    assert cards.run(again).documents() == {}


def test_discard_lets_the_others_go(cards: StepUnderTest) -> None:
    cards.run(noted("first"), noted("poison", number=1), noted("second", number=2))
    written = cards.run(cards.settling(discard=True))
    assert written.settled == ["discarded"]
    assert written.documents()["r"]["notes"] == ["first", "second"]
    assert cards.count(QUEUED) == 0


def test_behind_a_second_poisoned_event_the_rest_waits_again(cards: StepUnderTest) -> None:
    cards.run(noted("poison"), noted("between", number=1), noted("poison", number=2), noted("last", number=3))
    written = cards.run(cards.settling(discard=True))
    assert written.documents()["r"]["notes"] == ["between"]
    assert [one.offset for _, one in written.dead] == [2]
    assert cards.count(QUEUED) == 2
    written = cards.run(cards.settling(1, discard=True))
    assert written.documents()["r"]["notes"] == ["between", "last"]


def test_parked_documents_survive_a_restart_and_the_loss_of_the_store(cards: StepUnderTest, healed: Any) -> None:
    cards.run(noted("first"), noted("poison", number=1), noted("second", number=2))
    cards.restart(cards.rebuilt())
    assert cards.run(noted("third", number=3)).documents() == {}
    healed()
    assert cards.run(cards.settling()).documents()["r"]["notes"] == ["first", "poison", "second", "third"]


def test_a_refused_record_parks_its_document(cards: StepUnderTest) -> None:
    cards.step.refuse(deposited(1, 1), RecordError("a header cannot be read"))
    written = cards.run(deposited(1, 2, number=1), deposited(1, 1, "other"))
    assert written.errors == ["RecordError: a header cannot be read"]
    assert list(written.documents()) == ["other"]
    assert cards.run(cards.settling(discard=True)).documents()["r"]["balance"] == 2


def test_a_refused_record_that_it_does_not_read_parks_nothing(cards: StepUnderTest) -> None:
    cards.step.refuse(event(pb.Swollen(), "r"), RecordError("a header cannot be read"))
    assert cards.run(deposited(1, 1, number=1)).documents()["r"]["balance"] == 1


def test_a_record_without_a_key_is_dead_and_holds_up_nobody(cards: StepUnderTest) -> None:
    written = cards.run(without_header(deposited(1, 1), SUBJECT)._replace(key=None), deposited(2, 2, "b"))
    assert written.errors == ["RecordError: the record has no key; the key is the root that the command is for"]
    assert list(written.documents()) == ["b"]


@pytest.mark.parametrize("value", [b"\xff", b"\x0a\xff"])
def test_bytes_that_are_no_message_are_dead(cards: StepUnderTest, value: bytes) -> None:
    written = cards.run(deposited(1, 1)._replace(value=value), deposited(1, 1, "b"))
    assert len(written.errors) == 1
    assert list(written.documents()) == ["b"]


# ---- forged records


def test_in_the_inbox_of_a_direct_projector_only_operators_are_heard(cards: StepUnderTest) -> None:
    forged = deposited(1_000, 1_000)._replace(topic="main.cards-v1.inbox", key=b"r")
    written = cards.run(forged, forged._replace(headers={**forged.headers, REPLAY_OF: b"main.account.events/0/7"}))
    assert written.documents() == {}
    assert written.outputs == []
    cards.step.refuse(forged, RecordError("a header cannot be read"))
    cards.commit()
    assert cards.run(deposited(5, 5)).documents()["r"]["balance"] == 5, "a forged record parks nothing"


def test_a_replay_brings_the_event_that_was_kept_not_the_one_that_came(cards: StepUnderTest, healed: Any) -> None:
    cards.run(noted("poison"))
    healed()
    forged = cards.settling()._replace(value=pb.Annotated(note="forged").SerializeToString())
    assert cards.run(forged).documents()["r"]["notes"] == ["poison"]


# ---- values that JSON does not hold


@dataclass
class Loose:
    ratio: float = 0.0
    anything: Any = None
    names: list[str] = field(default_factory=list)


class Loosely(Projector[Loose]):
    name = "loosely"

    @projects
    def noted(self, document: Loose, event: pb.Annotated) -> None:
        values: dict[str, Any] = {"nan": float("nan"), "infinite": float("inf"), "bytes": b"x", "object": object()}
        if event.note in ("nan", "infinite"):
            document.ratio = values[event.note]
        elif event.note == "list":
            document.names.append(7)  # type: ignore[arg-type]
        elif event.note == "loop":
            document.anything = document
        else:
            document.anything = values.get(event.note, event.note)


@pytest.mark.parametrize("note", ["nan", "infinite", "bytes", "object", "list", "loop"])
def test_what_json_does_not_hold_is_found_at_once(note: str) -> None:
    step = StepUnderTest(Topology(Accounts, Loosely), "loosely-v1")
    written = step.run(noted("fine"), noted(note, number=1), noted("other", "b"))
    (error,) = written.errors
    assert error.startswith("DocumentError: ")
    assert {name: one["anything"] for name, one in written.documents().items()} == {"r": "fine", "b": "other"}
    assert json.loads(step.store.documents[b"r"])["ratio"] == 0
