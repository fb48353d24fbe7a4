"""Results on disk, as a table in a terminal, and as a table in a document."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

Result = dict[str, Any]
NAMES = (
    "commands",
    "latency",
    "restore",
    "rehydrate",
    "workflow",
    "projections",
    "read-your-writes",
    "upcasting",
    "peers",
)
_BEGIN, _END = "<!-- results: begin -->", "<!-- results: end -->"
LABELS = {
    "commands_per_second": ("commands per second, engine", "{:,.0f}"),
    "bare_loop_per_second": ("commands per second, bare loop", "{:,.0f}"),
    "rebuild_events_per_second": ("events per second into documents, engine", "{:,.0f}"),
    "bare_events_per_second": ("events per second into documents, bare loop", "{:,.0f}"),
    "ratio_to_bare_loop": ("engine to bare loop", "{:.2f}"),
    "engine_cpu_us": ("processor time per command, engine (µs)", "{:.0f}"),
    "bare_cpu_us": ("processor time per command, bare loop (µs)", "{:.0f}"),
    "chains_per_second": ("chains per second", "{:,.0f}"),
    "worker_cpu_us": ("processor time per chain, both workers (µs)", "{:.0f}"),
    "engine_cpu_us_per_event": ("processor time per event, engine (µs)", "{:.1f}"),
    "bare_cpu_us_per_event": ("processor time per event, bare loop (µs)", "{:.1f}"),
    "documents": ("documents", "{:,}"),
    "engine_documents_written": ("documents written, engine", "{:,}"),
    "bare_documents_written": ("documents written, bare loop", "{:,}"),
    "p50_ms": ("done after, median (ms)", "{:.1f}"),
    "p99_ms": ("done after, 99 of 100 (ms)", "{:.1f}"),
    "bare_p50_ms": ("the bare loop, median (ms)", "{:.1f}"),
    "ratio_to_bare_p50": ("median of the engine to the bare loop's", "{:.2f}"),
    "plain_p50_ms": ("answered after, median (ms)", "{:.1f}"),
    "plain_p99_ms": ("answered after, 99 of 100 (ms)", "{:.1f}"),
    "direct_p50_ms": ("with documents by root, median (ms)", "{:.1f}"),
    "direct_p99_ms": ("with documents by root, 99 of 100 (ms)", "{:.1f}"),
    "fed_p50_ms": ("with documents by key, median (ms)", "{:.1f}"),
    "fed_p99_ms": ("with documents by key, 99 of 100 (ms)", "{:.1f}"),
    "direct_to_plain_p50": ("documents by root, median: to the answer's alone", "{:.2f}"),
    "direct_to_plain_p99": ("documents by root, 99 of 100: to the answer's alone", "{:.2f}"),
    "fed_to_plain_p50": ("documents by key, median: to the answer's alone", "{:.2f}"),
    "fed_to_plain_p99": ("documents by key, 99 of 100: to the answer's alone", "{:.2f}"),
    "engine_per_second": ("commands per second, engine", "{:,.0f}"),
    "kafka_streams_per_second": ("commands per second, Kafka Streams", "{:,.0f}"),
    "ratio_to_kafka_streams": ("engine to Kafka Streams", "{:.2f}"),
    "engine_p50_ms": ("done after, engine, median (ms)", "{:.1f}"),
    "kafka_streams_p50_ms": ("done after, Kafka Streams, median (ms)", "{:.1f}"),
    "quix_streams_per_second": ("commands per second, Quix Streams", "{:,.0f}"),
    "ratio_to_quix_streams": ("engine to Quix Streams", "{:.2f}"),
    "quix_streams_p50_ms": ("done after, Quix Streams, median (ms)", "{:.1f}"),
    "latency_ratio": ("median of the engine to Kafka Streams'", "{:.2f}"),
    "max_ms": ("done after, the slowest (ms)", "{:.1f}"),
    "errors": ("without a good end", "{:,}"),
    "records_per_second": ("changelog records per second", "{:,.0f}"),
    "tail_records": ("records read for a store behind by a tail", "{:,}"),
    "tail_ms": ("store behind by that tail, ready after (ms)", "{:,.0f}"),
    "snapshot_ms": ("state by its snapshot (ms)", "{:.3f}"),
    "cold_ms": ("state folded from all events (ms)", "{:.0f}"),
    "current_us": ("an event of today, folded (µs)", "{:.2f}"),
    "current_percent": ("the same with upcasters (% more)", "{:+.2f}"),
    "current_percent_off": ("end of the 95 % interval of that, the farther one", "{:.2f}"),
    "old_us_a_link": ("an old event, each link of its chain (µs)", "{:.2f}"),
    "method_us_a_link": ("of which the author's method (µs)", "{:.2f}"),
}
"""What the figures of a result are called, and how they are written."""


def judged(result: Result, targets: Mapping[str, str], machine: Mapping[str, Any]) -> Result:
    """The result with its targets, whether each is met, and the machine."""
    met = {key: {"target": target, "met": meets(result[key], target)} for key, target in targets.items()}
    return {**result, "targets": met, "machine": dict(machine)}


def meets(value: float, target: str) -> bool:
    """Whether a value is as a target such as `< 50` or `>= 0.6` says; raises ValueError for another form."""
    sign, _, bound = target.partition(" ")
    if sign == "<":
        return value < float(bound)
    if sign == ">=":
        return value >= float(bound)
    raise ValueError(f"{target!r} is no target; it begins with < or >=")


def save(folder: Path, result: Result) -> None:
    """Make the result the latest of its benchmark in `folder`, and add it to all that were measured there."""
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps(result, ensure_ascii=False)
    (folder / f"{result['bench']}.json").write_text(line + "\n")
    with (folder / "all.jsonl").open("a") as log:
        log.write(line + "\n")


def latest(folder: Path) -> dict[str, Result]:
    """The latest result of each benchmark that `folder` has one of."""
    files = {name: folder / f"{name}.json" for name in NAMES}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}


def rows(result: Result) -> list[tuple[str, str, str]]:
    """Figure, value and target (empty without one) of a result, as text."""
    found = []
    for key, (label, form) in LABELS.items():
        if key in result:
            target = result.get("targets", {}).get(key)
            word = "" if target is None else f"{target['target']}: {'met' if target['met'] else 'missed'}"
            found.append((label, form.format(result[key]), word))
    return found


def table(result: Result) -> Table:
    """The result for a terminal."""
    meanwhile = f"other programs used {result['machine']['others_cpus']:g} processors meanwhile"
    caption = f"{result['what']}\n{result['how']}\n{meanwhile}"
    shown = Table(title=result["bench"], caption=caption, title_justify="left")
    shown.caption_justify = "left"
    shown.add_column("figure")
    shown.add_column("value", justify="right")
    shown.add_column("target")
    for label, value, word in rows(result):
        colour = "red" if word.endswith("missed") else "green"
        shown.add_row(label, value, f"[{colour}]{word}[/]" if word else "")
    return shown


def machine_line(machine: Mapping[str, Any]) -> str:
    """The machine in one sentence."""
    return (
        f"{machine['date']}; {machine['cpus']} × {machine['cpu_model']}, {machine['memory_gb']:g} GB, "
        f"{machine['disk']}, {machine['system']}; Python {machine['python']}; Kafka {machine['kafka']}; "
        f"other programs used {machine['others_cpus']:g} processors meanwhile"
    )


def markdown(results: Iterable[Result]) -> str:
    """A section for each result: what, how, where, and its figures as a table."""
    parts = []
    for result in results:
        lines = [f"| {label} | {value} | {word} |" for label, value, word in rows(result)]
        parts.append(
            f"### {result['bench']}\n\n"
            f"{_sentence(result['what'])}\n\n"
            f"How: {result['how']}.\n\n"
            f"Where: {machine_line(result['machine'])}.\n\n"
            "| figure | value | target |\n|---|--:|---|\n" + "\n".join(lines) + "\n"
        )
    return "\n".join(parts)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def renewed(document: str, results: Iterable[Result]) -> str:
    """The document with these results where others stand; raises ValueError when it has no place for them."""
    before, begin, rest = document.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the document has no place for results: lines {_BEGIN} and {_END}")
    return f"{before}{begin}\n{markdown(results)}{end}{after}"
