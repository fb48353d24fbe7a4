"""When a sink may have missed deletions; above all, when it has not."""

from dataclasses import replace

import pytest

from headrace.connectors.connect.deletions import Begin, Unread, missed_because

HOUR = 3600 * 1000
DAY = 24 * HOUR
NOW = 1_800_000_000_000
BEHIND = Unread(next=50, first=0, end=100, oldest=NOW - HOUR, kept=DAY)
AWAY = replace(BEHIND, oldest=NOW - DAY - 1)
FRESH = Begin(at=NOW - HOUR, end=80)


@pytest.mark.parametrize(
    ("unread", "begin"),
    [
        (BEHIND, None),
        (replace(BEHIND, oldest=NOW - DAY), None),
        (replace(BEHIND, next=100, oldest=None), None),
        (replace(BEHIND, next=99, oldest=None), None),  # only the marker of a transaction
        (replace(BEHIND, next=-1, oldest=None), None),  # an empty topic
        (replace(BEHIND, next=-1), None),
        (replace(AWAY, next=-1), FRESH),  # it has just been made, for a topic with old records
        (AWAY, FRESH),  # it is still reading what was there
        (replace(BEHIND, next=90), replace(FRESH, at=NOW - 40 * DAY)),  # it has read that long since
        (replace(AWAY, oldest=None), replace(FRESH, at=NOW - 40 * DAY)),  # or there was none of it
        (replace(BEHIND, oldest=NOW + DAY), None),  # clocks differ
    ],
)
def test_no_false_alarm(unread: Unread, begin: Begin | None) -> None:
    assert missed_because(unread, begin, NOW) == ""


@pytest.mark.parametrize(
    ("unread", "begin", "reason"),
    [
        (AWAY, None, "its next record is of 2027-01-14T07:59:59.999Z, and the topic keeps deletions for 1 day, 0:00"),
        (replace(AWAY, next=80), FRESH, "its next record is of"),
        (replace(AWAY, next=-1), None, "its next record is of"),  # brokers have forgotten its place
        (BEHIND, Begin(NOW - 30 * HOUR, 80), "it has read for 1 day, 6:00:00 without coming to the end, and the topic"),
        (replace(BEHIND, next=101), None, "the log ends before its place: the topic was made again"),
        (replace(BEHIND, first=51), None, "records after its place were deleted"),
        (replace(BEHIND, next=100, oldest=None), Begin(NOW, 0, "it was away"), "it was away"),
    ],
)
def test_it_must_be_reset(unread: Unread, begin: Begin | None, reason: str) -> None:
    assert missed_because(unread, begin, NOW).startswith(reason)


def test_what_is_noted_is_read_as_it_was() -> None:
    begin = Begin(NOW, 7, "it was “away”")
    assert Begin.parse(7, begin.metadata()) == begin
    for damaged in (None, "", "{}", "[]", "x", '{"at": "x", "missed": ""}'):
        assert Begin.parse(7, damaged) is None
