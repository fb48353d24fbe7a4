"""`headrace demo --read-side`: the poker room's documents on Kafka, in a search server, in Redis and on fakesnow."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from tests.support.demo import demo
from tests.support.fake_snowflake import interpreter
from tests.support.redis_server import RedisServer
from tests.support.search_server import OPENSEARCH, SearchServer

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(480)]


READ_SIDE = "--read-side", "--hands", "5"


def left(folder: Path) -> list[str]:
    """Processes that were started with something in a folder and still run."""
    return [" ".join(one.info["cmdline"])[:200] for one in psutil.process_iter(["cmdline"]) if _names(one, folder)]


def _names(process: psutil.Process, folder: Path) -> bool:
    return any(str(folder) in argument for argument in process.info["cmdline"] or ())


def test_every_document_is_everywhere_as_the_log_says(tmp_path: Path) -> None:
    fakesnow = interpreter()
    redis = RedisServer(tmp_path / "redis")
    with SearchServer(OPENSEARCH) as search:
        redis.start()
        try:
            named = ["--search", search.url, "--redis", redis.url, "--fakesnow", str(fakesnow)]
            code, found, errors = demo(tmp_path, *READ_SIDE, *named)
            assert code == 0, (found, errors)
            assert (found["hands"], found["mismatched"], found["left_out"]) == (5, [], {})
            # a page for each player, two documents for each hand, a board for each table
            assert found["documents"] == found["documents_matched"] == found["redis"] + 3 * 5
            assert found["search"] == found["search_matched"] == 5
            assert found["redis"] == found["redis_matched"] > 5
            assert found["snowflake_sql"] == "ran"
            assert found["seconds"] > 0
            assert search.request("GET", "/_cat/indices/demo-*?format=json")[1] == []
            with redis.client() as client:
                assert client.keys("*") == []
        finally:
            redis.stop()
    assert not list((tmp_path / "home").glob("demo-*"))
    assert left(tmp_path) == []


def test_what_is_not_there_is_left_out_and_named(tmp_path: Path) -> None:
    code, found, errors = demo(tmp_path, *READ_SIDE, path=str(Path(sys.executable).parent))
    assert code == 0, (found, errors)
    assert found["documents"] == found["documents_matched"] > 15
    assert (found["search"], found["search_matched"], found["redis"], found["redis_matched"]) == (None,) * 4
    assert set(found["left_out"]) == {"search", "redis", "snowflake"}
    assert "--search URL" in found["left_out"]["search"]
    assert "--redis URL" in found["left_out"]["redis"]
    assert found["snowflake_sql"] == found["left_out"]["snowflake"]
    assert "--fakesnow" in found["snowflake_sql"]
    assert left(tmp_path) == []
