"""Mutation testing: breaks the code that decides, one place at a time and in a copy, and counts what the tests notice.

`make mutate SEED=2 SAMPLE=200` tries so many mutants, always the same ones for a seed; `ONLY=streams/steps/saga.py`
keeps to one module or folder. Cosmic Ray makes the mutants. This chooses them, and the tests that each of them needs.
"""

# ruff: noqa: T201
import argparse
import ast
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cosmic_ray import plugins
from cosmic_ray.commands.init import _all_work_items
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec, TestOutcome
from parso.python.tree import Keyword

from tests.support import deadlines

ROOT = Path(__file__).resolve().parent.parent
MUTATED = (
    "streams/steps/*.py",
    *(f"streams/runtime/{n}.py" for n in ("positions", "processor", "transaction", "assignment", "partition")),
    *(f"streams/runtime/{n}.py" for n in ("inputs", "membership")),
    *(f"streams/admin/{n}.py" for n in ("positions", "topics")),
    "streams/state/restore.py",
    *(f"schemas/{n}.py" for n in ("record", "ids", "stored_event")),
    "topology/*.py",
)
# of tests/unit
TESTS = {
    "streams/steps": "steps testing features topology poker",
    "streams": "streams",
    "schemas": "schemas steps streams",
    "topology": "topology testing steps features schemas streams cli/test_cli_show.py test_moved.py",
}
# what only passes calls on to Kafka; tests/kafka is for that
KAFKAS = {
    "streams/admin/topics.py": {"admin", "describe", "create", "_await_leaders", "repair", "_empty"},
    "streams/admin/positions.py": {"_stored", "_partitions", "await_empty"},
}
PYTEST = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", "-p", "no:xdist"]
# the same examples each time, so that a mutant's fate is not luck; and a first failure is enough
HYPOTHESIS = """
from hypothesis import Phase, settings
settings.register_profile("mutants", derandomize=True, phases=[Phase.explicit, Phase.generate])
settings.load_profile("mutants")
"""
UNCHECKED_DECORATORS = {"dataclass", "override", "abstractmethod", "overload", "final", "runtime_checkable"}
Place = tuple[int, int]


class RemoveStatement:
    """An operator of Cosmic Ray: a call, a change of an attribute, an item or a sum, or a `raise` is left out."""

    @staticmethod
    def arguments() -> tuple[()]:
        return ()

    def mutation_positions(self, node: Any) -> Iterator[tuple[Place, Place]]:
        if node.type == "simple_stmt" and self._does_something(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        first = node.children[0]
        node.children[0] = Keyword("pass", first.start_pos, first.get_first_leaf().prefix)
        return node

    @staticmethod
    def _does_something(statement: Any) -> bool:
        if statement.type == "expr_stmt":
            target, operator = statement.children[:2]
            return bool(target.type == "atom_expr" or (operator.type == "operator" and operator.value != "="))
        return statement.type in {"atom_expr", "raise_stmt", "del_stmt"}


plugins.OPERATOR_PROVIDERS["headrace"] = {"RemoveStatement": RemoveStatement}


def left_out(path: str, tree: ast.Module) -> Iterator[ast.AST]:
    """Code that no mutant is made of, for no test could tell, or none should: types, texts of the log, time limits."""
    for statement in tree.body:
        match statement:
            case ast.Assign(value=ast.BinOp(op=ast.BitOr())):  # a name for a union of types
                yield statement
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name, returns=returns, args=args):
                if name in KAFKAS.get(path, ()):
                    yield node
                yield from (a.annotation for a in ast.walk(args) if isinstance(a, ast.arg) and a.annotation)
                if returns:
                    yield returns
            case ast.AnnAssign(annotation=annotation):
                yield annotation
            case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Assign(targets=[ast.Name(id="__slots__")]):
                yield node
            case ast.Assign(targets=[ast.Name(id=name)]) if "SECONDS" in name:
                yield node
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"))):
                yield node
            case ast.Call(func=ast.Attribute(attr="sleep" | "wait")) | ast.Call(func=ast.Name(id="dataclass")):
                yield node
            case ast.keyword(arg=str(name), value=ast.Constant()) if name.endswith("timeout"):
                yield node
        for decorator in getattr(node, "decorator_list", ()):
            name = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator).rsplit(".")[-1]
            if name in UNCHECKED_DECORATORS:
                yield decorator if name != "overload" else node


def mutants(path: str) -> Iterator[list[MutationSpec]]:
    """All mutants of a module, by the place that they change."""
    skipped = [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
        for node in left_out(path, ast.parse(Path(path).read_text()))
        if isinstance(node, ast.expr | ast.stmt | ast.keyword)
    ]

    def counts(spec: MutationSpec) -> bool:
        begin, end = spec.start_pos, spec.end_pos
        if spec.operator_name == "core/RemoveDecorator":  # from its @ to the next line
            begin = end = begin[0], begin[1] + 1
        if any(first <= begin and end <= last for first, last in skipped):
            return False
        # to be equal and to be the same is one thing for most that is compared
        name, *operators = str(spec.operator_name).split("_")
        return name != "core/ReplaceComparisonOperator" or len({o.startswith("Is") for o in operators}) == 1

    specs = (item.mutations[0] for item in _all_work_items([Path(path)], {}))
    here = sorted(filter(counts, specs), key=lambda s: (s.start_pos, s.end_pos, s.operator_name, s.occurrence))
    for _, group in groupby(here, key=lambda spec: (spec.start_pos, spec.end_pos)):
        yield list(group)


def copy(target: Path) -> None:
    """The files of the checkout, with the packages below `headrace`, so that the copy's are imported."""
    names = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True).split("\n")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    with (target / "tests/conftest.py").open("a") as conftest:
        conftest.write(HYPOTHESIS)
    for package in target.iterdir():
        if (package / "__init__.py").exists() and package.name not in ("headrace", "tests"):
            (target / "headrace" / package.name).symlink_to(package)


def seconds_by_file() -> dict[str, float]:
    """How long each file of tests takes where nothing is broken; the quickest first, so that mutants die soon."""
    paths = {f"tests/unit/{tests}" for folders in TESTS.values() for tests in folders.split()}
    subprocess.run([*PYTEST, *sorted(paths), "--junitxml=report.xml"], check=True, stdout=subprocess.DEVNULL)
    found: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse("report.xml").iter("testcase"):
        name = "/".join(word for word in case.attrib["classname"].split(".") if word.islower())
        found[f"{name}.py"] += float(case.attrib["time"])
    return dict(sorted(found.items(), key=lambda item: item[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--only", default="", help="a module, or a folder")
    chosen = parser.parse_args()
    deadlines.slowness()  # once, for all runs
    with tempfile.TemporaryDirectory() as folder:
        copy(Path(folder))
        os.chdir(folder)
        where = "import headrace.streams.steps.step as it; print(it.__file__)"
        found = subprocess.check_output([sys.executable, "-c", where], text=True).strip()
        assert Path(found).is_relative_to(folder), f"the tests would import {found}"
        paths = sorted({str(path) for pattern in MUTATED for path in Path().glob(pattern)})
        places = [place for path in paths if path.startswith(chosen.only) for place in mutants(path)]
        chance = random.Random(chosen.seed)
        sample = [chance.choice(place) for place in chance.sample(places, min(chosen.sample, len(places)))]
        print(f"{len(places)} places to break; trying {len(sample)}, seed {chosen.seed}", flush=True)
        seconds = seconds_by_file()
        fates: Counter[str] = Counter()
        for number, spec in enumerate(sample, 1):
            folders = next(folders for package, folders in TESTS.items() if str(spec.module_path).startswith(package))
            roots = tuple(f"tests/unit/{folder}" for folder in folders.split())
            files = [file for file in seconds if file.startswith(roots)]
            limit = 30 + 3 * sum(seconds[file] for file in files)
            result = mutate_and_test([spec], shlex.join([*PYTEST, *files]), limit)
            if result.diff is None:
                sys.exit(f"{spec}\n{result.output}")
            fate = "timed out" if result.output == "timeout" else result.test_outcome.value
            fates[fate] += 1
            print(f"{number:4} {fate:9} {spec.module_path}:{spec.start_pos[0]}  {spec.operator_name}", flush=True)
            if result.test_outcome == TestOutcome.SURVIVED:
                print(f"{result.diff}\n", flush=True)
    killed, late = fates["killed"], fates["timed out"]
    share = 100 * (killed + late) / max(len(sample), 1)
    print(f"{killed} killed, {fates['survived']} survived, {late} timed out: {share:.1f} % noticed, seed {chosen.seed}")


if __name__ == "__main__":
    main()
