"""Runs SQL on fakesnow, an emulator of Snowflake: reads statements and rows as JSON, writes the query's rows.

A program of its own, because fakesnow may be in another environment: it brings a database and Snowflake's client.
"""

import json
import sys
from typing import Any

import fakesnow  # type: ignore[import-not-found]
import snowflake.connector  # type: ignore[import-not-found]


def main(statements: list[str], table: str, rows: list[list[Any]], query: str) -> None:
    """Carry out `statements`, put rows (metadata, content) into `table` as the connector does, print the query's."""
    with fakesnow.patch():
        cursor = snowflake.connector.connect(database="HEADRACE", schema="PUBLIC").cursor()
        for statement in statements:
            cursor.execute(statement)
        for metadata, content in rows:
            values = (json.dumps(metadata), json.dumps(content))
            cursor.execute(f"INSERT INTO {table} SELECT PARSE_JSON(%s), PARSE_JSON(%s)", values)
        cursor.execute(query)
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    print(json.dumps(found, default=str))  # noqa: T201


if __name__ == "__main__":
    main(**json.load(sys.stdin))
