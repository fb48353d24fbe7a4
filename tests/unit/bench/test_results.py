"""What becomes of a benchmark's figures: judged, kept, shown as tables and as a picture."""

import copy
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from headrace.bench import load, main, plot, report, sinks, upcasting, what_if

MACHINE = {
    "date": "2026-11-24 12:00 UTC",
    "cpus": 2,
    "cpu_model": "Some CPU",
    "memory_gb": 8.0,
    "disk": "ext4",
    "system": "Linux 6",
    "python": "3.11.7",
    "kafka": "4.3.1, embedded, one broker",
    "others_cpus": 0.1,
}
MEASURED: dict[str, dict[str, Any]] = {
    "commands": {
        "bench": "commands",
        "what": "60,000 commands",
        "how": "in turn",
        "commands_per_second": 25_000,
        "bare_loop_per_second": 31_000,
        "ratio_to_bare_loop": 0.806,
        "engine_cpu_us": 38.0,
        "bare_cpu_us": 33.0,
        "engine_rounds": [24_000, 25_000, 26_000],
        "bare_rounds": [30_000, 31_000, 32_000],
    },
    "latency": {
        "bench": "latency",
        "what": "6,000 commands",
        "how": "open loop",
        "p50_ms": 6.5,
        "p99_ms": 61.25,
        "bare_p50_ms": 5.0,
        "ratio_to_bare_p50": 1.3,
        "max_ms": 80.0,
        "count": 6000,
        "rate": 200,
        "errors": 0,
        "quantiles_ms": {"0.5": 6.5, "0.75": 8.0, "0.9": 20.0, "0.95": 30.0, "0.99": 61.25, "0.999": 79.0, "1": 80.0},
    },
    "restore": {
        "bench": "restore",
        "what": "a changelog",
        "how": "by the restorer",
        "records_per_second": 210_000,
        "tail_records": 20_120,
        "tail_ms": 180.0,
        "restore_rounds": [200_000, 210_000, 220_000],
    },
    "rehydrate": {
        "bench": "rehydrate",
        "what": "one player",
        "how": "from the store",
        "events": 100_000,
        "snapshot_ms": 0.08,
        "cold_ms": 120.0,
        "cold_stages_ms": {"read": 40.0, "parse_and_apply": 50.0, "rest": 30.0},
        "snapshot_rounds": [0.07, 0.08, 0.09],
        "cold_rounds": [110.0, 120.0, 130.0],
    },
    "workflow": {
        "bench": "workflow",
        "what": "chains",
        "how": "by two workers",
        "chains_per_second": 8_500,
        "worker_cpu_us": 110.0,
        "p50_ms": 18.5,
        "p99_ms": 130.0,
        "max_ms": 150.0,
        "count": 3000,
        "rate": 100,
        "errors": 0,
        "quantiles_ms": {
            "0.5": 18.5,
            "0.75": 20.0,
            "0.9": 30.0,
            "0.95": 50.0,
            "0.99": 130.0,
            "0.999": 149.0,
            "1": 150.0,
        },
        "chains_rounds": [8_400, 8_500, 8_600],
    },
    "projections": {
        "bench": "projections",
        "what": "a million events",
        "how": "in turn",
        "rebuild_events_per_second": 30_000,
        "bare_events_per_second": 60_000,
        "ratio_to_bare_loop": 0.5,
        "engine_cpu_us_per_event": 25.2,
        "bare_cpu_us_per_event": 11.8,
        "documents": 50_000,
        "engine_documents_written": 170_000,
        "bare_documents_written": 168_000,
        "engine_rounds": [29_000, 30_000, 31_000],
        "bare_rounds": [59_000, 60_000, 61_000],
    },
    "read-your-writes": {
        "bench": "read-your-writes",
        "what": "commands at a steady rate",
        "how": "open loop",
        "plain_p50_ms": 10.0,
        "plain_p99_ms": 30.0,
        "direct_p50_ms": 20.0,
        "direct_p99_ms": 75.0,
        "fed_p50_ms": 30.0,
        "fed_p99_ms": 90.0,
        "direct_to_plain_p50": 2.0,
        "direct_to_plain_p99": 2.5,
        "fed_to_plain_p50": 3.0,
        "fed_to_plain_p99": 3.0,
        "rate": 200,
        "count": 24_000,
        "errors": 0,
    },
    "upcasting": {
        "bench": "upcasting",
        "what": "a history",
        "how": "in turn",
        "events": 2000,
        "rounds": 400,
        "current_us": 0.71,
        "current_percent": -0.09,
        "current_interval_percent": [-0.92, 0.51],
        "current_percent_off": 0.92,
        "old_us_a_link": 1.2,
        "method_us_a_link": 0.9,
    },
    "sinks": {
        "bench": "sinks",
        "what": "documents",
        "how": "in turn",
        "search_per_second": 15_000,
        "file_per_second": 40_000,
        "search_cpu_us": 55.0,
        "file_cpu_us": 20.0,
        "redis_documents_per_second": None,
        "redis_get_p99_ms": None,
        "left_out": {"redis": "there is none"},
    },
}


@pytest.fixture
def results() -> dict[str, report.Result]:
    """One result of each benchmark, judged by the targets that the benchmarks have."""
    return {
        name: report.judged(copy.deepcopy(found), main.MODULES[name].TARGETS, MACHINE)
        for name, found in MEASURED.items()
    }


@pytest.mark.parametrize(
    ("value", "target", "met"),
    [(49.9, "< 50", True), (50, "< 50", False), (0.6, ">= 0.6", True), (0.599, ">= 0.6", False), (2, ">= 1", True)],
)
def test_targets_are_bounds(value: float, target: str, met: bool) -> None:
    assert report.meets(value, target) is met


def test_another_form_of_target_is_refused() -> None:
    with pytest.raises(ValueError, match="no target"):
        report.meets(1, "<= 2")


def test_a_result_says_which_targets_are_met_and_where_it_was_measured(results: dict[str, report.Result]) -> None:
    assert results["latency"]["targets"] == {
        "p50_ms": {"target": "< 10", "met": True},
        "p99_ms": {"target": "< 50", "met": False},
        "ratio_to_bare_p50": {"target": "< 2", "met": True},
    }
    assert results["latency"]["machine"] == MACHINE


def test_what_a_chain_misses_is_said(results: dict[str, report.Result]) -> None:
    assert results["workflow"]["targets"] == {
        "chains_per_second": {"target": ">= 8000", "met": True},
        "p50_ms": {"target": "< 25", "met": True},
        "p99_ms": {"target": "< 120", "met": False},
    }
    assert ("chains per second", "8,500", ">= 8000: met") in report.rows(results["workflow"])


def test_what_documents_cost_is_said(results: dict[str, report.Result]) -> None:
    rebuild, waiting = (report.rows(results[name]) for name in ("projections", "read-your-writes"))
    assert ("events per second into documents, engine", "30,000", "") in rebuild
    assert ("engine to bare loop", "0.50", ">= 0.6: missed") in rebuild
    assert ("processor time per event, engine (µs)", "25.2", "") in rebuild
    assert ("documents by root, 99 of 100: to the answer's alone", "2.50", "< 2.3: missed") in waiting
    assert ("documents by key, median: to the answer's alone", "3.00", "< 3.3: met") in waiting


def test_what_upcasters_cost_is_said(results: dict[str, report.Result]) -> None:
    rows = report.rows(results["upcasting"])
    assert ("end of the 95 % interval of that, the farther one", "0.92", "< 2: met") in rows
    assert ("an old event, each link of its chain (µs)", "1.20", "< 1: missed") in rows


def test_what_was_not_measured_has_no_row_and_misses_no_target(results: dict[str, report.Result]) -> None:
    assert results["sinks"]["targets"] == {"search_cpu_us": {"target": "< 60", "met": True}}
    names = [name for name, _, _ in report.rows(results["sinks"])]
    assert len(names) == 4
    assert not any("Redis" in name for name in names)


def test_sinks_without_any_server_are_an_error_that_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEARCH_URL", "REDIS_URL", "PATH"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError, match=r"SEARCH_URL .*REDIS_URL"):
        sinks.run(lambda line: None, "127.0.0.1:1")


def test_upcasters_are_measured_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    found = upcasting.run(lambda line: None, events=100, rounds=20)
    low, high = found["current_interval_percent"]
    assert low <= found["current_percent"] <= high
    assert found["method_us_a_link"] > 0


def test_what_ifs_are_measured_in_memory() -> None:
    found = what_if.run(lambda line: None, hands=(1, 2), rounds=3)
    assert found["by_hands"].keys() == {1, 2}
    assert found["ratio_to_bare"] < 1
    result = report.judged(found, what_if.TARGETS, MACHINE)
    assert ("what-ifs to bare handlers", f"{found['ratio_to_bare']:.2f}", ">= 0.5") in [
        (label, value, word.partition(":")[0]) for label, value, word in report.rows(result)
    ]


def test_an_interval_of_a_median_has_the_median() -> None:
    assert upcasting.interval([float(n) for n in range(100)]) == (40.0, 59.0)


def test_the_latest_result_of_each_benchmark_is_kept_and_so_are_all(
    tmp_path: Path, results: dict[str, report.Result]
) -> None:
    older = {**results["restore"], "records_per_second": 1}
    for result in (older, results["commands"], results["restore"]):
        report.save(tmp_path, result)
    assert report.latest(tmp_path) == {"commands": results["commands"], "restore": results["restore"]}
    assert [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()] == [
        older,
        results["commands"],
        results["restore"],
    ]


def test_a_result_as_a_table_for_a_terminal(results: dict[str, report.Result]) -> None:
    out = StringIO()
    Console(width=100, file=out).print(report.table(results["latency"]))
    text = out.getvalue()
    assert "6.5" in text
    assert "< 10: met" in text
    assert "< 50: missed" in text
    assert "open loop" in text


def test_results_as_markdown(results: dict[str, report.Result]) -> None:
    text = report.markdown([results["commands"]])
    assert text == (
        "### commands\n\n60,000 commands.\n\nHow: in turn.\n\n"
        "Where: 2026-11-24 12:00 UTC; 2 × Some CPU, 8 GB, ext4, Linux 6; Python 3.11.7; "
        "Kafka 4.3.1, embedded, one broker; other programs used 0.1 processors meanwhile.\n\n"
        "| figure | value | target |\n|---|--:|---|\n"
        "| commands per second, engine | 25,000 | >= 20000: met |\n"
        "| commands per second, bare loop | 31,000 |  |\n"
        "| engine to bare loop | 0.81 | >= 0.6: met |\n"
        "| processor time per command, engine (µs) | 38 |  |\n"
        "| processor time per command, bare loop (µs) | 33 |  |\n"
    )


def test_a_document_gets_new_results_and_keeps_the_rest(results: dict[str, report.Result]) -> None:
    before = "# Title\n\n<!-- results: begin -->\nold\n<!-- results: end -->\nthe end\n"
    once = report.renewed(before, [results["restore"]])
    assert once.startswith("# Title\n")
    assert once.endswith("\nthe end\n")
    assert "old" not in once
    assert "210,000" in once
    assert report.renewed(once, [results["restore"]]) == once
    with pytest.raises(ValueError, match="no place"):
        report.renewed("# Title\n", [])


@pytest.mark.parametrize("names", [("latency",), tuple(MEASURED)])
def test_results_as_a_picture(tmp_path: Path, results: dict[str, report.Result], names: tuple[str, ...]) -> None:
    picture = tmp_path / "sub" / "bench.png"
    plot.draw({name: results[name] for name in names}, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_quantiles_are_values_that_occurred() -> None:
    ordered = [float(n) for n in range(1, 101)]
    assert [load.quantile(ordered, q) for q in (0, 0.5, 0.99, 0.999, 1)] == [1, 50, 99, 100, 100]
    assert load.quantile([7.0], 0.5) == 7
    with pytest.raises(ValueError, match="no values"):
        load.quantile([], 0.5)


def test_what_makes_no_sense_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(
        LookupError,
        match="rehydrate, workflow, projections, read-your-writes, upcasting, what-if, editions, sinks, peers and",
    ):
        main.run("speed", True, folder=tmp_path)
    with pytest.raises(TypeError, match="latency has no option records"):
        main.run("latency", True, folder=tmp_path, records=1)
    with pytest.raises(ValueError, match="rounds is 2"):
        main.run("rehydrate", True, folder=tmp_path, rounds=2)
    assert list(tmp_path.iterdir()) == []
