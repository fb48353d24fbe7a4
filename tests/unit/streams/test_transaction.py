"""Two producers that take turns, what they are told in which order, and when what became of it is in doubt."""

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from headrace.streams.runtime import transaction as module
from headrace.streams.runtime.transaction import CommitOutcomeUnknown, InterruptibleCall, Transaction
from headrace.streams.settings import Settings
from headrace.streams.steps.batch import Output
from headrace.streams.steps.errors import RecordTooLarge

OFFSETS = [TopicPartition("in", 0, 5)]
TRANSPORT = KafkaError(KafkaError._TRANSPORT)


class Cluster:
    """The brokers, the producers that were made, and what these were asked to do, by number."""

    def __init__(self) -> None:
        self.brokers = {1, 2}
        self.notes: list[str] = []
        self.made: list[FakeProducer] = []
        self.errors: dict[str, Exception] = {}
        """What the next call of that name raises."""
        self.polled = ""
        self.unsent = 0
        """How many flushes leave records behind."""
        self.at: dict[str, Callable[[], object]] = {}
        """What happens during the next call of that name."""

    def fail(self, method: str, code: int) -> None:
        self.errors[method] = KafkaException(KafkaError(code))

    def consumer(self) -> Any:
        return SimpleNamespace(consumer_group_metadata=lambda: "group")

    def taken(self) -> list[str]:
        """The notes since this was last asked."""
        found, self.notes = self.notes, []
        return found


class FakeProducer:
    """Notes the calls; its records are all delivered at the next flush."""

    def __init__(self, cluster: Cluster, config: dict[str, Any]) -> None:
        self._cluster, self.config = cluster, config
        self._name = f"{len(cluster.made) % 2}"
        self.sent: list[tuple[Any, ...]] = []
        cluster.made.append(self)

    def _note(self, name: str, *arguments: object) -> None:
        cluster = self._cluster
        cluster.notes.append(" ".join(map(str, (self._name, name, *arguments))))
        cluster.at.pop(name, lambda: None)()
        if name in cluster.errors:
            raise cluster.errors.pop(name)

    def init_transactions(self, timeout: float) -> None:
        self._note("init", timeout)

    def begin_transaction(self) -> None:
        self._note("begin")

    def send_offsets_to_transaction(self, offsets: object, group: str, timeout: float) -> None:
        assert (offsets, group) == (OFFSETS, "group")
        self._note("offsets", timeout)

    def commit_transaction(self, timeout: float) -> None:
        self._note("commit", timeout)

    def abort_transaction(self, timeout: float) -> None:
        self._note("abort")

    def purge(self, *what: bool) -> None:
        assert what == (True, True, True)
        self._note("purge")

    def poll(self, timeout: float) -> None:
        assert timeout == 0
        self._cluster.polled = self._name
        self._cluster.at.pop("poll", lambda: None)()

    def list_topics(self, topic: str, timeout: float) -> Any:
        assert topic == "headrace.replies"
        if "list" in self._cluster.errors:
            raise self._cluster.errors.pop("list")
        return SimpleNamespace(brokers=dict.fromkeys(self._cluster.brokers))

    def produce(self, *arguments: Any) -> None:
        if "produce" in self._cluster.errors:
            raise self._cluster.errors.pop("produce")
        self.sent.append(arguments)

    def flush(self, timeout: float) -> int:
        self._note("flush")
        if self._cluster.unsent:
            self._cluster.unsent -= 1
            return 1
        for offset, (topic, value, key, partition, delivered, *_) in enumerate(self.sent):
            if delivered is not None:
                delivered(None, Message(topic, partition, offset, key, value))
        return 0


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster()
    monkeypatch.setattr(module, "Producer", lambda config: FakeProducer(found, config))
    monkeypatch.setattr(module, "CHECK_INTERVAL", 0.01)
    return found


@pytest.fixture
def transaction(cluster: Cluster) -> Iterator[Transaction]:
    found = Transaction(Settings(bootstrap="nowhere:1", transaction_timeout=4), "id")
    found.start(9)
    assert cluster.taken() == ["0 init 9", "1 init 9"]
    yield found
    found.close()


def commit(transaction: Transaction, cluster: Cluster) -> None:
    transaction.commit(OFFSETS, cluster.consumer())


def test_two_producers_take_turns(transaction: Transaction, cluster: Cluster) -> None:
    """What one writes is decided before the other begins."""
    whole = ["begin", "flush", "offsets 4.0", "commit 4.0"]
    for name in ("1", "0", "1"):
        transaction.begin()
        assert cluster.polled == name, "what went wrong with the other one comes later"
        commit(transaction, cluster)
        assert cluster.taken() == [f"{name} {step}" for step in whole]
    transaction.start(9)
    assert cluster.taken() == [], "there are producers"


def test_producers_have_ids_of_their_own_and_the_time_that_the_settings_say(
    transaction: Transaction, cluster: Cluster
) -> None:
    assert [producer.config["transactional.id"] for producer in cluster.made] == ["id.0", "id.1"]
    assert {producer.config["transaction.timeout.ms"] for producer in cluster.made} == {4000}
    assert {producer.config["queue.buffering.max.kbytes"] for producer in cluster.made} == {1 << 20}, "a gigabyte"


def test_records_are_sent_as_they_are_and_the_last_offset_of_what_is_tracked_is_known(
    transaction: Transaction, cluster: Cluster
) -> None:
    outputs: list[Output] = [
        ("a", b"1", b"k", 0, [("h", b"x")]),
        ("a", b"2", b"k", 1, None),
        ("b", b"3", None, 0, None),
        ("a", b"4", b"k", 0, None),
    ]
    transaction.begin()
    transaction.send(outputs, {"a": "events"}, 7)
    sent = cluster.made[1].sent
    assert [(topic, value, key, partition, headers) for topic, value, key, partition, _, _, _, headers in sent] == [
        *outputs
    ]
    assert [record[4] is not None for record in sent] == [False, True, False, True]
    commit(transaction, cluster)
    assert transaction.offsets == {("a", 0): 3, ("a", 1): 1}
    transaction._delivered(TRANSPORT, Message("a", 7, 1))
    assert ("a", 7) not in transaction.offsets, "it is not on the log"
    transaction._delivered(None, Message("a", 8, 0))
    assert transaction.offsets["a", 8] == 0
    transaction.begin()
    assert transaction.offsets == {}
    transaction.send([("a", b"1", None, 0, None)])
    assert cluster.made[0].sent[0][4] is None, "nothing is tracked"


def test_without_producers_nothing_begins(transaction: Transaction, cluster: Cluster) -> None:
    transaction.drop()
    assert [note.split()[1] for note in cluster.taken()] == ["purge", "flush"] * 2
    with pytest.raises(CommitOutcomeUnknown, match="no producer"):
        transaction.begin()
    transaction.start(9)
    transaction.begin()
    assert cluster.taken() == ["0 init 9", "1 init 9", "1 begin"]


def test_a_producer_that_cannot_begin_is_in_doubt(transaction: Transaction, cluster: Cluster) -> None:
    cluster.fail("begin", KafkaError._STATE)
    with pytest.raises(CommitOutcomeUnknown):
        transaction.begin()
    cluster.taken()
    transaction.abort()
    assert cluster.taken() == [], "nothing is open"


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN])
def test_producers_that_lost_a_broker_are_made_anew_before_the_next_transaction(
    code: int, transaction: Transaction, cluster: Cluster
) -> None:
    cluster.made[0].config["error_cb"](KafkaError(KafkaError._RESOLVE))
    transaction.begin()
    assert cluster.taken() == ["1 begin"]
    commit(transaction, cluster)
    cluster.taken()
    cluster.at["poll"] = lambda: cluster.made[0].config["error_cb"](KafkaError(code))
    transaction.begin()
    gone = ["1 purge", "1 flush", "0 purge", "0 flush"]
    assert cluster.taken() == [*gone, "0 init 4.0", "1 init 4.0", "0 begin"]
    assert len(cluster.made) == 4
    commit(transaction, cluster)
    transaction.begin()
    assert len(cluster.made) == 4, "once"


@pytest.mark.parametrize("step", ["offsets", "commit"])
def test_what_kafka_refuses_at_the_end_is_in_doubt(step: str, transaction: Transaction, cluster: Cluster) -> None:
    transaction.begin()
    cluster.fail(step, KafkaError._FENCED)
    with pytest.raises(CommitOutcomeUnknown):
        commit(transaction, cluster)
    cluster.taken()
    transaction.abort()
    assert cluster.taken() == ["1 abort"], "it is open still"


def test_a_commit_waits_for_its_records(transaction: Transaction, cluster: Cluster) -> None:
    transaction.begin()
    cluster.unsent = 3
    commit(transaction, cluster)
    assert cluster.taken() == ["1 begin", *["1 flush"] * 4, "1 offsets 4.0", "1 commit 4.0"]
    transaction.abort()
    assert cluster.taken() == [], "it is committed"


def test_but_not_for_ever(transaction: Transaction, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    transaction.begin()
    cluster.unsent, flushes = 100, []

    def flush(_: float) -> int:
        flushes.append(now[0])
        now[0] += 1
        return 1

    cluster.made[1].flush = flush  # type: ignore[assignment, method-assign]
    with pytest.raises(CommitOutcomeUnknown, match="within 4 s"):
        commit(transaction, cluster)
    assert flushes == [100, 101, 102, 103, 104]


def test_nor_when_a_broker_is_lost(transaction: Transaction, cluster: Cluster) -> None:
    transaction.begin()
    cluster.unsent = 1
    cluster.at["flush"] = lambda: cluster.made[1].config["error_cb"](TRANSPORT)
    with pytest.raises(CommitOutcomeUnknown, match="a broker was lost during the transaction"):
        commit(transaction, cluster)
    assert cluster.taken() == ["1 begin", "1 flush"]


def test_offsets_are_waited_for_as_long_as_the_brokers_are_there(transaction: Transaction, cluster: Cluster) -> None:
    """librdkafka waits for ever for a group's coordinator that has gone."""
    released = threading.Event()
    transaction.begin()

    def leave() -> None:
        cluster.brokers = {2}
        released.wait()

    cluster.at["offsets"] = leave
    with pytest.raises(CommitOutcomeUnknown, match="offsets were not taken before a broker was lost"):
        commit(transaction, cluster)
    released.set()
    cluster.taken()
    transaction.begin()
    assert len(cluster.made) == 4, "the producers that lost it are made anew"


def test_a_broker_that_comes_is_none_that_goes(transaction: Transaction, cluster: Cluster) -> None:
    """And one that does not say which there are has not said that one has gone."""
    transaction.begin()
    assert not transaction._hopeless()
    cluster.brokers = {1, 2, 3}
    assert not transaction._hopeless()
    cluster.fail("list", KafkaError._TIMED_OUT)
    assert not transaction._hopeless()
    cluster.brokers = {1, 3}
    assert transaction._hopeless()
    cluster.brokers = {1, 2}
    assert transaction._hopeless(), "the producers that lost it are of no use any more"


def test_too_large_is_no_doubt(transaction: Transaction, cluster: Cluster) -> None:
    for code in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE):
        cluster.fail("produce", code)
        transaction.begin()
        with pytest.raises(RecordTooLarge, match=r"max\.message\.bytes"):
            transaction.send([("a", b"", None, 0, None)])
        cluster.fail("commit", code)
        with pytest.raises(RecordTooLarge):
            commit(transaction, cluster)
    cluster.errors["produce"] = BufferError()
    with pytest.raises(RecordTooLarge, match="more than the producer can hold"):
        transaction.send([("a", b"", None, 0, None)])
    cluster.fail("produce", KafkaError._FATAL)
    with pytest.raises(CommitOutcomeUnknown):
        transaction.send([("a", b"", None, 0, None)])


def test_an_abort_that_fails_drops_the_producers(transaction: Transaction, cluster: Cluster) -> None:
    transaction.begin()
    transaction.abort()
    assert cluster.taken() == ["1 begin", "1 abort"]
    transaction.abort()
    assert cluster.taken() == []
    transaction.begin()
    cluster.fail("abort", KafkaError._TIMED_OUT)
    cluster.fail("flush", KafkaError._FATAL)  # it is why they are dropped
    transaction.abort()
    assert cluster.taken() == ["0 begin", "0 abort", "1 purge", "1 flush", "0 purge", "0 flush"]
    with pytest.raises(CommitOutcomeUnknown, match="no producer"):
        transaction.begin()


def test_close_ends_what_is_open(transaction: Transaction, cluster: Cluster) -> None:
    transaction.begin()
    transaction.close()
    assert cluster.taken() == ["1 begin", "1 abort", "0 purge", "0 flush", "1 purge", "1 flush"]


# ---- calls that may never return


def never() -> bool:
    return False


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_INTERVAL", 0.01)


@pytest.mark.usefixtures("quick")
def test_calls_are_made_in_one_thread_and_their_errors_raised() -> None:
    call, threads = InterruptibleCall(), []
    for _ in range(2):
        call.call(lambda: threads.append(threading.current_thread()), 5, never)

    def fails() -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        call.call(fails, 5, never)
    call.call(lambda: threads.append(threading.current_thread()), 5, never)
    (thread,) = set(threads)
    assert thread.daemon
    assert thread is not threading.current_thread()
    call.close()
    thread.join(10)
    assert not thread.is_alive()
    call.close()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("timeout", "hopeless"), [(0.02, False), (1000, True)])
def test_a_call_that_does_not_return_is_abandoned_with_its_thread(timeout: float, hopeless: bool) -> None:
    call, end = InterruptibleCall(), threading.Event()
    stuck: list[threading.Thread] = []

    def hangs() -> None:
        stuck.append(threading.current_thread())
        end.wait()

    with pytest.raises(TimeoutError):
        call.call(hangs, timeout, lambda: hopeless)
    others: list[threading.Thread] = []
    call.call(lambda: others.append(threading.current_thread()), 5, never)
    assert others != stuck
    end.set()
    stuck[0].join(10)
    assert not stuck[0].is_alive(), "it ends when it can"
    call.close()


@pytest.mark.usefixtures("quick")
def test_a_call_may_take_its_time() -> None:
    call, asked = InterruptibleCall(), []

    def hopeless() -> bool:
        asked.append(1)
        return False

    call.call(lambda: time.sleep(0.1), 1000, hopeless)
    assert asked
    call.close()
