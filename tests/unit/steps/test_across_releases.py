"""What waits in a store when a new release comes: states that were asked for, and states that were folded."""

from collections.abc import Iterable

import pytest

from headrace import Names, ProcessContext, ProcessManager, Snapshots, StateOf, Topology, TopologyError, applies, reacts
from headrace.schemas.changelog import READS
from headrace.schemas.fingerprint import fingerprint
from headrace.schemas.headers import CORRELATION, ID, SOURCE, SPECVERSION, TYPE
from headrace.schemas.headrace_v1_pb2 import QueryResult, Snapshot
from headrace.schemas.record import Record
from headrace.streams.steps.batch import Output
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.registry import make_step
from headrace.testing.memory_store import MemoryStore
from headrace.testing.request import raw
from headrace.topology.names import source
from tests.support.bank.accounts import Accounts, Book, Purse
from tests.support.bank.messages_pb2 import Account, Deposit, Deposited, Open, Stashed, Withdrawn
from tests.support.step_fixture import StepFixture

INBOX = Names().topic("main", "reader", "inbox")


class First(ProcessManager[Account]):
    """Reads one purse for each deposit."""

    name = "reader"
    asked = (StateOf("purse", "anna"),)

    @staticmethod
    def wanted(state: Account, event: Deposited) -> Iterable[StateOf]:
        return First.asked

    @reacts(reads=wanted)
    def deposited(self, state: Account, event: Deposited, context: ProcessContext) -> Iterable[Stashed]:
        for read, found in context.states.items():
            yield Stashed(pocket=f"{read.domain}/{read.root}", amount=found.state.balance)

    @applies
    def stashed(self, state: Account, event: Stashed) -> None:
        state.pockets[event.pocket] = event.amount


class Inbox:
    """One partition of the process manager's inbox. Each record is a batch of its own."""

    def __init__(self, store: MemoryStore) -> None:
        self.store, self.offset = store, 0
        self.step = make_step(Topology(Purse, Book, First), "reader", store, StepContext(Names(), "main", 0, 1, 1))

    def begin(self, kind: str, name: str, of: str, value: bytes) -> None:
        """Handle a record, and commit nothing."""
        headers = {
            SPECVERSION: b"1.0",
            ID: name.encode(),
            SOURCE: of.encode(),
            TYPE: kind.encode(),
            CORRELATION: b"trip",
        }
        self.offset += 1
        self.step.handle(Record(INBOX, 0, self.offset, 0, b"trip", value, headers))

    def commit(self) -> list[Output]:
        """What the batch leads to."""
        self.store.put(self.step.finish(0))
        found = list(self.step.outputs)
        self.step.committed()
        return found

    def deposit(self) -> list[Output]:
        purse, value = source("main", "purse"), Deposited(amount=1).SerializeToString()
        self.begin("bank.v1.Deposited", f"purse:{self.offset}", purse, value)
        return self.commit()

    def answer(self, query: Output, balance: int, **other: str) -> list[Output]:
        self.begin_answer(query, balance, **other)
        return self.commit()

    def begin_answer(self, query: Output, balance: int, *, root: str = "", of: str = "", state_type: str = "") -> None:
        asked = str(query[2])
        result = QueryResult(
            root=root or asked,
            state_type=state_type or "bank.v1.Account",
            state=Account(balance=balance).SerializeToString(),
        )
        name = raw(query[4] or [])[ID].decode()
        domain = of or Names().split(query[0])[1]  # type: ignore[index]
        self.begin("headrace.v1.QueryResult", name, source("main", domain), result.SerializeToString())

    @property
    def pockets(self) -> dict[str, int]:
        snapshot = Snapshot.FromString(self.store.snapshot(b"trip") or b"")
        return dict(Account.FromString(snapshot.state).pockets)

    def waiting(self) -> int:
        return len(list(self.store.entries(READS)))


def queries(outputs: list[Output]) -> list[Output]:
    return [output for output in outputs if raw(output[4] or []).get(TYPE) == b"headrace.v1.Query"]


def test_another_release_asks_for_what_it_reads_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the old release has asked for is of no use to it, and does not hold the event up."""
    store = MemoryStore()
    (old,) = queries(Inbox(store).deposit())
    monkeypatch.setattr(First, "asked", (StateOf("purse", "bert"), StateOf("book", "anna")))
    inbox = Inbox(store)
    first, second = queries(inbox.answer(old, 5))
    assert [(query[0].split(".")[1], query[2]) for query in (first, second)] == [("purse", "bert"), ("book", "anna")]
    inbox.answer(first, 7)
    inbox.answer(second, 8)
    assert inbox.pockets == {"purse/bert": 7, "book/anna": 8}
    assert inbox.waiting() == 0


def test_a_release_that_reads_less_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    monkeypatch.setattr(First, "asked", (StateOf("purse", "anna"), StateOf("purse", "bert")))
    first, second = queries(Inbox(store).deposit())
    monkeypatch.setattr(First, "asked", (StateOf("purse", "anna"),))
    inbox = Inbox(store)
    inbox.answer(first, 5)
    assert (inbox.pockets, inbox.waiting()) == ({"purse/anna": 5}, 0)
    inbox.answer(second, 6)
    assert inbox.waiting() == 0, "an answer that comes late is not kept"


def test_a_state_of_another_type_is_asked_for_again() -> None:
    inbox = Inbox(MemoryStore())
    (query,) = queries(inbox.deposit())
    (again,) = queries(inbox.answer(query, 5, state_type="bank.v1.OldAccount"))
    inbox.answer(again, 6)
    assert inbox.pockets == {"purse/anna": 6}


def test_only_the_answer_to_what_was_asked_is_taken() -> None:
    inbox = Inbox(MemoryStore())
    (query,) = queries(inbox.deposit())
    assert queries(inbox.answer(query, 1000, root="bert")) == []
    assert queries(inbox.answer(query, 1000, of="book")) == []
    assert inbox.pockets == {}
    inbox.answer(query, 5)
    assert inbox.pockets == {"purse/anna": 5}


class Doubtful(Accounts):
    """Its `@applies` doubles the balance."""

    @applies
    def moved(self, state: Account, event: Deposited | Withdrawn) -> None:
        state.balance = 2 * event.balance


class Repaired(Accounts):
    """The next release, whose state has the same fields."""

    snapshots = Snapshots(version=2)


def test_a_repaired_fold_is_not_continued_on_old_states() -> None:
    old = StepFixture(Doubtful)
    old.tell(Open(owner="anna"), Deposit(amount=10))
    assert old.state().balance == 20
    new = StepFixture(Repaired, store=old.store)
    new.tell(Deposit(amount=1))
    assert new.state().balance == 11
    assert new.state().count == 3
    assert new.snapshot().fingerprint == fingerprint(Account, 2) != fingerprint(Account)


def test_versions_are_numbers_from_one() -> None:
    with pytest.raises(ValueError, match="version=0; versions begin with 1"):
        Snapshots(version=0)

    class Wrong(Accounts):
        snapshots = 2  # type: ignore[assignment]

    with pytest.raises(TopologyError, match=r"Wrong: snapshots is 2; write Snapshots\(version=2\)"):
        Topology(Wrong)
