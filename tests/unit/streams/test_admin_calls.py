"""Calls of the Kafka client that end the whole process now and then, and are not to be made."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CRASHING = {
    "list_offsets": "streams.state.topic_reader.end_offsets",
    "list_consumer_group_offsets": "streams.admin.group_offsets.committed",
}
"""Methods of the admin client, and what asks the same by a consumer. Four threads that called the first one for less
than a minute ended in a segmentation fault (confluent-kafka 2.16.1); of the second one see librdkafka's issue 5040."""


@pytest.mark.parametrize("method", CRASHING)
def test_no_worker_and_no_command_calls_them(method: str) -> None:
    files = [p for folder in ("streams", "cli", "embedded", "bench", "examples") for p in (ROOT / folder).rglob("*.py")]
    assert len(files) > 90
    found = [str(path.relative_to(ROOT)) for path in files if re.search(rf"\.{method}\(", path.read_text())]
    assert found == [], f"ask as {CRASHING[method]} does"
