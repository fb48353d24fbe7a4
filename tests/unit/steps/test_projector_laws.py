"""Documents are the fold of the events: however batches end, whatever is killed, in whatever order roots come."""

import os
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.schemas.changelog import QUEUE
from headrace.schemas.record import Record
from tests.support.bank import messages_pb2 as pb
from tests.support.bank import reactions
from tests.support.projector_fixture import FedProjector, Log, StepUnderTest, event

Documents = dict[str, dict[str, Any]]
AMOUNTS = st.integers(0, 9)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(pb.Opened, owner=st.sampled_from(["Ann", "Bob"])),
    st.builds(pb.Deposited, amount=AMOUNTS, balance=AMOUNTS),
    st.builds(pb.Withdrawn, amount=AMOUNTS, balance=AMOUNTS),
    st.builds(pb.Annotated, note=st.sampled_from(["one", "two", "close"])),
    st.builds(pb.Stashed, pocket=st.sampled_from(["l", "r", "l/r", "r/l/r"]), amount=AMOUNTS),
    st.just(pb.Swollen()),
)
POISON: st.SearchStrategy[Message] = st.one_of(
    st.just(pb.Annotated(note="poison")),
    st.builds(pb.Stashed, pocket=st.sampled_from(["l", "l/r"]), amount=st.just(-1)),
)
Story = list[tuple[str, Message]]
"""Roots with their events."""


def stories(*kinds: st.SearchStrategy[Message]) -> st.SearchStrategy[Story]:
    return st.lists(st.tuples(st.sampled_from("ab"), st.one_of(*kinds)), max_size=25)


CUTS = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["commit", "abort", "kill", "lose"])), max_size=12)
"""How many records a batch has, and what becomes of it: aborted and read again, cut off, or cut off with its store."""


def on_the_log(story: Story) -> list[Record]:
    """The events, each numbered in its root."""
    numbers: dict[str, int] = defaultdict(int)
    found = []
    for root, message in story:
        found.append(event(message, root, numbers[root]))
        numbers[root] += 1
    return found


def cards_of(story: Story) -> Documents:
    """By a fold of the test's own."""
    found: Documents = {}
    for root, told in story:
        if isinstance(told, pb.Annotated) and told.note == "close":
            found.pop(root, None)
        elif isinstance(told, pb.Opened | pb.Deposited | pb.Withdrawn | pb.Annotated):
            card = found.setdefault(root, {"owner": "", "balance": 0, "deposits": 0, "notes": []})
            card["owner"] = getattr(told, "owner", card["owner"])
            card["balance"] = getattr(told, "balance", card["balance"])
            card["deposits"] += isinstance(told, pb.Deposited)
            card["notes"] += [told.note] if isinstance(told, pb.Annotated) else []
    return found


def pockets_of(story: Story) -> Documents:
    found: Documents = {}
    for _, told in story:
        for name in set(told.pocket.split("/")) if isinstance(told, pb.Stashed) else ():
            pocket = found.setdefault(name, {"amount": 0, "stashed": 0})
            pocket["amount"] += told.amount  # type: ignore[attr-defined]
            pocket["stashed"] += 1
    return found


def play(step: StepUnderTest, records: Sequence[Record], cuts: Sequence[tuple[int, str]]) -> None:
    """Handle all records, in batches that may have to be begun again."""
    left, ends = list(records), iter(cuts)
    while left:
        size, end = next(ends, (len(left), "commit"))
        for record in left[:size]:
            step.step.handle(record)
        if end == "commit":
            step.commit()
            del left[:size]
        elif end == "abort":
            step.step.rolled_back()
        else:
            step.restart(step.rebuilt() if end == "lose" else None)
        assert {name.decode() for name in step.store.documents} == set(step.log.documents())


def settle_all(step: StepUnderTest, *, discard: bool) -> None:
    """What an operator does until nothing waits; of a document's dead letters the oldest comes first."""
    seen = 0
    while seen < len(step.log.dead):
        step.run(step.settling(seen, discard=discard))
        seen += 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories(MESSAGES), CUTS)
def test_documents_are_the_fold_however_batches_end(story: Story, cuts: list[tuple[int, str]]) -> None:
    """A rebuild is what was kept event by event; so is what a restart, or the log alone, makes of it."""
    step = StepUnderTest(reactions.projected, "cards-v1", live_states=1)
    play(step, on_the_log(story), cuts)
    assert step.log.documents() == cards_of(story)
    at_once = StepUnderTest(reactions.projected, "cards-v1")
    at_once.run(*on_the_log(story))
    assert at_once.store.documents == step.store.documents
    assert step.rebuilt().documents == step.store.documents


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories(MESSAGES), CUTS, CUTS)
def test_so_are_documents_that_are_fed(
    story: Story, cuts: list[tuple[int, str]], feed_cuts: list[tuple[int, str]]
) -> None:
    pockets = FedProjector(reactions.projected, "pockets-v1", live_states=1)
    play(pockets.feed, on_the_log(story), feed_cuts)
    play(pockets.projector, pockets.inbox(pockets.feed.log), cuts)
    assert pockets.projector.log.documents() == pockets_of(story)
    assert pockets.projector.rebuilt().documents == pockets.projector.store.documents


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories(MESSAGES), st.randoms(use_true_random=False))
def test_roots_may_come_in_any_order(story: Story, chance: random.Random) -> None:
    """Kafka orders the events of one root, and nothing else."""
    records = on_the_log(story)
    roots = [root for root, _ in story]
    chance.shuffle(roots)
    left = {root: iter([r for r in records if r.headers["ce_subject"] == root.encode()]) for root in "ab"}
    shuffled = [next(left[root]) for root in roots]
    cards = StepUnderTest(reactions.projected, "cards-v1")
    cards.run(*shuffled)
    assert cards.log.documents() == cards_of(story)
    pockets = FedProjector(reactions.projected, "pockets-v1")
    pockets.run(*shuffled)
    assert pockets.projector.log.documents() == pockets_of(story)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories(MESSAGES, POISON), CUTS)
def test_what_is_replayed_once_it_is_healed_comes_in_its_order(story: Story, cuts: list[tuple[int, str]]) -> None:
    cards = StepUnderTest(reactions.projected, "cards-v1", live_states=1)
    pockets = FedProjector(reactions.projected, "pockets-v1", live_states=1)
    play(cards, on_the_log(story), cuts)
    pockets.feed.run(*on_the_log(story))
    play(pockets.projector, pockets.inbox(pockets.feed.log), cuts)
    with patch.dict(os.environ, BANK_HEALED="1"):
        for step in (cards, pockets.projector):
            settle_all(step, discard=False)
            assert not list(step.store.entries(QUEUE)), "something still waits"
    assert cards.log.documents() == cards_of(story)
    assert pockets.projector.log.documents() == pockets_of(story)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories(MESSAGES, POISON), CUTS)
def test_what_is_discarded_is_as_if_it_had_not_happened(story: Story, cuts: list[tuple[int, str]]) -> None:
    step = StepUnderTest(reactions.projected, "cards-v1", live_states=1)
    play(step, on_the_log(story), cuts)
    settle_all(step, discard=True)
    assert not list(step.store.entries(QUEUE))
    assert step.log.documents() == cards_of([one for one in story if one[1] != pb.Annotated(note="poison")])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories(MESSAGES, POISON))
def test_a_poisoned_event_changes_nothing_in_other_documents(story: Story) -> None:
    """And its own document is what the events before it made of it."""
    step = StepUnderTest(reactions.projected, "cards-v1")
    step.run(*on_the_log(story))
    until_poison: Story = []
    poisoned: set[str] = set()
    for root, message in story:
        if message == pb.Annotated(note="poison"):
            poisoned.add(root)
        elif root not in poisoned:
            until_poison.append((root, message))
    assert step.log.documents() == cards_of(until_poison)
    assert len(step.log.dead) == len(poisoned)


def test_the_log_of_a_document_has_it_as_it_was_after_each_batch() -> None:
    """No version on the log is one that never was: what a consumer sees is a prefix of the events."""
    story: Story = [("a", pb.Deposited(amount=1, balance=n)) for n in range(1, 8)]
    step = StepUnderTest(reactions.projected, "cards-v1")
    play(step, on_the_log(story), [(2, "commit"), (3, "abort"), (3, "kill"), (3, "commit"), (1, "lose")])
    seen = [next(iter(Log([output]).documents().values()))["deposits"] for output in step.log.on("documents")]
    assert seen == [2, 5, 7]
