"""What a record costs does not grow with what has been, or with what waits: looks at a store are counted."""

from collections.abc import Iterable
from time import process_time

from headrace.schemas.changelog import QUEUE, RESULTS, results_key
from headrace.streams.state.rocksdb import PartitionStore
from headrace.streams.steps.store import Staged
from headrace.testing.memory_store import MemoryStore
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
