"""`headrace bench`: runs benchmarks, keeps their results, and draws them.

python -m headrace.bench.main docs    brings docs/performance.md and its picture to the latest results
"""

import inspect
import json
import logging
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import structlog
from rich.console import Console

from headrace.bench import (
    commands,
    editions,
    latency,
    machine,
    projections,
    read_your_writes,
    rehydrate,
    report,
    restore,
    sinks,
    upcasting,
    what_if,
    workflow,
)
from headrace.bench.load import Progress, cluster
from headrace.bench.peers import compare as peers

FOLDER = Path("bench-results")
"""Where results go, in the working folder."""
MODULES: dict[str, ModuleType] = {
    "commands": commands,
    "latency": latency,
    "restore": restore,
    "rehydrate": rehydrate,
    "workflow": workflow,
    "projections": projections,
    "read-your-writes": read_your_writes,
    "upcasting": upcasting,
    "what-if": what_if,
    "editions": editions,
    "sinks": sinks,
    "peers": peers,
}


def run(name: str, as_json: bool, *, folder: Path = FOLDER, **options: Any) -> list[report.Result]:
    """Run a benchmark, or `all`; print, save and draw what came out.

    With `as_json` stdout gets one JSON object for each benchmark and nothing else; all other text goes to stderr.
    An option goes to each of the benchmarks that has it: see the `run` of their modules. Raises LookupError for an
    unknown name, TypeError for an option that none of them has, ValueError for one that makes no sense.
    """
    chosen = _chosen(name)
    taken = [_options(MODULES[each].run, options) for each in chosen]
    if unknown := options.keys() - {key for each in taken for key in each}:
        raise TypeError(f"{name} has no option {', '.join(sorted(unknown))}")
    _quiet()
    out, aside = Console(), Console(stderr=True)
    results = []
    with ExitStack() as stack:
        bootstrap = ""
        for each, own in zip(chosen, taken, strict=True):
            benchmark = MODULES[each]
            if "bootstrap" in inspect.signature(benchmark.run).parameters:
                bootstrap = bootstrap or stack.enter_context(cluster())
                own = {"bootstrap": bootstrap, **own}
            where, others = machine.describe(), machine.Others()
            found = benchmark.run(_teller(aside, each), **own)
            where["others_cpus"] = round(others.cpus(), 2)
            result = report.judged(found, benchmark.TARGETS, where)
            report.save(folder, result)
            results.append(result)
            if as_json:
                print(json.dumps(result, ensure_ascii=False), flush=True)
            else:
                out.print(report.table(result))
    if not as_json:
        out.print(report.machine_line(where), soft_wrap=True)
    aside.print(_draw(folder), soft_wrap=True)
    return results


def document(docs: Path, folder: Path = FOLDER) -> None:
    """Bring `performance.md` and its picture in `docs` to the latest results. Raises ValueError, or OSError."""
    page = docs / "performance.md"
    page.write_text(report.renewed(page.read_text(), report.latest(folder).values()))
    shutil.copyfile(folder / "bench.png", docs / "performance.png")


def _chosen(name: str) -> list[str]:
    if name == "all":
        # peers fetches 78 MB more, sinks needs servers of other systems
        return [each for each in MODULES if each not in ("peers", "sinks")]
    if name not in MODULES:
        raise LookupError(f"there is no benchmark {name!r}; there are {', '.join(MODULES)} and all")
    return [name]


def _options(benchmark: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    known = inspect.signature(benchmark).parameters.values()
    return {p.name: given[p.name] for p in known if p.kind is p.KEYWORD_ONLY and p.name in given}


def _quiet() -> None:
    """Let the engine's log lines go to stderr, and only those that tell of trouble."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _teller(console: Console, name: str) -> Progress:
    return lambda line: console.print(f"[dim]{name}: {line}[/]", highlight=False)


def _draw(folder: Path) -> str:
    """Draw the latest results; where the picture is, or why there is none."""
    try:
        from headrace.bench import plot  # noqa: PLC0415 - matplotlib is an extra, and takes a second
    except ImportError as error:
        return f"no picture: {error}; `pip install headrace[bench]` brings what draws it"
    picture = folder / "bench.png"
    plot.draw(report.latest(folder), picture)
    return f"results and picture: {folder}/"


if __name__ == "__main__":
    document(Path(sys.argv[1]))
