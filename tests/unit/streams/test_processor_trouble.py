"""What a processor commits, and what it does with a batch that cannot be committed as it is. Kafka is a fake."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from confluent_kafka import KafkaError, KafkaException

from headrace.schemas.headers import UNREADABLE
from headrace.schemas.record import Record
from headrace.streams.runtime.partition import Interrupted
from headrace.streams.steps.errors import SnapshotTooLarge
from headrace.streams.steps.store import StoreFailed
from tests.support.processor_bench import (
    COMMANDS,
    DOUBT,
    EVENTS,
    FACTS,
    SNAPSHOTS,
    TOO_LARGE,
    Bench,
    record,
)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


ABORTED = ["abort", "rolled back", "rolled back"]
DROPPED = ["rolled back", "rolled back", "drop"]
ANEW = ["drop", "start"]


def test_a_batch_is_committed_before_it_is_in_the_store(bench: Bench) -> None:
    bench.step().escalations = [{"why": "now"}]
    bench.step().enforce_state_size = True
    bench.kafka.offsets = {(SNAPSHOTS, 0): 7, (EVENTS, 0): 9, (SNAPSHOTS, 1): 3}
    assert bench.process(0, 1)
    assert bench.kafka.taken() == [
        *["begin", "handle 0:0", "handle 0:1", "finish carefully", "send 0 1", "commit commands/0=2", "put"],
        "committed",
    ]
    assert bench.step().positions == [(COMMANDS, 2), (FACTS, -1001)]
    assert bench.alerts == [{"why": "now"}]
    assert not bench.step().enforce_state_size
    assert bench.partitions[0].offsets == {COMMANDS: 2, FACTS: -1001}
    assert bench.store().checkpoints == {SNAPSHOTS: 8}, "its history is not all there"
    assert bench.store(1).checkpoints == {"none": 0}, "it had nothing"
    assert bench.count("batch_records_sum") == 2
    bench.partitions[0].history.set()
    assert bench.process(2)
    assert bench.store().checkpoints == {SNAPSHOTS: 8, EVENTS: 10}
    assert bench.step().outputs == []


def test_what_is_committed_already_is_left_out(bench: Bench) -> None:
    bench.partitions[0].offsets[COMMANDS] = 5
    bench.its.process_input([record(4), record(5), record(4, topic=FACTS), record(0, 1)])
    assert [note for note in bench.kafka.taken() if "handle" in note] == ["handle 0:5", "handle 0:4", "handle 1:0"]
    bench.its.process_input([record(4)])
    assert bench.kafka.taken() == [], "nothing is left"


def test_outputs_of_a_large_batch_are_sent_while_it_is_handled(bench: Bench) -> None:
    bench.process(*range(401))
    notes = bench.kafka.taken()
    sent = [number for number, note in enumerate(notes) if note.startswith("send")]
    assert [len(notes[number].split()) - 1 for number in sent] == [200, 200, 1]


def test_a_batch_has_as_many_records_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, batch=3)
    assert not bench.process(0, 1, 2, 3), "one of them comes again"
    assert bench.kafka.taken()[-1] == "rewind [0]"
    assert bench.partitions[0].offsets[COMMANDS] == 3


def test_time_outs_hold_the_offsets_that_are_committed(bench: Bench) -> None:
    """With them, the broker refuses a worker that has lost the partition."""
    bench.partitions[0].offsets[COMMANDS] = 6
    assert bench.process(-1)
    assert bench.kafka.taken()[1] == "fire 0:-1"
    assert bench.partitions[0].offsets == {COMMANDS: 6, FACTS: 0}
    bench.process(-2)
    assert "commit commands/0=6 facts/0=0" in bench.kafka.taken()


def test_time_outs_that_are_left_over_come_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, batch=1)
    assert not bench.process(-1, -2)
    assert not any(note.startswith("rewind") for note in bench.kafka.taken())


@pytest.mark.parametrize(("value", "whole"), [(b"x", True), (b"", True), (None, False)])
def test_a_record_that_cannot_be_read_is_refused(value: bytes | None, whole: bool, bench: Bench) -> None:
    assert bench.its.process([record(3)._replace(value=value, headers={UNREADABLE: b"why"})])
    assert bench.kafka.taken()[1] == f"refuse 3 RecordError why {whole}"


def test_records_are_traced_if_that_is_wanted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def span(name: str, group: str, record: Record) -> Iterator[None]:
        bench.kafka.note(f"{name} {group} {record.offset}")
        yield
        bench.kafka.note("end")

    monkeypatch.setattr(bench.tracing, "on", True)
    monkeypatch.setattr(bench.tracing, "span", span)
    bench.process(0)
    assert bench.kafka.taken()[1:4] == ["account headrace.account 0", "handle 0:0", "end"]


# ---- positions alone


def test_positions_alone_are_committed_without_records(bench: Bench) -> None:
    bench.partitions[0].offsets = {COMMANDS: 4, FACTS: 2}
    bench.its.record_positions([bench.partitions[0]], {(COMMANDS, 0): 6})
    assert bench.kafka.taken() == ["begin", "finish", "send", "commit commands/0=6 facts/0=2", "put", "committed"]
    assert bench.partitions[0].offsets == {COMMANDS: 6, FACTS: 2}
    assert bench.count("batch_records_count") is None, "it is no batch"
    bench.kafka.fail = {"commit": [DOUBT]}
    bench.its.record_positions([bench.partitions[1]])
    assert bench.its.in_doubt
    bench.kafka.taken()
    bench.its.record_positions([bench.partitions[1]])
    assert bench.kafka.taken() == [], "in doubt"


# ---- trouble


def test_in_doubt_nothing_is_processed_until_it_is_settled(bench: Bench) -> None:
    """It is not aborted: what is on its way could come after the end of its transaction."""
    assert bench.count("transactions_in_doubt_total") == 0
    bench.kafka.fail = {"commit": [DOUBT]}
    assert not bench.process(0)
    assert bench.kafka.taken()[-4:] == ["commit commands/0=1", *DROPPED]
    assert bench.count("transactions_in_doubt_total") == 1
    assert bench.partitions[0].offsets[COMMANDS] == 0
    assert not bench.process(0)
    assert bench.kafka.taken() == []
    bench.kafka.fail = {"start": [KafkaException(KafkaError(KafkaError._TRANSPORT))]}
    with pytest.raises(KafkaException):
        bench.its.recover()
    assert bench.its.in_doubt
    bench.its.recover()
    assert bench.kafka.taken() == ["start", "start", "missing", "restore [0, 1]"]
    assert bench.process(0)
    bench.its.close()
    assert bench.kafka.notes[-1] == "close"


@pytest.mark.parametrize(
    ("error", "then"), [(StoreFailed("broken", "here"), ["repair broken"]), (Interrupted(), list[str]())]
)
def test_what_is_no_records_doing_ends_the_batch(error: BaseException, then: list[str], bench: Bench) -> None:
    bench.kafka.fail = {"handle": [None, error]}
    assert not bench.process(0, 1)
    assert bench.kafka.taken() == ["begin", "handle 0:0", "handle 0:1", *ABORTED, *then]
    assert not bench.its.in_doubt


def test_a_state_that_is_too_large_is_looked_for_record_by_record(bench: Bench) -> None:
    bench.kafka.fail = {"finish": [SnapshotTooLarge("large")]}
    assert bench.process(0, 1)
    notes = bench.kafka.taken()
    assert notes[:8] == ["begin", "handle 0:0", "handle 0:1", "finish", *ABORTED, "begin"]
    assert "finish carefully" in notes
    assert (bench.step(0).enforce_state_size, bench.step(1).enforce_state_size) == (False, True)


def test_a_batch_with_a_record_that_is_too_large_is_halved_until_that_one_is_alone(bench: Bench) -> None:
    bench.kafka.fail = {"commit": [TOO_LARGE, None, TOO_LARGE, TOO_LARGE]}
    assert bench.process(0, 1, 2)
    notes = bench.kafka.taken()
    assert [note for note in notes if note.startswith(("handle", "refuse"))] == [
        *["handle 0:0", "handle 0:1", "handle 0:2"],
        *["handle 0:0", "handle 0:1", "handle 0:2"],
        *["handle 0:1", "refuse 1 RecordTooLarge large True", "handle 0:2"],
    ]
    # librdkafka counts the refused records, and the broker does not
    assert notes.count("start") == notes.count("drop") == notes.count("abort") == 3
    assert notes[notes.index("abort") :][:5] == [*ABORTED, *ANEW]
    assert bench.partitions[0].offsets[COMMANDS] == 3


def test_a_dead_letter_that_is_too_large_is_kept_by_reference(bench: Bench) -> None:
    bench.kafka.fail = {"commit": [TOO_LARGE, TOO_LARGE]}
    assert bench.process(0)
    assert [note for note in bench.kafka.taken() if not note.startswith(("send", "finish"))] == [
        *["begin", "handle 0:0", "commit commands/0=1", *ABORTED, *ANEW],
        *["begin", "refuse 0 RecordTooLarge large True", "commit commands/0=1", *ABORTED, *ANEW],
        *["begin", "refuse 0 RecordTooLarge large False", "commit commands/0=1", "put", "committed"],
    ]


@pytest.mark.parametrize(
    "fail",
    [
        {"commit": [TOO_LARGE, TOO_LARGE, TOO_LARGE]},
        {"commit": [TOO_LARGE, DOUBT]},
        {"commit": [TOO_LARGE], "start": [KafkaException(KafkaError(KafkaError._TRANSPORT))]},
    ],
    ids=["not even a reference fits", "doubt", "brokers are away"],
)
def test_a_batch_that_cannot_be_divided_is_in_doubt(fail: dict[str, list[BaseException | None]], bench: Bench) -> None:
    bench.kafka.fail = fail
    assert not bench.process(0)
    assert bench.its.in_doubt
    assert bench.kafka.taken()[-3:] == DROPPED


def test_nothing_overtakes_a_half_that_is_in_doubt(bench: Bench) -> None:
    bench.kafka.fail = {"commit": [TOO_LARGE, DOUBT]}
    assert not bench.process(0, 1)
    assert "handle 0:1" not in bench.kafka.taken()[-8:]


def test_what_was_behind_a_divided_batch_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, batch=2)
    bench.kafka.fail = {"commit": [TOO_LARGE]}
    assert not bench.process(0, 1, 2)
    assert bench.kafka.taken()[-1] == "rewind [0]"
    assert bench.partitions[0].offsets[COMMANDS] == 2


@pytest.mark.parametrize(
    ("most", "batch", "rewound"), [(9, (0, 0, 1, 1), ["[0]", "[1]"]), (4, (0, 0, 0, 0, 1), ["[0]", "[0]", "[1]"])]
)
def test_what_a_divided_batch_leaves_comes_again_of_all_partitions(
    most: int, batch: Sequence[int], rewound: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first half ends by time; what is behind it would be passed over, without an answer, for ever."""
    bench = Bench(monkeypatch, batch=most)
    now = [50.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def handle(_: Record) -> None:
        now[0] += 3  # more than a quarter of ten

    monkeypatch.setattr(bench.step(), "handle", handle)
    bench.kafka.fail = {"commit": [TOO_LARGE]}
    records = [record(batch[:at].count(partition), partition) for at, partition in enumerate(batch)]
    assert not bench.its.process(records)
    assert [note for note in bench.kafka.taken() if note.startswith("rewind")] == [f"rewind {one}" for one in rewound]
    assert [partition.offsets[COMMANDS] for partition in bench.partitions.values()] == [1, 0]


def test_a_record_that_outlasts_its_transaction_is_refused_when_it_comes_again_and_then_is_like_any_other(
    bench: Bench,
) -> None:
    bench.its._too_slow[COMMANDS, 0, 1] = 12.4
    assert bench.process(0, 1)
    refused = "refuse 1 HandlerError it took 12 s, and a transaction ends before True"
    assert [note for note in bench.kafka.taken() if note.startswith(("handle", "refuse"))] == ["handle 0:0", refused]
    assert bench.process(1)
    assert "handle 0:1" in bench.kafka.taken()


@pytest.mark.parametrize(("seconds", "slow"), [(7.4, False), (7.6, True)])
def test_a_quarter_of_the_transactions_time_is_left_to_the_brokers(
    seconds: float, slow: bool, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [50.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def handle(_: Record) -> None:
        now[0] += seconds

    monkeypatch.setattr(bench.step(), "handle", handle)
    bench.kafka.fail = {"commit": [DOUBT, DOUBT]}
    for _ in range(2):  # once may be chance, as when the machine sleeps
        bench.process(0)
        bench.its.in_doubt = False
        assert not any(note.startswith("refuse") for note in bench.kafka.taken())
    bench.process(0)
    assert any(note.startswith("refuse") for note in bench.kafka.taken()) is slow
