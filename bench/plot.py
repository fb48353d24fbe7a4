"""The results as a picture: a panel for each benchmark, two for workflow, with their targets."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no display is needed

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from headrace.bench.report import Result, machine_line

_ENGINE, _OTHER, _TARGET, _TEXT, _GRID = "#1f6f8b", "#b8c4cc", "#c8553d", "#22303a", "#e4e9ec"
_STAGES = ("#1f6f8b", "#4f9db3", "#8cc0cd")


def draw(results: Mapping[str, Result], picture: Path) -> None:
    """Write a PNG with panels for each benchmark that has a result; the other panels say that there is none."""
    figure = Figure(figsize=(13, 17), dpi=120, facecolor="white")
    panels = figure.subplots(4, 2).flat
    figure.subplots_adjust(left=0.07, right=0.975, top=0.945, bottom=0.045, wspace=0.22, hspace=0.42)
    for axes, (name, panel) in zip(panels, _PANELS, strict=True):
        _prepare(axes)
        if name in results:
            panel(axes, results[name])
        else:
            _empty(axes, name)
    if results:
        newest = max((result["machine"] for result in results.values()), key=lambda machine: str(machine["date"]))
        figure.text(0.025, 0.02, machine_line(newest), fontsize=8, color="#5c6b75")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture)


def _prepare(axes: Any) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_OTHER)
    axes.tick_params(colors=_TEXT, length=0, labelsize=9)
    axes.set_axisbelow(True)


def _title(axes: Any, title: str, below: str) -> None:
    axes.set_title(title, loc="left", fontsize=12.5, fontweight="bold", color=_TEXT, pad=26)
    axes.text(0, 1.04, below, transform=axes.transAxes, fontsize=9, color="#5c6b75")


def _empty(axes: Any, name: str) -> None:
    _title(axes, name, "not measured yet")
    axes.set_xticks([])
    axes.set_yticks([])


def _verdict(result: Result, key: str) -> str:
    target = result["targets"][key]
    sign = target["target"].partition(" ")[0].replace(">=", "≥")
    return f"{sign} {_bound(result, key):,g} {'met' if target['met'] else 'missed'}"


def _bound(result: Result, key: str) -> float:
    return float(result["targets"][key]["target"].partition(" ")[2])


def _thousands(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _target_line(axes: Any, bound: float, text: str) -> None:
    axes.axhline(bound, color=_TARGET, linewidth=1.3, linestyle=(0, (5, 3)))
    axes.annotate(text, (1, bound), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points",
                  ha="right", va="bottom", fontsize=9, color=_TARGET)  # fmt: skip


def _beside_bare(axes: Any, result: Result) -> float:
    """Bars of engine and bare loop by round; the highest."""
    engine, bare = result["engine_rounds"], result["bare_rounds"]
    places = range(len(engine))
    axes.bar([p - 0.2 for p in places], engine, 0.38, color=_ENGINE, label="engine")
    axes.bar([p + 0.2 for p in places], bare, 0.38, color=_OTHER, label="bare loop")
    axes.set_xticks(list(places), [f"round {p + 1}" for p in places])
    axes.set_xlim(-0.6, len(engine) + 0.1)
    axes.yaxis.grid(color=_GRID)
    _thousands(axes.yaxis)
    axes.legend(frameon=False, fontsize=9, loc="upper left", ncols=2, borderaxespad=0)
    return float(max(*engine, *bare))


def _commands(axes: Any, result: Result) -> None:
    axes.set_ylim(0, max(_beside_bare(axes, result), 20_000) * 1.3)
    _target_line(axes, 20_000, "20,000")
    _title(
        axes,
        f"Commands: {result['commands_per_second']:,} a second, {result['ratio_to_bare_loop']:.2f} × the bare loop",
        f"targets: {_verdict(result, 'commands_per_second')}; ratio {_verdict(result, 'ratio_to_bare_loop')}",
    )


def _latency(axes: Any, result: Result) -> None:
    _quantiles(axes, result, "Latency", "commands")


def _chain(axes: Any, result: Result) -> None:
    _quantiles(axes, result, "Workflow", "chains")


def _quantiles(axes: Any, result: Result, title: str, unit: str) -> None:
    quantiles = {float(q): ms for q, ms in result["quantiles_ms"].items()}
    places = range(len(quantiles))
    values = list(quantiles.values())
    axes.plot(places, values, color=_ENGINE, linewidth=2, marker="o", markersize=6, clip_on=False)
    for place, value in zip(places, values, strict=True):
        axes.annotate(f"{value:.1f}", (place, value), xytext=(0, 8), textcoords="offset points", ha="center",
                      fontsize=9, color=_TEXT)  # fmt: skip
    axes.set_xticks(list(places), ["slowest" if q == 1 else f"{q * 100:g} %" for q in quantiles])
    axes.set_yscale("log")
    axes.set_ylim(min(1.0, *values) * 0.9, max(100.0, *values) * 1.6)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} ms"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", which="minor", length=0)
    axes.yaxis.grid(color=_GRID)
    for quantile, key in ((0.5, "p50_ms"), (0.99, "p99_ms")):
        bound, place = _bound(result, key), list(quantiles).index(quantile)
        axes.plot([place - 0.35, place + 0.35], [bound, bound], color=_TARGET, linewidth=2)
        axes.annotate(f"< {bound:g} ms", (place, bound), xytext=(0, -12),
                      textcoords="offset points", ha="center", fontsize=9, color=_TARGET)  # fmt: skip
    _title(
        axes,
        f"{title}: p50 {result['p50_ms']:.1f} ms, p99 {result['p99_ms']:.1f} ms",
        f"{result['count']:,} {unit} at {result['rate']:,} a second, timed from when due; "
        f"{_verdict(result, 'p50_ms')}; {_verdict(result, 'p99_ms')}",
    )


def _rounds(axes: Any, values: list[float], bound: float) -> None:
    places = range(len(values))
    axes.bar(places, values, 0.55, color=_ENGINE)
    axes.set_xticks(list(places), [f"round {p + 1}" for p in places])
    axes.set_xlim(-0.6, len(values) + 0.1)
    axes.set_ylim(0, max(*values, bound) * 1.2)
    _target_line(axes, bound, f"{bound:,.0f}")
    axes.yaxis.grid(color=_GRID)
    _thousands(axes.yaxis)


def _restore(axes: Any, result: Result) -> None:
    _rounds(axes, result["restore_rounds"], _bound(result, "records_per_second"))
    _title(
        axes,
        f"Restore: {result['records_per_second']:,} changelog records per second",
        f"target: {_verdict(result, 'records_per_second')}; behind by {result['tail_records']:,} records: "
        f"only those read, {result['tail_ms']:,.0f} ms",
    )


def _rehydrate(axes: Any, result: Result) -> None:
    cold, stages = result["cold_ms"], result["cold_stages_ms"]
    axes.barh([1], [result["snapshot_ms"]], 0.4, color=_ENGINE)
    axes.text(max(cold, 250) * 0.012, 1, f"{result['snapshot_ms']:.3f} ms", va="center", fontsize=9.5, color=_TEXT)
    left, whole = 0.0, sum(stages.values()) or 1.0
    for (name, part), colour in zip(stages.items(), _STAGES, strict=True):
        width = cold * part / whole
        axes.barh([0], [width], 0.4, left=left, color=colour, edgecolor="white", linewidth=0.8)
        axes.text(left + width / 2, -0.28, f"{name}\n{part / whole:.0%}", ha="center", va="top", fontsize=8.5,
                  color=_TEXT)  # fmt: skip
        left += width
    axes.text(cold + max(cold, 250) * 0.012, 0, f"{cold:.0f} ms", va="center", fontsize=9.5, color=_TEXT)
    axes.axvline(250, color=_TARGET, linewidth=1.3, linestyle=(0, (5, 3)))
    axes.text(250, 1.5, "250 ms ", ha="right", va="top", fontsize=9, color=_TARGET)
    axes.set_yticks([1, 0], ["by its snapshot", "all events folded"])
    axes.set_ylim(-0.75, 1.5)
    axes.set_xlim(0, max(cold, 250) * 1.15)
    axes.xaxis.grid(color=_GRID)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} ms"))
    _title(
        axes,
        f"Rehydrate: {result['events']:,} events of one root in {cold:.0f} ms",
        f"targets: cold {_verdict(result, 'cold_ms')}; with its snapshot {_verdict(result, 'snapshot_ms')}",
    )


def _workflow(axes: Any, result: Result) -> None:
    _rounds(axes, result["chains_rounds"], _bound(result, "chains_per_second"))
    _title(
        axes,
        f"Workflow: {result['chains_per_second']:,} chains per second",
        f"command, event, saga, command, event; {_verdict(result, 'chains_per_second')}; "
        f"workers use {result['worker_cpu_us']:.0f} µs per chain",
    )


def _projections(axes: Any, result: Result) -> None:
    axes.set_ylim(0, _beside_bare(axes, result) * 1.3)
    _title(
        axes,
        f"Projections: {result['rebuild_events_per_second']:,} events per second, "
        f"{result['ratio_to_bare_loop']:.2f} × the bare loop",
        f"a rebuild of {result['documents']:,} documents; ratio {_verdict(result, 'ratio_to_bare_loop')}",
    )


def _read_your_writes(axes: Any, result: Result) -> None:
    bars = (
        ("plain", "answer", _OTHER),
        ("direct", "document by root", _ENGINE),
        ("fed", "document by key", _STAGES[2]),
    )
    for place, (kind, label, colour) in enumerate(bars):
        values = [result[f"{kind}_p50_ms"], result[f"{kind}_p99_ms"]]
        places = [quantile + (place - 1) * 0.27 for quantile in range(2)]
        axes.bar(places, values, 0.25, color=colour, label=label)
        for at, value in zip(places, values, strict=True):
            axes.text(at, value, f"{value:.1f}", ha="center", va="bottom", fontsize=9, color=_TEXT)
    axes.set_xticks([0, 1], ["50 %", "99 %"])
    axes.set_ylim(0, max(result[f"{kind}_p99_ms"] for kind, _, _ in bars) * 1.2)
    axes.yaxis.grid(color=_GRID)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} ms"))
    axes.legend(frameon=False, fontsize=9, loc="upper left", ncols=3, borderaxespad=0)
    _title(
        axes,
        f"Read your writes: {result['direct_to_plain_p50']:.2f} ×, by a key {result['fed_to_plain_p50']:.2f} ×",
        f"to the answer's time, at {result['rate']:,} a second; by root {_verdict(result, 'direct_to_plain_p50')}, "
        f"by key {_verdict(result, 'fed_to_plain_p50')}",
    )


_PANELS: tuple[tuple[str, Callable[[Any, Result], None]], ...] = (
    ("commands", _commands),
    ("latency", _latency),
    ("restore", _restore),
    ("rehydrate", _rehydrate),
    ("workflow", _workflow),
    ("workflow", _chain),
    ("projections", _projections),
    ("read-your-writes", _read_your_writes),
)
