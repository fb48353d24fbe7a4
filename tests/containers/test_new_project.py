"""The compose file of a project that `headrace new` has made: Kafka, topics and a worker that answers a command."""

import json
import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from tests.support.docker_engine import docker

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "headrace-test"


def test_a_new_project_runs_in_containers(kafka_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker("build", "--quiet", "--tag", IMAGE, "--file", str(ROOT / "docker/Dockerfile"), str(ROOT), seconds=600)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["new", "library"]).exit_code == 0
    project = f"headrace-test-{uuid.uuid4().hex[:8]}"
    variables = {"KAFKA_IMAGE": kafka_image, "HEADRACE_IMAGE": IMAGE}

    def compose(*arguments: str, seconds: float = 120) -> str:
        file = str(tmp_path / "library/compose.yaml")
        return docker(
            *("compose", "--project-name", project, "--file", file, *arguments), seconds=seconds, variables=variables
        )

    order = ("send", "PlaceOrder", "order-1", json.dumps({"item": "tea", "count": 2}), "--timeout", "60", "--json")
    try:
        try:
            compose("up", "--detach", seconds=300)
            assert json.loads(compose("run", "--rm", "--no-TTY", "worker", *order))["status"] == "accepted"
        finally:
            print(compose("logs", "--no-color", "--tail", "30"))  # noqa: T201  (pytest shows it when a test fails)
    finally:
        compose("down", "--volumes", "--timeout", "5")
