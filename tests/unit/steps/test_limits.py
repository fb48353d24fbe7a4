"""Limits, at their very edges: of ids and keys, of answers, of what is kept in memory."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from headrace import Names, Rejected, Transient
from headrace.schemas.headers import CORRELATION, ID, TRACEPARENT
from headrace.schemas.headrace_v1_pb2 import Query, Reply
from headrace.schemas.ids import ReplyTarget
from headrace.schemas.record import Record, RecordError
from headrace.schemas.stored_event import StoredEvent
from headrace.streams.steps import checks, handlers, replies
from headrace.streams.steps.batch import Batch
from headrace.streams.steps.context import OVERHEAD, StepContext
from headrace.streams.steps.envelope import Envelope
from headrace.streams.steps.errors import HandlerError, SnapshotTooLarge, TooLarge
from headrace.streams.steps.handlers import States
from headrace.streams.steps.intermediate_states import BYTES, EVERY, MOST, IntermediateStates
from headrace.streams.steps.ordered_queue import OrderedQueue
from headrace.streams.steps.replies import Replier
from headrace.streams.steps.state_cache import CachedState, StateCache
from headrace.testing.memory_store import MemoryStore
from tests.support.bank.messages_pb2 import Account, Deposited
from tests.support.step_fixture import BANK

# ---- keys, numbers and ids


@pytest.mark.parametrize("key", [b"r", b" ", b"x" * 1024, "ü".encode()])
def test_a_root_may_be_any_text(key: bytes) -> None:
    assert checks.checked_root(key) == key


@pytest.mark.parametrize(
    ("key", "why"),
    [
        *((key, "has no key") for key in (None, b"")),
        *((key, "at most 1024 bytes, without control") for key in (b"x" * 1025, b"a\x1f", b"\0")),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_other_keys_are_no_roots(key: bytes | None, why: str) -> None:
    with pytest.raises(RecordError, match=why):
        checks.checked_root(key)


def test_an_expected_sequence_is_a_whole_number() -> None:
    for text, number in ((b"-1", -1), (b"0", 0), (b"9" * 19, 10**19 - 1)):
        assert checks.whole_number(text) == number
    for text in (b"", b"-2", b"1.0", b"x", b"9" * 20):
        with pytest.raises(RecordError, match="must be a whole number, -1 or more"):
            checks.whole_number(text)


@pytest.mark.parametrize("name", [ID, CORRELATION, TRACEPARENT])
def test_an_id_may_be_as_long_as_a_root(name: str) -> None:
    headers = {ID: b"c", CORRELATION: b"d"}
    checks.check_ids({**headers, name: b"x" * 1024}, b"f" * 1024)
    with pytest.raises(RecordError, match=f"header {name} has 1025 bytes; at most 1024 are taken"):
        checks.check_ids({**headers, name: b"x" * 1025})


def test_ids_are_text_without_nul() -> None:
    checks.check_ids({ID: b"c"})
    with pytest.raises(RecordError, match="must not hold a NUL"):
        checks.check_ids({ID: b"c"}, b"f\0")
    with pytest.raises(UnicodeDecodeError):
        checks.check_ids({ID: b"c", CORRELATION: b"\xff"})


# ---- answers


def replier(room: int = 2000, **changed: Any) -> Replier:
    context = StepContext(Names(), "main", 0, 4, reply_partitions=2, max_bytes=room + OVERHEAD, **changed)
    return Replier(context, Envelope("account", context))


@pytest.mark.parametrize(("text", "partition"), [(b"headrace.replies/0", 0), (b"headrace.replies/1", 1)])
def test_answers_go_to_the_replies_topic(text: bytes, partition: int) -> None:
    answers = replier()
    assert answers.target(text) == ReplyTarget("headrace.replies", partition)
    assert answers.target(text) is answers.target(text), "it is not read again"
    assert answers.target(None) is None


@pytest.mark.parametrize(
    "text", [b"headrace.replies/2", b"headrace.replies", b"main.a.inbox/0", b"main.a.events/0", b"x/0", b"\xff/0"]
)
def test_a_client_is_answered_nowhere_else(text: bytes) -> None:
    with pytest.raises(RecordError, match=r"answers go to headrace\.replies/0 … headrace\.replies/1"):
        replier().target(text)


def test_an_inbox_is_answered_if_it_is_of_this_edition_and_deployment() -> None:
    answers = replier()
    assert answers.target(b"main.a.inbox/3", inboxes=True) == ReplyTarget("main.a.inbox", 3)
    for text in (b"main.a.inbox/4", b"other.a.inbox/0", b"main.a.events/0", b"x/0"):
        with pytest.raises(RecordError):
            answers.target(text, inboxes=True)
    answers = replier(counts={"main.a.inbox": 7})
    assert answers.target(b"main.a.inbox/6", inboxes=True) == ReplyTarget("main.a.inbox", 6)
    for text in (b"main.a.inbox/7", b"main.b.inbox/0"):
        with pytest.raises(RecordError):
            answers.target(text, inboxes=True)


def test_events_that_do_not_fit_are_left_out_of_a_reply() -> None:
    reply = Reply(reason="w" * 2000, correlation_id="co")
    reply.events.add(data=b"x")
    size = reply.ByteSize()
    topic, data, key, partition, headers = replier(size).reply(reply, ReplyTarget("headrace.replies", 1), b"c")
    assert (topic, key, partition, dict(headers or [])[ID]) == ("headrace.replies", b"c", 1, b"c")
    assert Reply.FromString(data or b"") == reply
    _, data, key, _, _ = replier(size - 1).reply(reply, ReplyTarget("main.a.inbox", 0), b"c")
    cut = Reply.FromString(data or b"")
    assert (len(cut.events), key) == (0, b"co")
    assert cut.reason == "w" * 1000 + " [events left out: too large for one record]"


def event(size: int) -> bytes:
    return StoredEvent(b"T", b"", b"", b"", b"", b"", b"", b"x" * (size - 8)).pack()


def test_a_page_of_events_has_those_that_fit() -> None:
    """Each counts with 64 bytes more, and the state before them."""
    assert len(event(36)) == 36
    page = [event(36)] * 3
    for room, number in ((310, 3), (309, 2), (210, 2), (209, 1), (110, 1)):
        result = replies.query_result(Query(from_sequence=5), "r", 9, "S", b"0123456789", page, room)
        assert [found.sequence for found in result.events] == list(range(5, 5 + number))
        assert (result.root, result.sequence, result.state_type, result.state) == ("r", 9, "S", b"0123456789")
    result = replies.query_result(Query(from_sequence=5), "r", 9, "S", b"0123456789", page, 109)
    assert result.reason == "event 5 of 36 bytes is too large for an answer; read the log"
    result = replies.query_result(Query(from_sequence=-3), "r", 9, "", b"", page, 1000)
    assert [found.sequence for found in result.events] == [0, 1, 2]
    assert replies.query_result(Query(), "r", 9, "", b"", (), 0).reason == ""


def test_a_state_that_does_not_fit_is_left_out_of_an_answer() -> None:
    result = replies.query_result(Query(), "r", 3, "S", b"x" * 100, (), 1000)
    size = result.ByteSize()
    headers = {ID: b"q", CORRELATION: b"co"}
    _, data, key, _, _ = replier(size).result(result, ReplyTarget("headrace.replies", 0), headers)
    assert (data, key) == (result.SerializeToString(), b"q")
    _, data, key, _, _ = replier(size - 1).result(result, ReplyTarget("main.a.inbox", 0), headers)
    cut = type(result).FromString(data or b"")
    assert (cut.root, cut.sequence, cut.state, key) == ("r", 3, b"", b"co")
    assert cut.reason == f"the state is {size} bytes, too large for one record"


@pytest.mark.parametrize(("error", "code"), [(TooLarge("big"), "too-large"), (ValueError("bad"), "failed")])
def test_the_reply_to_what_failed_fits_whatever_the_ids_are(error: Exception, code: str) -> None:
    record = Record("t", 0, 0, 0, b"k" * 2000, b"", {ID: b"i" * 2000})
    reply = replies.failed_reply(record, error, "dead")
    assert (reply.command_id, reply.root, reply.correlation_id) == ("i" * 1024, "k" * 1024, "i" * 1024)
    assert (reply.sequence, reply.code, reply.status) == (-1, code, Reply.FAILED)
    assert reply.reason == f"{error} ({type(error).__name__}; the command lies in dead)"


def test_a_conflict_can_be_decided_anew() -> None:
    conflict = replies.conflict(b"r", 3, 5)
    assert conflict.reason == "expected sequence 3, but r is at 5; read it again and decide anew"
    assert (conflict.code, conflict.retryable) == ("sequence-conflict", True)
    record = Record("t", 0, 0, 0, b"r", b"", {ID: b"i"})
    reply = replies.rejected_reply(record, b"r", 5, Rejected("no", code="c"))
    assert (reply.status, reply.sequence, reply.correlation_id, reply.retryable) == (Reply.REJECTED, 5, "i", False)


# ---- states


def deposits(first: int, last: int) -> list[bytes]:
    return [
        StoredEvent(
            b"bank.v1.Deposited", b"", b"", b"", b"", b"", b"", Deposited(amount=1, balance=n).SerializeToString()
        ).pack()
        for n in range(first, last + 1)
    ]


class CountedStore(MemoryStore):
    """A long history, of which it counts what is read."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.end, self.read = last, 0

    def history(self, root: bytes, first: int, last: int) -> list[bytes]:
        assert 0 <= first <= last <= self.end
        self.read += last - first + 1
        return deposits(first, last)


def test_a_long_history_is_folded_only_once() -> None:
    store = CountedStore(3499)
    cache = StateCache(States(BANK), store, 10)
    live = CachedState(Account(), 3501)
    live.pending = deposits(3500, 3501)
    for sequence in (2999, 3501, 1000, 999, 0, 3000, 3500):
        state: Any = cache.state_at(b"r", live, sequence)
        assert (state.balance, state.count) == (sequence, sequence + 1)
    # all that there is, then 500 from the mark at 2999, one beyond 999, none at it, 1, 1 and 500
    assert store.read == 3000 + 500 + 1 + 0 + 1 + 1 + 500
    empty: Any = cache.state_at(b"r", live, -1)
    assert empty == Account()


def test_what_is_kept_of_a_long_history_is_in_the_store() -> None:
    """What a batch adds may be rolled back."""
    for pending, read in ((0, 1000), (1, 999 + 999)):
        store = CountedStore(999 - pending)
        cache = StateCache(States(BANK), store, 10)
        live = CachedState(Account(), 999)
        live.pending = deposits(1000 - pending, 999)
        for _ in range(2):
            cache.state_at(b"r", live, 999)
        assert store.read == read


def test_a_long_fold_is_done_in_parts() -> None:
    store = CountedStore(5499)
    cache = StateCache(States(BANK), store, 10)
    live = CachedState(Account(), 5499)
    found: list[Any] = [cache.state_within(b"r", live, 5400, most=2000) for _ in range(3)]
    assert found[:2] == [None, None]
    assert (found[2].balance, store.read) == (5400, 5401)


def test_intermediate_states_are_thinned_out() -> None:
    kept = IntermediateStates()
    for number in range(1000):
        kept.add(b"r", number * EVERY + EVERY - 1, b"%d" % number)
    states = kept._roots[b"r"]
    assert len(states.by_sequence) <= MOST
    assert kept.before(b"r", 1 << 40) == (1000 * EVERY - 1, b"999"), "the last one is always there"
    gaps = [later - earlier for earlier, later in pairwise(states.by_sequence)]
    assert max(gaps) == 8 * EVERY
    assert states.size == sum(map(len, states.by_sequence.values()))
    assert (kept.before(b"r", EVERY), kept.before(b"other", 5)) == (None, None)


def test_intermediate_states_of_the_roots_that_were_read_last_are_kept() -> None:
    kept = IntermediateStates()
    half = b"x" * (BYTES // 2)
    kept.add(b"a", 999, half)
    kept.add(b"b", 999, half)
    assert kept.before(b"a", 999) == (999, half)
    kept.add(b"c", 999, half)
    assert (kept.before(b"a", 999), kept.before(b"b", 999)) == ((999, half), None)
    kept.add(b"c", 1999, half + b"x")
    assert kept.before(b"c", 1999) == (1999, half + b"x")
    assert kept.before(b"c", 999) is None


def test_the_events_of_a_root_are_those_of_the_store_and_of_the_batch() -> None:
    cache = StateCache(States(BANK), CountedStore(3), 10)
    live = CachedState(Account(), 5)
    live.pending = deposits(4, 5)
    for first, count, found in ((0, None, (0, 5)), (2, 2, (2, 3)), (3, 2, (3, 4)), (4, 1, (4, 4)), (5, None, (5, 5))):
        assert cache.events(b"r", live, first, count) == deposits(*found)
    assert cache.events(b"r", live, 6) == []


def test_a_snapshot_is_as_large_as_there_is_room() -> None:
    cache = StateCache(States(BANK), MemoryStore(), 10)
    cache.touched = {b"r": CachedState(Account(note="n"), 3)}
    ((key, value),) = cache.snapshots(10_000, 5)
    assert key == b"r"
    assert list(cache.snapshots(len(value), 5)) == [(key, value)]
    with pytest.raises(SnapshotTooLarge):
        list(cache.snapshots(len(value) - 1, 5))


# ---- queues


def test_a_queue_goes_on_where_it_was_before_a_restart() -> None:
    store = MemoryStore()

    def batch(*offsets: int) -> tuple[Batch, OrderedQueue]:
        made = Batch(store)
        queue = OrderedQueue(made, "saga:x")
        for offset in offsets:
            queue.add(Record("t", 0, offset, 0, b"k", b"v", {}), b"r")
        return made, queue

    for offsets in ((0, 1), (2,)):
        made, _ = batch(*offsets)
        store.put(made.staged)
    made, queue = batch()
    assert (queue.holds(b"r"), queue.holds(b"s")) == (True, False)
    assert [queue.place(b"r", f"t/0/{offset}") for offset in (0, 1, 2, 3)] == [0, 1, 2, None]
    handled: list[int] = []

    def handle(record: Record, root: bytes) -> bool:
        assert root == b"r"
        handled.append(record.offset)
        return record.offset < 2

    queue.drain(b"r", handle, skip_first=True)
    store.put(made.staged)
    assert (handled, queue.place(b"r", "t/0/2"), queue.holds(b"r")) == ([1, 2], 0, True)
    before = made.savepoint()
    queue.drain(b"r", lambda record, root: True)
    assert not queue.holds(b"r")
    made.rollback(before)
    assert queue.holds(b"r"), "whoever drained it has failed"
    queue.add(Record("t", 0, 5, 0, b"k", b"v", {}), b"s")
    made.rollback(before)
    assert not queue.holds(b"s")
    assert made.written().parked == 0


# ---- what an author's code gives


def test_a_method_may_give_many_things_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "MOST", 3)
    assert handlers.several(iter(range(3))) == (0, 1, 2)
    with pytest.raises(HandlerError, match="more than 3 things for one record; does it end"):
        handlers.several(iter(range(4)))
    event = Deposited(amount=1)
    assert (handlers.several(None), handlers.several(event), handlers.several(7)) == ((), (event,), (7,))


@pytest.mark.parametrize("failures", [0, 1, 3, 4])
def test_a_reaction_that_stumbles_is_tried_three_times_more_after_longer_and_longer_pauses(failures: int) -> None:
    calls: list[int] = []
    pauses: list[float] = []

    def call(number: int) -> list[int]:
        calls.append(number)
        if len(calls) <= failures:
            raise Transient("not now")
        return [number]

    reaction: Any = SimpleNamespace(call=call)
    if failures < 4:
        assert handlers.react(reaction, (5,), pauses.append) == (5,)
    else:
        with pytest.raises(Transient):
            handlers.react(reaction, (5,), pauses.append)
    assert pauses == [0.05, 0.2, 0.8][:failures]
    assert len(calls) == min(failures + 1, 4)


def test_a_history_of_any_length_is_folded() -> None:
    for number in (0, 1, 999, 1000, 1001, 2000):
        state: Any = Account()
        assert States(BANK).fold(state, deposits(0, number - 1)) == number
        assert state.count == number
