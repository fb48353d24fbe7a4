"""What README and docs say is so: code runs, links lead somewhere, and names of things are those of the program."""

import pkgutil
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import typer
from grpc_tools import protoc

from headrace.cli import errors, kafka, plugins
from headrace.cli.main import app
from headrace.connectors.redis.metrics import Metrics as RedisMetrics
from headrace.streams.observability.metrics import Metrics
from headrace.streams.settings import Settings
from tests.support.pages import PAGES, ROOT, Block, anchors, blocks, commands, links, prose, write_files

README, OPERATING, CONCEPTS = ROOT / "README.md", ROOT / "docs/operating.md", ROOT / "docs/concepts.md"
OWN = [page for page in PAGES if "docs/adr/0" not in page.as_posix()]
ALL = "\n".join(page.read_text() for page in PAGES)
TESTED = [page for page in PAGES if any((block.file or "").startswith("test_") for block in blocks(page))]
SHELL = [(page, block) for page in PAGES for block in blocks(page) if block.language in ("sh", "console")]


def name(value: Any) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else ""


# ---- code


@pytest.fixture
def clean_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the modules that a test imports, so that pages may use the same file names."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for module in set(sys.modules) - before:
        if "." not in module:
            del sys.modules[module]


@pytest.mark.usefixtures("clean_imports")
@pytest.mark.parametrize("page", TESTED, ids=name)
def test_the_code_of_a_page_passes_its_own_tests(page: Path, tmp_path: Path) -> None:
    files = write_files(page, tmp_path)
    for block in blocks(page):
        if "compile" in block.words:
            ((command, _),) = commands(block)
            arguments = shlex.split(command)
            assert arguments[:3] == ["python", "-m", "grpc_tools.protoc"]
            paths = [a.replace("=.", f"={tmp_path}") for a in arguments[3:-1]]
            assert protoc.main(["protoc", *paths, str(tmp_path / arguments[-1])]) == 0
    sys.path.insert(0, str(tmp_path))
    tests = 0
    for file in files:
        if file.name.startswith("test_"):
            for named, function in runpy.run_path(str(file)).items():
                if named.startswith("test_"):
                    function()
                    tests += 1
        elif file.suffix == ".py":
            compile(file.read_text(), file.name, "exec")
    assert tests > 0


def test_python_that_nobody_runs_is_marked() -> None:
    """A block of Python is a file of its page; else no test would look at it."""
    loose = [f"{name(p)}:{b.line}" for p in OWN for b in blocks(p) if b.language == "python" and not b.file]
    assert loose == []


def test_the_first_aggregate_is_short() -> None:
    (purse,) = (block for block in blocks(README) if block.file == "purse.py")
    assert len(purse.text.splitlines()) <= 30


# ---- links


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link)
    assert broken == []


def test_every_page_is_in_an_index() -> None:
    indices = (ROOT / "docs/index.md", ROOT / "docs/adr/README.md")
    linked = {(p.parent / link).resolve() for p in indices for link in links(p)}
    missing = [name(p) for p in PAGES if p.is_relative_to(ROOT / "docs") and p not in (*indices, *linked)]
    assert missing == [], "add a line to docs/index.md"


def test_decisions_are_listed_with_their_titles() -> None:
    pages = sorted((ROOT / "docs/adr").glob("0*.md"))
    index = re.findall(r"^\| \[(\d+)\]\((.*)\) \| (.*) \|$", (ROOT / "docs/adr/README.md").read_text(), re.MULTILINE)
    titles = [page.read_text().splitlines()[0].removeprefix("# ").split(". ", 1) for page in pages]
    assert index == [(number, page.name, title) for page, (number, title) in zip(pages, titles, strict=True)]
    for page in pages:
        heads = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)
        assert heads == ["Context", "Decision", "Consequences"], page.name


# ---- settings and metrics


def rows(page: Path, start: str) -> dict[str, str]:
    """Second column by first column, both in backquotes, of the tables whose first column begins so."""
    found = re.findall(rf"^\| `({start}[^`]*)` \| (?:`([^`]*)`)?", page.read_text(), re.MULTILINE)
    assert len(found) == len(dict(found)), f"a row of {page.name} is there twice"
    return dict(found)


def test_settings_are_described_with_their_defaults() -> None:
    table = rows(OPERATING, "HEADRACE_")
    assert table.pop("HEADRACE_KAFKA__{NAME}") == ""
    for setting, field in Settings.model_fields.items():
        if setting != "kafka":
            default = field.default
            text = str(default).lower() if isinstance(default, bool) else str(default).removesuffix(".0")
            assert table.pop(f"HEADRACE_{setting.upper()}") == text, setting
    assert set(table) <= set(re.findall(r"[\"'](HEADRACE_[A-Z_]+)[\"']", code_of_headrace())), (
        "a variable that nothing reads"
    )


def test_every_variable_of_the_code_is_described() -> None:
    assert undescribed(code_of_headrace()) == set()


def test_variables_that_pages_name_exist() -> None:
    assert undescribed(ALL) == set()


def code_of_headrace() -> str:
    """All our Python but tests."""
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"].values()
    return "\n".join(p.read_text() for folder in folders for p in (ROOT / folder).glob("*.py"))


def undescribed(text: str) -> set[str]:
    """Variables in a text that the tables do not have."""
    named = {v for v in re.findall(r"\bHEADRACE_[A-Z][A-Z_]*[A-Z]\b", text) if not v.startswith("HEADRACE_KAFKA__")}
    return named - set(rows(OPERATING, "HEADRACE_"))


def test_metrics_are_described() -> None:
    registries = (Metrics().registry, RedisMetrics().registry)
    families = {m.name + ("_total" if m.type == "counter" else "") for r in registries for m in r.collect()}
    assert set(rows(OPERATING, "headrace_")) | set(re.findall(r"^\| `(headrace_\w+)`", ALL, re.MULTILINE)) == families
    named = set(re.findall(r"\bheadrace_(?!v1)[a-z_]+[a-z]\b", prose(OPERATING)))
    assert named <= families


# ---- the command line


def command_line(words: list[str]) -> None:
    """Fail unless `headrace {words}` names a command and options that it has."""
    root: Any = typer.main.get_command(app)
    brought = {one.name: one for one in entry_points(group=plugins.GROUP)}
    if words[:1] == ["kafka"]:
        root, words = typer.main.get_command(kafka.app), words[1:]
    elif words and words[0] in brought:
        root, words = typer.main.get_command(plugins.load(brought[words[0]])), words[1:]
    while words and hasattr(root, "commands"):
        if words[0] in ("--help", "-h", "--version"):
            return
        assert words[0] in root.commands, f"there is no `headrace … {words[0]}`"
        root, words = root.commands[words[0]], words[1:]
    known = {option for parameter in root.params for option in parameter.opts} | {"--help"}
    for word in words:
        if word.startswith("-") and word != "-":
            assert word.partition("=")[0] in known, f"`headrace {root.name}` has no {word}"


def invocations(block: Block) -> Iterator[list[str]]:
    for command, _ in commands(block):
        for part in re.split(r"\s(?:&&|\|\|?|&|;)\s?|;\s", command.split("    #")[0]):
            words = shlex.split(part, comments=True) if re.search(r"\bheadrace ", part) else []
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words and words[0] == "headrace":
                yield words[1:]


@pytest.mark.parametrize(("page", "block"), SHELL, ids=name)
def test_commands_in_blocks_exist(page: Path, block: Block) -> None:
    for words in invocations(block):
        command_line(words)


def test_commands_in_sentences_exist() -> None:
    for text in re.findall(r"`headrace ([a-z][^`]*)`", "\n".join(map(prose, PAGES))):
        if "{" not in text and "$" not in text:
            command_line([w for w in shlex.split(text) if w != "…" and (w.islower() or w.startswith("-"))])


def test_every_command_is_shown_somewhere() -> None:
    root: Any = typer.main.get_command(app)
    assert [c for c in root.commands if f"headrace {c}" not in ALL] == []


def test_the_exit_codes_are_those_of_the_command() -> None:
    text = (ROOT / "docs/cli.md").read_text().partition("## Exit codes")[2].partition("##")[0]
    codes = {value for key, value in vars(errors).items() if key.isupper() and isinstance(value, int)}
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == codes | {130}


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", ALL, re.MULTILINE)) <= targets


# ---- versions and promises


def test_versions_are_those_that_are_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    development = project["dependency-groups"]["dev"]
    for pinned in re.findall(r"grpcio-tools==[\d.]+", ALL):
        assert pinned in development
    assert f"## {project['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_each_promise_names_tests_that_are_there() -> None:
    lines = CONCEPTS.read_text().partition("<!-- invariants -->")[2].splitlines()
    table = [line for line in lines if re.match(r"\| \d", line)]
    assert [int(line.split("|")[1]) for line in table] == list(range(1, 13))
    for line in table:
        named = re.findall(r"`(tests/[^`]+\.py)`: ((?:`\w+`(?:, )?)+)", line)
        assert named or "to come" in line, line
        for file, functions in named:
            code = (ROOT / file).read_text()
            there = re.findall(r"^\s*(?:async def |def |)(test_\w+|Test\w+)(?:\(| =)", code, re.MULTILINE)
            missing = [f for f in re.findall(r"`(\w+)`", functions) if f not in there]
            assert missing == [], f"{file} has no {missing}"


# ---- names


FORMER = (
    "Refusal",
    "to(",
    "after(",
    "cancel(",
    "needs=",
    "state_of",
    "context.known",
    "state_fact",
    "letters",
)
"""Names that authors used before; a page that still has one leads its reader astray."""


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name)
def test_pages_use_no_former_names(page: Path) -> None:
    code = re.findall(r"`([^`\n]+)`", prose(page))
    assert [text for text in code if text.startswith(FORMER)] == []


NO_MODULES = (
    "headrace.v1",
    "headrace.replies",
    "headrace.editions",
    "headrace.workers",
    "headrace.timers",
    "headrace.commands",
    "headrace.projections",
)
"""Message types, topics, and a group of entry points."""


def test_names_with_dots_in_pages_exist() -> None:
    for dotted in set(re.findall(r"`(headrace(?:\.\w+)+)`", "\n".join(map(prose, PAGES)))):
        if dotted.startswith(NO_MODULES):
            continue
        assert pkgutil.resolve_name(dotted) is not None, dotted


def test_files_that_pages_name_exist() -> None:
    named = set(re.findall(r"`((?:tests|docs|streams|topology|schemas|testing|cli|bench|docker)/[\w./-]+)`", ALL))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
