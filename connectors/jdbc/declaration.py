"""A table of a relational database as a sink, by Debezium's plug-in."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from headrace.connectors.connect.rendering import TEXT, Rendered, Source, config
from headrace.connectors.fields import Field, Kind, document_fields
from headrace.topology.projector import Projector

PLUGIN = "io.debezium.connector.jdbc.JdbcSinkConnector"
_TYPES = {
    Kind.INTEGER: "numeric",  # an int of Python has no largest one, and one row must not break the view
    Kind.NUMBER: "double precision",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "date",
    Kind.MOMENT: "timestamptz",
}
_JSON_TYPES = {Kind.INTEGER: "number", Kind.NUMBER: "number", Kind.BOOLEAN: "boolean"}


@dataclass(frozen=True)
class Jdbc:
    """Documents in a table: `id`, and `document`, a text that is JSON, or null for one that was deleted.

    Args:
        projector: whose documents.
        url: `jdbc:postgresql://…`; may be a reference.
        user, password: references, the user may be plain.
        table: its name; by default the component's with underscores and `_rows`. The view has the same name without
            `_rows`.
        tasks: the most tasks.
        settings: further settings of the connector.
    """

    projector: type[Projector[Any]]
    url: str = "${env:JDBC_URL}"
    user: str = "${env:JDBC_USER}"
    password: str = "${env:JDBC_PASSWORD}"  # noqa: S105, a reference
    table: str = ""
    tasks: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)

    kind: ClassVar[str] = "jdbc"

    def render(self, source: Source, offered: Collection[str]) -> Rendered:
        """The sink for Connect, with a view that has a column for each field. ValueError says what does not fit."""
        table = self.table or f"{source.component.replace('-', '_')}_rows"
        if not re.fullmatch(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?", table):
            raise ValueError(f"{source}: table {table!r} must be a name of small letters, digits and underscores")
        own = {
            # The plug-in wants structs with a schema: key and document become the one text of such a struct. It could
            # delete only what comes without any schema, which none of Connect's converters for texts gives. So the text
            # of a deletion is null, and the view hides it.
            "value.converter": TEXT,
            "transforms": "id,document",
            "transforms.id.type": "org.apache.kafka.connect.transforms.HoistField$Key",
            "transforms.id.field": "id",
            "transforms.document.type": "org.apache.kafka.connect.transforms.HoistField$Value",
            "transforms.document.field": "document",
            "connection.url": self.url,
            "connection.username": self.user,
            "connection.password": self.password,
            "collection.name.format": table,
            "connection.restart.on.errors": "true",
            "insert.mode": "upsert",
            "primary.key.mode": "record_key",
            "primary.key.fields": "id",
            "schema.evolution": "basic",
        }
        view = table.removesuffix("_rows") if table.endswith("_rows") else f"{table}_now"
        place, dot, _ = table.rpartition(".")
        serving = f"{place}{dot}{source.projector.name.replace('-', '_')}"
        return Rendered(
            source,
            config(source, PLUGIN, self.tasks, own, self.settings),
            sql=_postgres(table, view, document_fields(source.projector)),
            # not replaced, because the columns of another version may be others
            serving=(f"BEGIN; DROP VIEW IF EXISTS {serving}; CREATE VIEW {serving} AS SELECT * FROM {view}; COMMIT",),
            to_empty=f"TRUNCATE {table}",
        )


def _postgres(table: str, view: str, fields: Collection[Field]) -> tuple[str, ...]:
    create = f"CREATE TABLE IF NOT EXISTS {table} (id text PRIMARY KEY, document text)"
    columns = "".join(f",\n  {_column(one)} AS {_quoted(one.name)}" for one in fields if one.name != "id")
    # Postgres can have no character 0 in a text: one document with it must not break the view for all others
    rows = f"SELECT id, replace(document, '\\u0000', '\\ufffd')::json AS document FROM {table}"
    columns = columns or ", document"
    definition = (
        f"CREATE OR REPLACE VIEW {view} AS\nSELECT id{columns}\nFROM ({rows} WHERE document IS NOT NULL) AS documents"
    )
    return create, definition


def _column(one: Field) -> str:
    if one.many or one.kind in (Kind.OBJECT, Kind.ANY):
        return f"document -> '{one.name}'"
    text = f"document ->> '{one.name}'"
    if one.kind not in _TYPES:
        return text
    cast = f"({text})::{_TYPES[one.kind]}"
    if one.kind not in _JSON_TYPES:
        return cast
    return f"CASE json_typeof(document -> '{one.name}') WHEN '{_JSON_TYPES[one.kind]}' THEN {cast} END"


def _quoted(name: str) -> str:
    return f'"{name}"'
