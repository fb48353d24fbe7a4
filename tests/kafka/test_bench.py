"""Each benchmark in a tiny size: it yields its figures, and measures what it says it does."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from rocksdict import AccessType, Options, Rdict

from headrace.bench import (
    chain,
    commands,
    editions,
    latency,
    main,
    projections,
    read_your_writes,
    rehydrate,
    restore,
    workflow,
)
from headrace.bench.bare import BareLoop
from headrace.bench.load import component, deployment, deposits
from headrace.bench.peers import compare as peers
from headrace.schemas.headrace_v1_pb2 import CommandResults, Snapshot
from headrace.schemas.stored_event import unpack
from headrace.streams.observability.metrics import Metrics
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import end_offsets

pytestmark = pytest.mark.kafka


@pytest.fixture
def told() -> Iterator[list[str]]:
    """The progress that a benchmark tells of; it must tell something."""
    lines: list[str] = []
    yield lines
    assert lines


def committed(settings: Settings, topic: str, partitions: int) -> list[Message]:
    """All committed records of a topic; waits for the markers of transactions that are decided."""
    answers = end_offsets(settings, [(topic, number) for number in range(partitions)])
    ends = {number: end for (_, number), (_, end) in answers.items()}
    reader = Consumer(
        settings.client(
            group_id=f"{settings.prefix}test",
            enable_auto_commit=False,
            enable_partition_eof=True,
            isolation_level="read_committed",
            fetch_wait_max_ms=10,
        )
    )
    reader.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    found: list[Message] = []
    while ends:
        message = reader.poll(10)
        assert message is not None, f"{topic} did not come to an end"
        error = message.error()
        if error is None:
            found.append(message)
        else:
            assert error.code() == KafkaError._PARTITION_EOF, error
            number = message.partition() or 0
            if (message.offset() or 0) >= ends.get(number, 0):
                ends.pop(number, None)
    reader.close()
    return found


def written(settings: Settings) -> dict[str, list[Any]]:
    """Committed events and replies whole; the last snapshot of each root; the answers, which batches group."""
    names, edition, partitions = settings.names, settings.edition, settings.partitions

    def whole(topic: str, count: int) -> list[Any]:
        records = committed(settings, topic, count)
        return sorted((m.key(), m.value(), m.partition(), sorted(m.headers() or ())) for m in records)

    snapshots = committed(settings, names.topic(edition, "player", "snapshots"), partitions)
    kept = [
        CommandResults.FromString(m.value() or b"") for m in snapshots if (m.key() or b"").startswith(b"\0answers|")
    ]
    roots = [m for m in snapshots if not (m.key() or b"").startswith(b"\0")]
    states = {m.key() or b"": (without_time(m.value()), m.partition(), m.headers()) for m in roots}
    return {
        "events": whole(names.topic(edition, "player", "events"), partitions),
        "replies": whole(names.replies, settings.reply_partitions),
        "snapshots": sorted(states.items()),
        "answers": sorted(pair for each in kept for pair in zip(each.keys, each.values, strict=True)),
    }


def stored(folder: Path) -> dict[bytes, bytes]:
    """Snapshots, history and answers in the stores of a folder; not what batches and offsets make different."""
    found: dict[Any, Any] = {}
    for store in sorted(path for path in folder.iterdir() if path.is_dir()):
        db = Rdict(str(store), Options(raw_mode=True), access_type=AccessType.read_only())
        found |= dict(db.items())
        db.close()
    tables: dict[bytes, Callable[[bytes], bytes]] = {
        b"main\0s": without_time,
        b"main\0h": lambda value: unpack(value)._replace(recorded=b"").pack(),
        b"main\0a": bytes,
    }
    return {key: tables[key[:6]](value) for key, value in found.items() if key[:6] in tables}


def without_time(value: bytes | None) -> bytes:
    """A snapshot, but not when its events were recorded."""
    snapshot = Snapshot.FromString(value or b"")
    snapshot.recorded = 0
    return snapshot.SerializeToString()


def handle(loop: Any, count: int) -> None:
    """Let the engine or the bare loop handle so many commands."""
    done = 0
    while done < count:
        if messages := loop.poll(0.1):
            loop.process(messages)
            done += len(messages)
    loop.close()


def test_engine_and_bare_loop_write_the_same(bootstrap: str) -> None:
    with deployment(bootstrap, 3) as settings:
        count = deposits(settings, 20, 3)
        assert count == 80
        handle(component(settings, Metrics()), count)
        engine = written(settings)
        handle(BareLoop(settings, settings.state_dir / "bare"), count)
        both = written(settings)
        assert len(engine["events"]) == len(engine["replies"]) == len(engine["answers"]) == count
        assert len(engine["snapshots"]) == 20
        for kind in ("events", "replies", "answers"):
            assert both[kind] == sorted(2 * engine[kind]), f"the bare loop's {kind} differ"
        assert both["snapshots"] == engine["snapshots"]
        assert stored(settings.state_dir / "bare") == stored(settings.state_dir / "engine")
        assert len(stored(settings.state_dir / "engine")) == 2 * count + 20


def test_commands(bootstrap: str, told: list[str]) -> None:
    result = commands.run(told.append, bootstrap, roots=40, each=5, rounds=3, partitions=2)
    assert result["bench"] == "commands"
    assert result["what"].startswith("240 commands to 40 players")
    assert len(result["engine_rounds"]) == len(result["bare_rounds"]) == 3
    assert min(result["engine_rounds"]) <= result["commands_per_second"] <= max(result["engine_rounds"])
    assert result["ratio_to_bare_loop"] > 0
    assert result["engine_cpu_us"] > 0
    assert result["bare_cpu_us"] > 0
    assert commands.TARGETS.keys() <= result.keys()


def test_latency(bootstrap: str, told: list[str]) -> None:
    result = latency.run(told.append, bootstrap, rate=50, seconds=2, warm_up=0.5, players=10, partitions=2)
    assert result["count"] == 100
    assert result["errors"] == 0
    assert 0 < result["p50_ms"] <= result["p99_ms"] <= result["max_ms"]
    assert list(result["quantiles_ms"].values()) == sorted(result["quantiles_ms"].values())
    assert latency.TARGETS.keys() <= result.keys()


def test_peers(bootstrap: str, told: list[str]) -> None:
    result = peers.run(told.append, bootstrap, roots=100, each=4, rounds=1, partitions=2, rate=50, seconds=2)
    assert result["engine_per_second"] > 0
    assert result["kafka_streams_per_second"] > 0
    assert result["latency_ratio"] == pytest.approx(result["engine_p50_ms"] / result["kafka_streams_p50_ms"], abs=0.01)
    assert peers.TARGETS.keys() <= result.keys()


def test_restore_reads_the_tail_only(bootstrap: str, told: list[str]) -> None:
    result = restore.run(told.append, bootstrap, records=3_000, tail=1_500, partitions=2, rounds=3)
    assert result["records_per_second"] > 0
    # 1,500 snapshots in two transactions, each with a record of answers for both partitions
    assert result["tail_records"] == 1_504
    assert result["tail_ms"] > 0
    assert len(result["restore_rounds"]) == 3


def test_rehydrate(told: list[str]) -> None:
    result = rehydrate.run(told.append, events=2_500, rounds=3)
    assert 0 < result["snapshot_ms"] < result["cold_ms"]
    assert set(result["cold_stages_ms"]) == {"read", "parse_and_apply", "rest"}
    assert rehydrate.TARGETS.keys() <= result.keys()


def test_editions(bootstrap: str, told: list[str]) -> None:
    found = editions.run(told.append, bootstrap, rounds=3, history=300, commands=300, events=300, partitions=2)
    assert (len(found["registry_rounds"]), len(found["first_answer_rounds"])) == (6, 6)
    assert min(found["registry_rounds"]) > 0
    assert found["first_answer_to_plain"] > 0
    assert 0 < found["inherited_load_ms"] < 1000
    assert found["ratio_to_main"] > 0
    assert editions.TARGETS.keys() <= found.keys()


def test_workflow(bootstrap: str, told: list[str]) -> None:
    result = workflow.run(
        told.append, bootstrap, roots=20, each=5, rounds=3, rate=50, seconds=2, warm_up=0.5, partitions=2
    )
    assert result["count"] == 100
    assert result["errors"] == 0
    assert 0 < result["p50_ms"] <= result["p99_ms"] <= result["max_ms"]
    assert list(result["quantiles_ms"].values()) == sorted(result["quantiles_ms"].values())
    assert len(result["chains_rounds"]) == 3
    assert min(result["chains_rounds"]) <= result["chains_per_second"] <= max(result["chains_rounds"])
    assert result["worker_cpu_us"] > 0
    assert workflow.TARGETS.keys() <= result.keys()


def test_projections(bootstrap: str, told: list[str]) -> None:
    result = projections.run(told.append, bootstrap, players=50, each=100, together=10, rounds=3, partitions=2)
    assert result["what"].startswith("a projector's documents from nothing: 5,000 events, 100 of each of 50 players")
    assert result["documents"] == 50
    for name in ("engine", "bare"):
        assert 50 <= result[f"{name}_documents_written"] <= 5_000
        assert result[f"{name}_cpu_us_per_event"] > 0
        assert len(result[f"{name}_rounds"]) == 3
    assert min(result["engine_rounds"]) <= result["rebuild_events_per_second"] <= max(result["engine_rounds"])
    assert result["ratio_to_bare_loop"] > 0
    assert projections.TARGETS.keys() <= result.keys()


def test_read_your_writes(bootstrap: str, told: list[str]) -> None:
    result = read_your_writes.run(
        told.append, bootstrap, rate=50, seconds=1, warm_up=0.5, rounds=3, players=10, partitions=2
    )
    assert result["count"] == 600
    assert result["errors"] == 0
    for kind in ("plain", "direct", "fed"):
        assert 0 < result[f"{kind}_p50_ms"] <= result[f"{kind}_p99_ms"]
    for name in ("direct_p50", "direct_p99", "fed_p50", "fed_p99"):
        assert len(result["rounds_ms"][name]["decision"]) == len(result["rounds_ms"][name]["simple"]) == 3
    assert read_your_writes.TARGETS.keys() <= result.keys()


def test_a_chain_that_is_missing_or_twice_makes_the_benchmark_fail(bootstrap: str) -> None:
    with deployment(bootstrap, 2, chain.topology, list(chain.topology.components)) as settings:
        sender = workflow.Sender(settings, 3)
        sender.register()
        sender.together(3)
        names, edition = settings.names, settings.edition
        player, house = (names.topic(edition, domain, "events") for domain in ("player", "house"))
        with pytest.raises(RuntimeError, match="of 3 chains 3 have no event of player"):
            workflow.audit(settings, sender.ids)
        producer = Producer(settings.producer())

        def write(topic: str, header: str, chain_id: str) -> None:
            headers = [("ce_type", b"poker.v1.FundsDeposited"), (header, chain_id.encode())]
            producer.produce(topic, b"", "player", headers=headers)  # type: ignore[arg-type]
            producer.flush()

        for chain_id in sender.ids:
            write(player, "ce_causationid", chain_id)
            write(house, "ce_correlationid", chain_id)
        workflow.audit(settings, sender.ids)
        write(house, "ce_correlationid", sender.ids[0])
        with pytest.raises(RuntimeError, match="0 have no event of house, 1 have more than one"):
            workflow.audit(settings, sender.ids)


def test_a_program_gets_one_object_and_a_folder_the_rest(
    bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_BOOTSTRAP", bootstrap)
    main.run("restore", True, folder=tmp_path, records=1_000, tail=10, partitions=1, rounds=3)
    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert result["bench"] == "restore"
    assert result["targets"]["records_per_second"]["target"] == ">= 150000"
    assert result["machine"]["kafka"] == "given by HEADRACE_BOOTSTRAP"
    assert json.loads((tmp_path / "restore.json").read_text()) == result
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
