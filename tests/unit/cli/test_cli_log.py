"""Logs of a worker: JSON lines on stderr when that is no terminal, whoever wrote them."""

import json
import subprocess
import sys
from typing import Any

CODE = """
import logging, structlog
from headrace.cli import logs as log
early = structlog.get_logger()
log.set_up({level!r})
early.info("worker starts", domains=["player"])
early.debug("detail")
logging.getLogger("headrace.librdkafka").warning("FAIL [%s]: %s", "thrd", "refused")
logging.getLogger("faust.worker").info("chatter")
try:
    1 / 0
except ZeroDivisionError:
    early.exception("went wrong")
"""


def lines(level: str) -> list[dict[str, Any]]:
    done = subprocess.run([sys.executable, "-c", CODE.format(level=level)], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_each_line_is_an_object() -> None:
    start, librdkafka, wrong = lines("info")
    assert list(start) == ["timestamp", "level", "logger", "event", "domains"]
    assert start["event"] == "worker starts"
    assert librdkafka["event"] == "FAIL [thrd]: refused"
    assert (librdkafka["logger"], librdkafka["level"]) == ("headrace.librdkafka", "warning")
    assert "ZeroDivisionError: division by zero" in wrong["exception"]


def test_levels() -> None:
    assert [line["event"] for line in lines("error")] == ["went wrong"]
    assert [line["event"] for line in lines("debug")][1:4] == ["detail", "FAIL [thrd]: refused", "chatter"]
