"""Editions as the registry records them."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.streams.editions.record import DELETED, DELETING, LIVE, Edition, from_bytes, parsed, to_bytes
from headrace.topology.cut import Cut

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
TIMES = st.integers(0, 2**50)
CUTS = st.builds(
    Cut,
    st.none() | TIMES,
    st.dictionaries(NAMES, st.integers(-1, 10**9), max_size=3),
    st.dictionaries(st.tuples(NAMES, st.text("äb|:", min_size=1)), st.integers(-1, 10**9), max_size=3),
)
EDITIONS = st.builds(
    Edition,
    name=NAMES.filter(lambda name: name != "main"),
    id=NAMES,
    parent=NAMES,
    cut=CUTS,
    created=TIMES,
    expires=st.none() | TIMES.filter(bool),
    note=st.text("aü \n"),
    projections=st.lists(NAMES, max_size=2).map(tuple),
    state=st.sampled_from([LIVE, DELETING, DELETED]),
)


@given(EDITIONS)
def test_an_edition_is_read_as_it_was_written(edition: Edition) -> None:
    assert from_bytes(to_bytes(edition)) == edition
    assert parsed({edition.name.encode(): to_bytes(edition)}) == {edition.name: edition}


def test_a_record_that_is_no_edition_harms_only_itself() -> None:
    trial = Edition("trial", "1")
    rows = {
        b"trial": to_bytes(trial),
        b"other": to_bytes(Edition("trial", "2")),
        b"main": to_bytes(Edition("main", "3")),
        b"Trial.x": to_bytes(Edition("Trial.x", "4")),
        b"garbage": b"\xff",
        b"early": to_bytes(Edition("early", "5", cut=Cut(1))).replace(b"early", b"nobid"),
        b"no-id": to_bytes(Edition("no-id", "")),
    }
    assert parsed(rows) == {"trial": trial}


def test_an_edition_expires_at_its_time() -> None:
    assert not Edition("a", "1").expired(10**15)
    edition = Edition("a", "1", expires=5)
    assert [edition.expired(now) for now in (4, 5, 6)] == [False, True, True]
