"""The records of dead letters: what is kept of an input, and what settles them."""

from typing import Any

import pytest

from headrace import Names, Rejected
from headrace.schemas.headers import ATTEMPTS, CORRELATION, ID, ORIGIN, REPLAY_OF, TIME, TRACEPARENT, TYPE
from headrace.schemas.headrace_v1_pb2 import DeadLetter, Header, Settled
from headrace.schemas.record import Record
from headrace.streams.steps import dead_letters as module
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.dead_letters import DeadLetters, attempts, error_text, settling, to_record
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.errors import TooLarge
from headrace.testing.memory_store import MemoryStore
from tests.support.bank import reactions

COMMANDS, INBOX, DEAD = "main.purse.commands", "main.purse.inbox", "main.purse.dead-letters"


class Kept:
    """Dead letters of the purse."""

    def __init__(self) -> None:
        context = StepContext(Names(), "main", 3, 4, reply_partitions=1)
        self.batch = Batch(MemoryStore())
        self.its = DeadLetters("aggregate:purse", "purse", self.batch, context, Envelope("purse", context))

    def taken(self) -> tuple[dict[str, Any], Any, Any]:
        """Headers, key and value of the one record that was written."""
        ((topic, value, key, partition, headers),) = self.batch.outputs
        assert (topic, partition) == (DEAD, 3)
        self.batch.outputs.clear()
        return dict(headers or []), key, value

    def add(self, record: Record, error: BaseException, *, whole: bool = True) -> DeadLetter:
        self.its.add(record, error, whole=whole)
        return DeadLetter.FromString(self.taken()[2])


def record(topic: str = INBOX, **headers: bytes) -> Record:
    return Record(topic, 3, 9, 1_714_564_800_999, b"k", b"value", {ID: b"i", **headers})


def test_an_input_is_kept_as_it_was() -> None:
    kept = Kept()
    its = record()._replace(headers={ID: b"i", CORRELATION: b"co", TRACEPARENT: b"tr", "other": b"\xff"})
    kept.its.add(its, ZeroDivisionError("by nothing"))
    headers, key, value = kept.taken()
    assert (headers[TYPE], headers[ID], key) == ("headrace.v1.DeadLetter", f"{INBOX}/3/9", b"k")
    assert (headers[TIME], headers[CORRELATION], headers[TRACEPARENT]) == ("2024-05-01T12:00:00.999Z", b"co", b"tr")
    found = DeadLetter.FromString(value)
    assert to_record(found) == its
    assert (found.component, found.error_class, found.error) == ("aggregate:purse", "ZeroDivisionError", "by nothing")
    assert "ZeroDivisionError: by nothing" in found.detail
    assert (found.attempts, found.omitted) == (1, 0)
    assert found.first_failed == found.last_failed == its.timestamp
    for nothing in (its._replace(key=None), its._replace(value=None), its._replace(key=b"", value=b"")):
        assert to_record(kept.add(nothing, Rejected("no"))) == nothing


@pytest.mark.parametrize("error", [Rejected("no"), ValueError("no"), LookupError("no"), TooLarge("no")])
def test_the_text_of_an_expected_error_is_enough(error: Exception) -> None:
    assert Kept().add(record(), error).detail == ""


@pytest.mark.parametrize(("size", "omitted"), [(module._LARGEST, 0), (module._LARGEST + 1, 1)])
def test_what_is_too_large_is_kept_by_reference(size: int, omitted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST", 100)
    size -= 15 * 1024 * 1024 - 100
    its = record(other=b"o" * 20)
    its = its._replace(value=b"x" * (size - len(b"k") - len(ID) - len(b"i") - len("other") - 20))
    found = Kept().add(its, Rejected("no"))
    assert found.value == (b"" if omitted else its.value)
    assert found.omitted == (len(its.value or b"") if omitted else 0)
    assert found.value_missing is bool(omitted)


def test_a_reference_is_short_itself() -> None:
    kept = Kept()
    its = record(long=b"x" * 1025, fits=b"x" * 1024, empty=b"")
    its = its._replace(key=b"k" * 1025, headers={**its.headers, CORRELATION: b"c" * 1025, TRACEPARENT: b"t" * 1024})
    kept.its.add(its, Rejected("no"), whole=False)
    headers, key, value = kept.taken()
    assert (CORRELATION in headers, headers[TRACEPARENT], key) == (False, b"t" * 1024, b"k" * 1024)
    found = DeadLetter.FromString(value)
    assert ([header.key for header in found.headers], found.omitted) == ([ID, "fits", TRACEPARENT], 5)
    assert kept.add(its._replace(value=None, key=None), Rejected("no"), whole=False).omitted == -1


@pytest.mark.parametrize(
    ("text", "number"), [(b"2", 2), (b"99999", 99999), (b"100000", 0), (b"x", 0), (b"-1", 0), (b"", 0), (None, 0)]
)
def test_attempts_are_counted_where_the_header_can_be_trusted(text: bytes | None, number: int) -> None:
    its = record()
    if text is not None:
        its.headers[ATTEMPTS] = text  # type: ignore[index]
    assert attempts(its) == number
    kept = Kept().add(its, Rejected("no"))
    assert kept.attempts == number + 1
    assert attempts(to_record(kept)) == number
    assert Kept().add(its._replace(topic=COMMANDS), Rejected("no")).attempts == 1, "any client may say so"


def test_a_time_outs_id_says_where_it_was() -> None:
    kept = Kept()
    kept.its.add(record()._replace(offset=-1, headers={ID: b"timer/a/b/1\xff"}), Rejected("no"))
    assert kept.taken()[0][ID] == f"{INBOX}/3/timer/a/b/1\ufffd"


def test_an_errors_text_can_be_stored() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert error_text(ValueError("x" * 4001)) == "x" * 4000
    assert error_text(ValueError("a\ud800")) == "a?"
    assert error_text(Broken()) == "its text could not be made"
    assert len(Kept().add(record(), ZeroDivisionError("y" * 20_000)).detail) == 16_000


# ---- what settles them


def test_that_one_is_settled_is_said_and_counted_if_it_is_given_up() -> None:
    kept = Kept()
    for number, outcome in enumerate(("replayed", "discarded")):
        kept.its.settle(record()._replace(headers={REPLAY_OF: b"a/0/1\xff"}), outcome)
        headers, key, value = kept.taken()
        assert (headers[ID], headers[TYPE], key) == ("settled/a/0/1\ufffd", "headrace.v1.Settled", b"k")
        assert Settled.FromString(value) == Settled(dead_letter_id="a/0/1\ufffd", outcome=outcome)
        assert kept.batch.written().discarded == number


def settled(component: str, dead_letter: DeadLetter, *, discard: bool = False) -> Any:
    spec = reactions.timed.component(component)
    return settling("a/0/1", dead_letter, spec, Names(), "main", discard=discard)


def test_a_feeds_dead_letter_can_only_be_given_up() -> None:
    dead_letter = DeadLetter(topic="main.purse.events", key=b"k", value=b"v")
    assert settled("warden-feed", dead_letter) is None
    topic, value, key, headers = settled("warden-feed", dead_letter, discard=True)
    assert (topic, key, headers) == ("main.warden-feed.dead-letters", b"k", [(TYPE, b"headrace.v1.Settled")])
    assert Settled.FromString(value) == Settled(dead_letter_id="a/0/1", outcome="discarded")


def test_what_was_not_kept_whole_cannot_be_sent_again() -> None:
    dead_letter = DeadLetter(topic=COMMANDS, key=b"k", omitted=5)
    assert settled("purse", dead_letter) is None
    assert settled("purse", dead_letter, discard=True)[0] == INBOX


@pytest.mark.parametrize(
    ("topic", "before", "origin"),
    [(COMMANDS, b"main.purse.facts", COMMANDS), (INBOX, b"main.purse.facts", b"main.purse.facts"), (INBOX, b"", INBOX)],
)
def test_a_replay_says_where_its_input_was_first(topic: str, before: bytes, origin: str | bytes) -> None:
    """Only in an inbox is a replay to be believed."""
    headers = [Header(key=ID, value=b"i"), Header(key=REPLAY_OF, value=b"x/0/0"), Header(key=ORIGIN, value=before)]
    dead_letter = DeadLetter(topic=topic, key=b"k", value_missing=True, headers=headers, attempts=4)
    to, value, key, found = settled("purse", dead_letter)
    assert (to, value, key) == (INBOX, None, b"k")
    assert found == [(ID, b"i"), (REPLAY_OF, "a/0/1"), (ATTEMPTS, "4"), (ORIGIN, origin)]
    dead_letter.key_missing = True
    assert settled("purse", dead_letter)[2] is None
