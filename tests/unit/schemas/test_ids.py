"""Ids as they are printed and read, and times and keys as they are written: other languages need these very forms."""

from typing import Any

import pytest

from headrace.schemas import record, stored_event
from headrace.schemas.codecs import PROTOBUF
from headrace.schemas.headers import ID, SOURCE, SPECVERSION, TYPE
from headrace.schemas.ids import (
    CommandRef,
    DeadLetterRef,
    EventRef,
    IssuerRef,
    ReadRef,
    RejectionRef,
    ReplyTarget,
    ReportTarget,
    TimerRef,
)
from headrace.schemas.stored_event import StoredEvent

FORMS: list[tuple[Any, str]] = [
    (EventRef("/main/purse", "a/b:c", 7), "/main/purse/a/b:c:7"),
    (CommandRef("/main/purse/p>q:7", "keeper", 3), "/main/purse/p>q:7>keeper/3"),
    (DeadLetterRef("main.purse.inbox", 3, "17"), "main.purse.inbox/3/17"),
    (DeadLetterRef("main.purse.inbox", 0, "timer/a/b/1"), "main.purse.inbox/0/timer/a/b/1"),
    (TimerRef("a/b", "late", 1700), "timer/a/b/late/1700"),
    (TimerRef("a", "", 0), "timer/a//0"),
    (IssuerRef("keeper", "a:b"), "keeper:a:b"),
    (ReplyTarget("a/replies", 3), "a/replies/3"),
]
OTHERS = {
    EventRef: (
        *("", "/m", "purse/p:7", "x/main/purse/p:7", "//purse/p:7", "/main//p:7", "/main/purse/:7", "/main/purse/p"),
        *("/main/purse/p:", "/main/purse/p:-1", "/main/purse/p:x", "/main/purse"),
    ),
    CommandRef: ("", "cause", ">keeper/3", "cause>/3", "cause>keeper", "cause>keeper/", "cause>keeper/x", "c>k/3/4"),
    DeadLetterRef: ("", "topic", "topic/3", "topic/3/", "/3/17", "topic/x/17", "topic//17"),
    TimerRef: ("", "timer", "time/a/b/1", "timer/a/1", "timer//b/1", "timer/a/b/x", "timer/a/b/", "timer/a/b/-1"),
    IssuerRef: ("", "keeper", ":root", "keeper:"),
    ReplyTarget: ("", "replies", "/3", "replies/", "replies/x", "replies/1234567890", "replies/-1"),
}


@pytest.mark.parametrize(("made", "text"), FORMS, ids=[text for _, text in FORMS])
def test_ids_are_read_as_they_are_printed(made: Any, text: str) -> None:
    assert str(made) == text
    assert type(made).parse(text) == made


@pytest.mark.parametrize("number", ["9" * 5000, "\u0663", "\u0967", "+1", "1_0", " 1"], ids=ascii)
def test_a_number_that_only_python_reads_or_that_it_refuses_to_read_is_no_id(number: str) -> None:
    assert EventRef.parse(f"/main/purse/p:{number}") is None
    assert CommandRef.parse(f"cause>keeper/{number}") is None
    assert DeadLetterRef.parse(f"topic/{number}/17") is None
    assert TimerRef.parse(f"timer/a/late/{number}") is None
    assert ReplyTarget.parse(f"replies/{number}") is None
    assert ReportTarget.parse(f"reports/{number}/c-1") is None


@pytest.mark.parametrize(("form", "text"), [(form, text) for form, texts in OTHERS.items() for text in texts])
def test_other_texts_are_no_ids(form: Any, text: str) -> None:
    assert form.parse(text) is None


def test_the_parts_of_an_events_id() -> None:
    event = EventRef("/main/purse", "p", 7)
    assert (event.id, event.component) == ("p:7", "purse")
    assert str(ReadRef("/main/purse/p:7", "warden", 1)) == "/main/purse/p:7?warden/1"
    assert str(RejectionRef("c")) == "rejection/c"
    assert ReplyTarget.parse("replies/123456789") == ReplyTarget("replies", 123456789)


# ---- records


GOOD = {SPECVERSION: b"1.0", ID: b"i", SOURCE: b"s", TYPE: b"t"}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        *(({name: value}, f"header {name} is missing") for name in GOOD for value in (None, b"")),
        ({SPECVERSION: b"0.3"}, "ce_specversion is b'0.3'; only 1.0 is understood"),
        ({"ce_other": b"\xff"}, "a header is not UTF-8"),
    ],
)
def test_a_record_that_is_no_cloudevent_is_refused(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(record.RecordError, match=why):
        record.read(b"", {**GOOD, **changed})


def test_attributes_that_are_absent_are_empty() -> None:
    found = record.read(None, {**GOOD, "ce_a": b"1", "other": b"2", "ce_null": None})  # type: ignore[arg-type]
    assert found == record.CloudEvent("i", "s", "t", extensions={"a": "1"})
    assert found.headers() == [(SPECVERSION, "1.0"), (ID, "i"), (SOURCE, "s"), (TYPE, "t"), ("ce_a", "1")]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (1_714_564_800_999, "2024-05-01T12:00:00.999Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_have_three_decimals_and_four_digits_for_the_year(milliseconds: int, text: str) -> None:
    assert record.rfc3339(milliseconds) == text
    assert record.milliseconds(text) == min(max(milliseconds, 0), 253_402_300_799_999)


def test_a_time_without_a_zone_is_no_time() -> None:
    assert record.milliseconds("2024-05-01T14:00:00.5+02:00") == 1_714_564_800_500
    with pytest.raises(ValueError, match="names no time zone"):
        record.milliseconds("2024-05-01T12:00:00")


# ---- events in the store


def test_events_are_kept_by_root_and_sequence() -> None:
    key = stored_event.event_key("a|b", 7)
    assert key == "a|b|00000000000000000007"
    assert stored_event.split_event_key(key.encode()) == (b"a|b", 7)
    assert stored_event.root_of(key.encode()) == b"a|b"
    assert stored_event.root_of(b"plain") == stored_event.root_of(None) == b""
    with pytest.raises(ValueError, match="invalid literal"):
        stored_event.split_event_key(b"plain")


def test_an_event_comes_back_as_it_was_stored() -> None:
    stored = StoredEvent(b"T", b"7", b"t", b"ca", b"co", b"f", b"application/json", b"x\0y\0")
    assert stored_event.unpack(stored.pack()) == stored
    first, second = stored_event.to_events([stored.pack(), stored.pack()], 4)
    assert (first.sequence, second.sequence) == (4, 5)
    assert (first.type, first.time, first.data, first.content_type) == ("T", "t", b"x\0y\0", "application/json")
    assert (first.causation_id, first.correlation_id, first.fact_id) == ("ca", "co", "f")


def test_protobuf_is_what_it_is_unless_something_is_said() -> None:
    assert stored_event.stored_content_type(None) == stored_event.stored_content_type(PROTOBUF.encode()) == b""
    assert stored_event.stored_content_type(b"application/json") == b"application/json"
