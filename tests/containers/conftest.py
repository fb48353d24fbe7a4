"""A Docker engine for these tests, or the reason why they are skipped."""

import shutil
import subprocess

import pytest

from tests.support.docker_engine import docker

KAFKA = "apache/kafka:4.3.1"
_CONFIGURATION = "/etc/kafka/docker"


@pytest.fixture(scope="session")
def engine() -> None:
    """Skips where no Docker engine answers, or where it is one without compose."""
    if shutil.which("docker") is None:
        pytest.skip("no Docker here: the docker command is missing")
    for command, trouble in (
        (("version",), "no Docker engine answers"),
        (("compose", "version"), "Docker has no compose"),
    ):
        try:
            docker(*command, seconds=20)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"{trouble}: {str(error).strip().splitlines()[-1]}")


@pytest.fixture(scope="session")
def kafka_image(engine: None) -> str:
    """Apache Kafka's image, or where its configuration cannot be written, as in an image made from read-only files, one
    on top of it where it can: the image edits copies of these files when it starts, and they have the same mode."""
    probe = f"for file in {_CONFIGURATION}/*; do test -w $file || echo read-only; done"
    if not docker("run", "--rm", "--entrypoint", "sh", KAFKA, "-c", probe, seconds=300):
        return KAFKA
    name = "headrace-test-kafka"
    recipe = f"FROM {KAFKA}\nUSER root\nRUN chmod u+w {_CONFIGURATION}/*\nUSER appuser\n"
    docker("build", "--quiet", "--tag", name, "-", text=recipe, seconds=120)
    return name
