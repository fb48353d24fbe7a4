"""The statements that are rendered for Snowflake, run on an emulator of its SQL."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from headrace import Names
from tests.support.fake_snowflake import rows_of
from tests.support.sink_cards import sinks

pytestmark = [pytest.mark.timeout(600)]
(SNOWFLAKE,) = (one for one in sinks.render(Names(), "main") if one.source.kind == "snowflake")
TABLE = "HEADRACE.PUBLIC.PLAYER_CARDS_V1_LOG"
VIEW = "HEADRACE.PUBLIC.PLAYER_CARDS_V1"


def landed(partition: int, offset: int, key: str, document: dict[str, Any] | None) -> tuple[Any, Any]:
    """A record as the connector puts it into the landing table: without a value, the content is empty."""
    place = {"topic": SNOWFLAKE.source.topic, "partition": partition, "offset": offset, "key": key}
    return {**place, "CreateTime": 1}, document or {}


def seen(
    rows: list[tuple[Any, Any]], query: str = f"SELECT * FROM {VIEW} ORDER BY document_id"
) -> list[dict[str, Any]]:
    return rows_of(list(SNOWFLAKE.sql), TABLE, rows, query)


def test_the_view_has_the_last_state_of_each_document_that_there_is() -> None:
    chance = random.Random(5)
    rows, last = [], {}
    for offset in range(300):
        key = f"p{chance.randrange(40)}"
        partition = int(key[1:]) % 3
        document = None if chance.random() < 0.3 else {"name": key, "chips": offset}
        rows.append(landed(partition, offset, key, document))
        last[key] = document
    rows += chance.sample(rows, 50)  # a record may be there twice
    chance.shuffle(rows)  # and a table has no order
    expected = {key: document for key, document in last.items() if document is not None}
    found = seen(rows)
    assert {row["DOCUMENT_ID"]: json.loads(row["DOCUMENT"]) for row in found} == expected
    assert {row["DOCUMENT_ID"]: row["chips"] for row in found} == {k: d["chips"] for k, d in expected.items()}


def test_each_field_has_a_column_of_its_type() -> None:
    whole = {"name": "Zoë's", "chips": 12, "ratio": 0.5, "active": True, "worth": "1.50", "born": "2001-02-03"}
    rest = {"joined": "2026-01-01T00:00:00Z", "style": "loose", "home": {"table": "t"}, "tags": ["a"], "notes": {}}
    odd = {"name": None, "chips": "many", "ratio": "x", "active": "perhaps", "born": "never", "joined": 7}
    first, second = seen([landed(0, 0, "a", {**whole, **rest}), landed(0, 1, "b", odd)])
    assert {name: first[name] for name in whole} == whole
    assert first["joined"].startswith("2026-01-01 00:00:00")
    assert (json.loads(first["home"]), json.loads(first["tags"])) == ({"table": "t"}, ["a"])
    assert [second[name] for name in ("name", "chips", "ratio", "active", "born")] == [None] * 5
    both = [landed(0, 0, "a", whole), landed(1, 0, "b", {"chips": 3})]
    assert [int(row["SUM"]) for row in seen(both, f'SELECT SUM("chips") AS SUM FROM {VIEW}')] == [15]
