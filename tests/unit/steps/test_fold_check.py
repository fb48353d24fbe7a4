"""Whether snapshots are what the log makes, as `headrace check --against-log` finds out."""

from headrace import Topology
from headrace.streams.steps.fold_check import Difference, FoldCheck, Unreadable
from headrace.testing import TopologyDriver
from tests.support.purse import Fill, Filled, Note, Spend, announced, before, forgetful, repaired, today


def written(release: Topology) -> TopologyDriver:
    driver = TopologyDriver(release, partitions=1)
    for root, coins in (("anna", 5), ("bert", 7)):
        driver.execute(Fill(coins=coins), root, domain="purse")
        driver.execute(Spend(coins=20), root, domain="purse")
    driver.execute(Note(text="well"), "carl", domain="purse") if release is before else None
    return driver


def checked(driver: TopologyDriver, release: Topology, most: int = 100, chunk: int = 100) -> FoldCheck:
    """The log as it is read: all snapshots, then events in chunks."""
    check, (store,) = FoldCheck(release.component("purse")), driver._runtime.stores_of("purse")
    for root, value in store.snapshots.items():
        check.add_snapshot(root, value)
    for root in store.snapshots:
        events = list(enumerate(store.history(root, 0, most)))
        for start in range(0, len(events), chunk):
            check.add_events(root, events[start : start + chunk])
    check.finish()
    return check


def test_the_same_release_finds_nothing() -> None:
    for chunk in (1, 100):
        check = checked(written(today), today, chunk=chunk)
        assert (check.roots, check.events, check.compared, check.outdated) == (2, 4, 2, 0)
        assert (check.differences, check.unreadable) == ([], [])


def test_the_next_release_reads_the_same_states_through_its_upcasters() -> None:
    check = checked(written(before), today)
    assert (check.roots, check.events, check.compared, check.outdated) == (3, 5, 3, 3)
    assert (check.differences, check.unreadable) == ([], [])


def test_a_repaired_method_leaves_snapshots_that_would_be_used() -> None:
    check = checked(written(today), repaired)
    assert check.differences == [
        Difference("anna", 1, ("spent",), in_use=True),
        Difference("bert", 1, ("spent",), in_use=True),
    ]


def test_with_another_version_they_would_not() -> None:
    check = checked(written(today), announced)
    assert [one.in_use for one in check.differences] == [False, False]
    assert check.outdated == 2


def test_events_that_cannot_be_read_are_named() -> None:
    driver = written(before)
    driver.execute(Fill(coins=13), "bert", domain="purse")
    check = checked(driver, today)
    text = "UpcastFailed: PursePast.second cannot lift event 2 of bert, purse.v1.Filled2: ValueError: thirteen"
    assert check.unreadable == [Unreadable("bert", text)]
    unknown = checked(driver, forgetful).unreadable
    assert [one.root for one in unknown] == ["anna", "bert", "carl"]
    assert "no @applies method for purse.v1.Filled1, which the log holds as event 0 of anna" in unknown[0].reason


def test_a_log_that_ends_too_early_or_has_a_gap_is_told() -> None:
    driver = written(today)
    short = checked(driver, today, most=0).unreadable
    assert short[0] == Unreadable("anna", "the snapshot is of event 1; the log ends with event 0")
    gap, (store,) = FoldCheck(today.component("purse")), driver._runtime.stores_of("purse")
    (value,) = store.history(b"anna", 1, 1)
    gap.add_events(b"anna", [(1, value)])
    gap.add_events(b"bert", [(0, None)])
    assert gap.unreadable == [
        Unreadable("anna", "event 0 is not on the log"),
        Unreadable("bert", "event 0 is not on the log"),
    ]


def test_events_since_the_snapshot_must_be_readable_too() -> None:
    driver = written(today)
    check, (store,) = FoldCheck(today.component("purse")), driver._runtime.stores_of("purse")
    for root, value in store.snapshots.items():
        check.add_snapshot(root, value)
    driver.execute(Fill(coins=1), "anna", domain="purse")
    events = list(enumerate(store.history(b"anna", 0, 9)))
    unknown = b"purse.v1.Stored" + events[2][1].removeprefix(Filled.DESCRIPTOR.full_name.encode())
    check.add_events(b"anna", [*events[:2], (2, unknown)])
    (one,) = check.unreadable
    assert "purse.v1.Stored, which the log holds as event 2 of anna" in one.reason
    assert check.compared == 1
