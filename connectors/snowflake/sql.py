"""SQL for Snowflake: the table where records land, and the view of the documents as they are now."""

from collections.abc import Iterable

from headrace.connectors.fields import Field, Kind

_TYPES = {
    Kind.TEXT: "VARCHAR",
    Kind.INTEGER: "NUMBER(38, 0)",
    Kind.NUMBER: "FLOAT",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.DATE: "DATE",
    Kind.MOMENT: "TIMESTAMP_TZ",
}
_KEY = "RECORD_METADATA:key::VARCHAR"
_PARTITION = "RECORD_METADATA:partition::NUMBER"
_OFFSET = "RECORD_METADATA:offset::NUMBER"


def landing_table(table: str) -> str:
    """The table in which the connector puts each record, in the form that it wants."""
    return f"CREATE TABLE IF NOT EXISTS {table} (RECORD_METADATA VARIANT, RECORD_CONTENT VARIANT)"


def view(name: str, table: str, fields: Iterable[Field]) -> str:
    """A view with one row per document: the last record of its key, unless that one deletes it.

    A key is always in the same partition, so that the highest offset is the last record; a record that is there twice
    counts once. A deletion has an empty content.
    """
    columns = "".join(f',\n  {_column(one)} AS "{one.name}"' for one in fields)
    return (
        f"CREATE OR REPLACE VIEW {name} AS\n"
        f"SELECT document_id, document{columns}\n"
        f"FROM (\n"
        f"  SELECT {_KEY} AS document_id, RECORD_CONTENT AS document,\n"
        f"    ROW_NUMBER() OVER (PARTITION BY {_PARTITION}, {_KEY} ORDER BY {_OFFSET} DESC) AS age\n"
        f"  FROM {table}\n"
        f") AS latest\n"
        f"WHERE age = 1 AND ARRAY_SIZE(OBJECT_KEYS(document)) > 0"
    )


def serving_view(projector: str, view: str) -> str:
    """The view that always has the documents of the version that serves, from the view of that version."""
    name = f"{view.rpartition('.')[0]}.{projector.replace('-', '_').upper()}"
    return f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {view}"


def _column(one: Field) -> str:
    path = f'document:"{one.name}"'
    # a text that is no number, or no date, is null: one document must not break the view for all others
    if one.many or one.kind not in _TYPES:
        return path
    if one.kind is Kind.TEXT:
        return f"{path}::VARCHAR"
    if one.kind is Kind.BOOLEAN:
        return f"TRY_TO_BOOLEAN({path}::VARCHAR)"
    return f"TRY_CAST({path}::VARCHAR AS {_TYPES[one.kind]})"
