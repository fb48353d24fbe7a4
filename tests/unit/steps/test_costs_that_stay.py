"""What a record costs does not grow with what has been, or with what waits: looks at a store are counted."""

from collections.abc import Iterable
from time import process_time

import pytest

from headrace import Names
from headrace.schemas.changelog import QUEUE, RESULTS, results_key
from headrace.schemas.headers import CORRELATION, ID, SOURCE, SPECVERSION, TYPE
from headrace.schemas.record import Record
from headrace.streams.state.rocksdb import PartitionStore
from headrace.streams.steps.context import StepContext
from headrace.streams.steps.errors import InvalidArgument
from headrace.streams.steps.registry import make_step
from headrace.streams.steps.store import Staged
from headrace.testing.memory_store import MemoryStore
from tests.support.bank import reactions
from tests.support.deadlines import seconds
from tests.unit.steps.test_across_releases import Inbox, queries

DAY = 24 * 3600 * 1000


class CountingStore(MemoryStore):
    """Counts looks at entries, and scans of queues."""

    looks = 0
    scans = 0

    def entry(self, key: bytes) -> bytes | None:
        self.looks += 1
        return super().entry(key)

    def entries(self, prefix: bytes, start: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
        self.scans += prefix.startswith(QUEUE)
        return super().entries(prefix, start)


def test_an_answer_wakes_one_event_however_many_wait() -> None:
    store = CountingStore()
    inbox = Inbox(store)
    (query,) = queries(inbox.deposit())
    for _ in range(500):
        assert queries(inbox.deposit()) == [], "it waits for its turn"
    looks = []
    for _ in range(500):
        before = store.looks
        (query,) = queries(inbox.answer(query, 1))
        looks.append(store.looks - before)
    assert max(looks) <= 20
    assert store.scans == 1, "queues are read once"
    assert len(list(store.entries(QUEUE))) == 1


def test_a_batch_that_is_rolled_back_leaves_the_queues_as_they_were() -> None:
    store = CountingStore()
    inbox = Inbox(store)
    (query,) = queries(inbox.deposit())
    inbox.deposit()
    for _ in range(3):
        inbox.begin_answer(query, 1)
        inbox.step.rolled_back()
    (second,) = queries(inbox.answer(query, 1))
    assert queries(inbox.answer(second, 2)) == []
    assert inbox.pockets == {"purse/anna": 2}
    assert list(store.entries(QUEUE)) == []
    assert store.scans == 2, "one of them is this test's"


def test_forgetting_results_does_not_pass_those_forgotten_before(tmp_path: object) -> None:
    store = PartitionStore(tmp_path / "store")  # type: ignore[operator]
    edition = store.edition("main")
    edition.keep_results = DAY
    for number in range(20_000):
        name = b"root\0c%d" % number
        edition.put(Staged(results={name: b"R"}, results_key=results_key(number, name)), {})
    rounds = []
    for _ in range(200):
        began = process_time()
        found = edition.expired(100 * DAY)
        edition.put(Staged(forgotten=found), {})
        rounds.append(process_time() - began)
        assert len(found) == 100
        assert found[0].startswith(RESULTS)
    assert edition.expired(100 * DAY) == []
    assert sum(rounds[-40:]) < 3 * sum(rounds[:40]), "skipping 20,000 traces takes ten times as long as forgetting 100"
    store.close()


def test_a_root_that_is_too_long_is_not_hashed() -> None:
    """Murmur2 in Python takes a third of a second for it, and its cache would keep it."""
    long = b"x" * 900_000
    context = StepContext(Names(), "main", 0, 4, 1)
    began = process_time()
    for _ in range(100):
        with pytest.raises(InvalidArgument, match=r"has 900000 bytes; a root has at most 1024"):
            context.partition_in("main.book.inbox", long)
    assert process_time() - began < 0.1 * seconds(1)


def test_an_event_with_such_a_correlation_id_is_a_dead_letter() -> None:
    step = make_step(reactions.timed, "warden-feed", MemoryStore(), StepContext(Names(), "main", 0, 4, 1))
    headers = {SPECVERSION: b"1.0", ID: b"p:0", SOURCE: b"/main/purse", TYPE: b"bank.v1.Deposited"}
    record = Record("main.purse.events", 0, 7, 0, b"p|0", b"", {**headers, CORRELATION: b"x" * 900_000})
    step.handle(record)
    ((topic, _, _, _, about),) = step.outputs
    assert topic == "main.warden-feed.dead-letters"
    assert sum(len(value or b"") for _, value in about or []) < 1000
