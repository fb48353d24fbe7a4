"""What the pages on sagas and the like show: output of commands as it is, and alert rules on metrics that exist."""

import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.connectors import monitor
from headrace.connectors.redis import metrics as redis_metrics
from headrace.schemas.record import Record
from headrace.streams.admin import dead_letters
from headrace.streams.admin import trace as tracks
from headrace.streams.observability.metrics import Metrics
from headrace.streams.steps.batch import Written
from headrace.testing import TopologyDriver
from tests.support.pages import ROOT, Block, blocks, commands, write_files

ALERTS = (ROOT / "docs/alerts.yaml").read_text()


def shown() -> Iterator[Any]:
    """Consoles whose second word is a module of their page; its test file has a `play` that fills the topics."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        files = {block.file for block in blocks(page)}
        for block in blocks(page):
            if block.language == "console" and block.words and f"{block.words[0]}.py" in files:
                yield pytest.param(page, block, id=page.name)


class Message:
    """A record as the Kafka client gives it."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self._record.headers.items())

    def value(self) -> bytes | None:
        return self._record.value

    def timestamp(self) -> tuple[int, int]:
        return 1, self._record.timestamp


@pytest.mark.parametrize(("page", "block"), list(shown()))
def test_commands_print_what_a_page_shows(
    page: Path, block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(page, tmp_path)
    module = block.words[0]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    driver: TopologyDriver = runpy.run_path(str(tmp_path / f"test_{module}.py"))["play"]()

    def read(settings: Any, topic: str) -> Iterator[Message]:
        return map(Message, driver.records(topic))

    monkeypatch.setattr(dead_letters, "read", read)
    monkeypatch.setattr(tracks, "read", read)
    try:
        for command, lines in commands(block):
            environment = {"HEADRACE_TOPOLOGY": f"{module}:topology", "HEADRACE_BOOTSTRAP": "127.0.0.1:9"}
            result = CliRunner().invoke(app, command.split()[1:], env=environment)
            pattern = "\n".join(re.escape(line).replace("…", ".*") for line in lines)
            assert re.fullmatch(pattern, result.output.strip()), result.output
    finally:
        sys.modules.pop(module, None)


def rules() -> list[Any]:
    """The alert rules."""
    return [rule for group in yaml.safe_load(ALERTS)["groups"] for rule in group["rules"]]


def test_alerts_are_on_metrics_that_exist() -> None:
    metrics = Metrics(), monitor.Metrics(), redis_metrics.Metrics()
    families = {
        family.name + ("_total" if family.type == "counter" else "")
        for one in metrics
        for family in one.registry.collect()
    }
    for rule in rules():
        named = re.findall(r"\bheadrace_\w+", rule["expr"])
        assert named
        assert set(named) <= families
    outcomes = re.findall(r'outcome="(\w+)"', ALERTS)
    assert {"failed", "parked"} <= set(outcomes) <= set(Written._fields)


def test_alerts_are_rules_of_prometheus() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules()) == ALERTS.count("- alert: ")
    for rule in rules():
        promql_parser.parse(rule["expr"])
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert set(re.findall(r"\$labels\.(\w+)", str(rule))) <= {"domain", "instance", "sink", "what"}


def test_outcomes_are_described() -> None:
    operating = (ROOT / "docs/operating.md").read_text()
    (row,) = re.findall(r"^\| `headrace_records_processed_total` \|(.*)$", operating, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == {*Written._fields, "outcome"} - {"events"}
