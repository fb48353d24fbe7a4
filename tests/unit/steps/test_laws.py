"""Laws that hold at every moment, whatever commands come and however batches end."""

from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace import Aggregate, applies, handles
from headrace.schemas.fingerprint import fingerprint
from headrace.schemas.headrace_v1_pb2 import Snapshot
from headrace.streams.steps.errors import SnapshotTooLarge
from headrace.streams.steps.handlers import States
from headrace.testing.memory_store import MemoryStore
from tests.support.bank import messages_pb2 as pb
from tests.support.step_fixture import BANK, NOW, Outcome, Reply, StepFixture, header

ROOTS = ("a", "b")
AMOUNTS = st.integers(0, 9)
COMMANDS: st.SearchStrategy[Message] = st.one_of(
    st.builds(pb.Deposit, amount=AMOUNTS),
    st.builds(pb.Withdraw, amount=AMOUNTS),
    st.builds(pb.Transfer, amounts=st.lists(AMOUNTS, max_size=3)),
    st.builds(pb.Stash, pocket=st.sampled_from("lr"), amount=AMOUNTS),
    st.builds(pb.Swell, bytes=st.just(1_500)),
    st.builds(pb.Burst, how=st.sampled_from(["raise", "mutate", "stranger", "apply"])),
)


class Bank(RuleBasedStateMachine):
    """Batches of commands that are committed, aborted, or cut off by a crash, next to a log that only takes what is
    committed. States are small enough to outgrow the limit, and so few are kept that they come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.fixture = StepFixture(check_purity=True, live_states=1, max_bytes=8_000)
        self.log: list[Any] = []
        self.batch: list[Any] = []
        self.outputs: list[Any] = []

    @rule(command=COMMANDS, root=st.sampled_from(ROOTS), expected=st.none() | st.integers(-1, 5))
    def tell(self, command: Message, root: str, expected: int | None) -> None:
        record = self.fixture.record(command, root, expected=expected)
        self.batch.append(record)
        self.outputs.extend(self.fixture.handle(record))

    @rule(number=st.integers(0, 99))
    @precondition(lambda self: self.batch)
    def tell_again(self, number: int) -> None:
        record = self.batch[number % len(self.batch)]
        self.batch.append(record)
        outputs = self.fixture.handle(record)
        self.outputs.extend(outputs)
        for reply in Outcome(outputs, BLANK).replies:
            assert reply.already_processed or reply.status == Reply.FAILED

    @rule()
    def commit(self) -> None:
        try:
            staged = self.fixture.step.finish(NOW)
        except SnapshotTooLarge:
            self.fixture.step.rolled_back()
            self.fixture.step.enforce_state_size = True
            self.outputs = self.fixture.handle(*self.batch)
            staged = self.fixture.step.finish(NOW)
            self.fixture.step.enforce_state_size = False
        self.fixture.store.put(staged)
        self.fixture.step.committed()
        self.log.extend(output for output in self.outputs if output[0].endswith("events"))
        self.batch, self.outputs = [], []

    @rule()
    def abort(self) -> None:
        self.fixture.step.rolled_back()
        self.batch, self.outputs = [], []

    @rule()
    def crash(self) -> None:
        self.fixture.restart()
        self.batch, self.outputs = [], []

    @invariant()
    def snapshot_is_the_fold_of_the_log(self) -> None:
        """Invariant 3, and 4: the stored snapshot is the fold of the root's events, which are numbered without gap."""
        for root in ROOTS:
            events = [output for output in self.log if str(output[2]).startswith(f"{root}|")]
            assert [int(header(output, "ce_sequence")) for output in events] == list(range(len(events)))
            state = pb.Account()
            for output in events:
                message, apply = BANK.appliers[header(output, "ce_type")]
                apply(state, message.FromString(output[1]))
            stored = self.fixture.store.snapshot(root.encode())
            assert (stored is None) == (not events)
            assert self.fixture.state(root) == state
            if stored is not None:
                assert self.fixture.snapshot(root).sequence == len(events) - 1

    @invariant()
    def history_is_the_log(self) -> None:
        for root in ROOTS:
            wanted = [output[1] for output in self.log if str(output[2]).startswith(f"{root}|")]
            kept = [value.split(b"\0", 7)[7] for value in self.fixture.store.history(root.encode(), 0, 10_000)]
            assert kept == wanted

    @invariant()
    def live_states_are_what_a_fresh_worker_would_have(self) -> None:
        """Invariant 3 within a batch: what the next command sees is snapshot and pending events, folded."""
        roots = self.fixture.step._cache
        for key, live in roots.live.items():
            state, sequence = pb.Account(), -1
            if (stored := self.fixture.store.snapshot(key)) is not None:
                snapshot = Snapshot.FromString(stored)
                state.MergeFromString(snapshot.state)
                sequence = snapshot.sequence
            assert live.sequence == sequence + States(self.fixture.spec).fold(state, live.pending)
            assert live.state == state


BLANK = StepFixture().step.committed()
TestSnapshotIsFold = Bank.TestCase
TestSnapshotIsFold.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


# ---- roll back


def dump(store: MemoryStore) -> Any:
    return (dict(store.snapshots), dict(store.results), {k: list(v) for k, v in store._events.items()})


def test_a_batch_rolled_back_leaves_everything_as_before() -> None:
    """Nothing of it is in the store, in the states, among the answers, the outputs or the counts."""
    fixture, twin = StepFixture(), StepFixture()
    for each in (fixture, twin):
        each.tell(pb.Transfer(amounts=[1, 2]), id="first")
    before = dump(fixture.store)
    for amount in range(5):
        fixture.handle(
            fixture.record(pb.Deposit(amount=amount), root="r"), fixture.record(pb.Open(owner="x"), root="new")
        )
    fixture.step.handle(fixture.record(pb.Burst(how="raise")))
    fixture.step.finish(NOW)
    fixture.step.rolled_back()
    assert dump(fixture.store) == before
    assert fixture.step.outputs == []
    outcomes = [each.tell(pb.Deposit(amount=1), pb.Deposit(amount=1), id="next") for each in (fixture, twin)]
    assert outcomes[0].outputs == outcomes[1].outputs
    assert outcomes[0].written == outcomes[1].written
    assert dump(fixture.store) == dump(twin.store)


# ---- a state type that has changed since


class Before(Aggregate[pb.Opened]):
    """The same domain when its state was another message."""

    domain = "account"

    @handles
    def deposit(self, state: pb.Opened, command: pb.Deposit) -> pb.Deposited:
        return pb.Deposited(amount=command.amount, balance=command.amount)

    @applies
    def deposited(self, state: pb.Opened, event: pb.Deposited) -> None:
        state.owner = f"has {event.balance}"


def test_another_state_type_is_folded_from_history() -> None:
    """The snapshot's fingerprint tells; the next event writes a snapshot of the new type."""
    old = StepFixture(Before)
    old.tell(pb.Deposit(amount=5), pb.Deposit(amount=7))
    assert old.state().owner == "has 7"
    fixture = StepFixture(store=old.store, check_purity=True)
    assert fixture.snapshot().fingerprint == fingerprint(pb.Opened)
    outcome = fixture.tell(pb.Deposit(amount=1))
    assert outcome.events == [pb.Deposited(amount=1, balance=8)]
    assert fixture.snapshot().fingerprint == fingerprint(pb.Account)
    assert (fixture.snapshot().sequence, fixture.state()) == (2, pb.Account(balance=8, count=3))


def test_a_failure_after_the_change_still_leaves_the_fold() -> None:
    old = StepFixture(Before)
    old.tell(pb.Deposit(amount=5))
    fixture = StepFixture(store=old.store, check_purity=True)
    outcome = fixture.tell(pb.Deposit(amount=1), pb.Burst(how="apply"), pb.Deposit(amount=1))
    assert outcome.events[-1] == pb.Deposited(amount=1, balance=7)


def test_a_history_with_holes_is_not_folded() -> None:
    """A wrong state would be worse than none: the command fails and says why."""
    old = StepFixture(Before)
    old.tell(pb.Deposit(amount=5), pb.Deposit(amount=7))
    del old.store._events[b"r"][0]
    outcome = StepFixture(store=old.store).tell(pb.Deposit(amount=1))
    assert outcome.dead[0].error == "r has 2 events, the log yields 1"


def test_an_event_that_is_applied_no_more_is_named() -> None:
    fixture = StepFixture()
    fixture.tell(pb.Open(owner="x"))
    outcome = StepFixture(Before, store=fixture.store).tell(pb.Deposit(amount=1))
    assert outcome.dead[0].error == (
        "no @applies method for bank.v1.Opened, which the log holds as event 0 of r; apply it, or add an upcaster for "
        "it, unless a newer release has written it"
    )


@pytest.mark.parametrize("sequence", [-1, 0, 1])
def test_state_as_it_was(sequence: int) -> None:
    fixture = StepFixture()
    fixture.tell(pb.Deposit(amount=5))
    fixture.handle(fixture.record(pb.Deposit(amount=7)))
    roots = fixture.step._cache
    state = roots.state_at(b"r", roots.live[b"r"], sequence)
    assert isinstance(state, pb.Account)
    assert (state.balance, state.count) == [(5, 1), (12, 2), (0, 0)][sequence]
