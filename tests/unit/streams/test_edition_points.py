"""Where an edition begins, as people write it; names that it may have; which ones are pruned."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.record import rfc3339
from headrace.streams.client.editions import at_text
from headrace.streams.editions.at import At, parse_at, parse_duration
from headrace.streams.editions.deletion import to_prune
from headrace.streams.editions.record import DELETED, DELETING, LIVE, Edition
from headrace.topology.names import Names

NOON = int(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp() * 1000)


def test_points_are_a_time_and_sequences() -> None:
    texts = ["2026-11-27T12:00:00Z", "hand/h-17:41", "hand/a/b:c:0", "table:7", "player/anna:-1"]
    roots = {("hand", "h-17"): 41, ("hand", "a/b:c"): 0, ("player", "anna"): -1}
    assert parse_at(texts) == At(NOON, {"table": 7}, roots)
    assert parse_at([]) == At()
    assert parse_at(["2026-11-27T13:00+01:00"]) == At(NOON)


@given(st.integers(0, 253_402_300_799_999))
def test_a_moment_is_the_same_to_the_millisecond(moment: int) -> None:
    """A time as a float loses one in a hundred."""
    assert parse_at([rfc3339(moment)]).moment == moment
    exact = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)
    assert parse_at([at_text(exact)]).moment == moment


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        (["2026-11-27T12:00"], "needs a zone"),
        (["hand/h-17"], "DOMAIN/ROOT:SEQUENCE"),
        (["hand/h-17:x"], "DOMAIN/ROOT:SEQUENCE"),
        (["hand:-2"], "DOMAIN/ROOT:SEQUENCE"),
        (["yesterday"], "DOMAIN/ROOT:SEQUENCE"),
        (["2026-11-27T12:00Z", "2026-11-27T13:00Z"], "one time"),
    ],
)
def test_a_point_that_is_none_is_refused(texts: list[str], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse_at(texts)


def test_durations() -> None:
    durations = [90_000, 1_800_000, 43_200_000, 604_800_000]
    assert [parse_duration(text) for text in ("90s", "30m", "12h", "7d")] == durations
    for text in ("7", "d", "0d", "-1d", "1w", "1.5h"):
        with pytest.raises(ValueError, match="no duration"):
            parse_duration(text)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("Trial", "cannot name"),
        ("tri.al", "cannot name"),
        ("", "cannot name"),
        ("main", "reserved"),
        ("headrace", "reserved"),
        ("hand", "is a component"),
        ("shop", "part of the prefix"),
        ("e" * 240, "too long by 20"),
    ],
)
def test_names_that_no_edition_may_have(name: str, what: str) -> None:
    assert what in Names("shop.").edition_problem(name, ["hand", "table"])
    assert Names("shop.").edition_problem("trial", ["hand", "table"]) == ""


def edition(name: str, parent: str = "main", expires: int | None = None, state: str = LIVE) -> Edition:
    return Edition(name, f"id-{name}", parent, expires=expires, state=state)


def test_what_has_expired_is_pruned_children_first() -> None:
    editions = [
        edition("a", expires=5),
        edition("b", "a", expires=5),
        edition("c", "b", expires=4),
        edition("kept", expires=5),
        edition("child", "kept"),
        edition("stopped", state=DELETING),
        edition("gone", expires=1, state=DELETED),
        edition("later", expires=6),
    ]
    assert to_prune({one.name: one for one in editions}, 5) == ["c", "stopped", "b", "a"]
