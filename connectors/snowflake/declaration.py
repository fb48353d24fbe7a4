"""Snowflake as a sink, by its own plug-in."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from headrace.connectors.connect.rendering import JSON, TEXT, Rendered, Source, config
from headrace.connectors.fields import document_fields
from headrace.connectors.snowflake import sql
from headrace.topology.projector import Projector

PLUGINS = {
    2: "com.snowflake.kafka.connector.SnowflakeSinkConnector",
    4: "com.snowflake.kafka.connector.SnowflakeStreamingSinkConnector",
}
"""Class of the connector by the plug-in's major version; 4 is rendered from its documentation, and is untested."""


@dataclass(frozen=True)
class Snowflake:
    """Documents in Snowflake: every record in a landing table, and a view of the documents as they are now.

    Args:
        projector: whose documents.
        url: the account, `https://…snowflakecomputing.com`; may be a reference.
        user: who has the key; may be a reference.
        private_key: of the user, without line ends; a reference.
        passphrase: of the key, if it has one; a reference.
        database, schema: where the table is; names without quotes.
        role: of the user; empty for its default.
        table: name of the landing table; by default the component's with underscores and `_LOG`. The view has the
            same name without `_LOG`.
        version: major version of the plug-in; by default 4 if the worker offers only that one, else 2.
        tasks: the most tasks.
        settings: further settings of the connector.
    """

    projector: type[Projector[Any]]
    url: str = "${env:SNOWFLAKE_URL}"
    user: str = "${env:SNOWFLAKE_USER}"
    private_key: str = "${env:SNOWFLAKE_PRIVATE_KEY}"
    passphrase: str = ""
    database: str = "HEADRACE"
    schema: str = "PUBLIC"
    role: str = ""
    table: str = ""
    version: int | None = None
    tasks: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)

    kind: ClassVar[str] = "snowflake"

    def render(self, source: Source, offered: Collection[str]) -> Rendered:
        """The sink for Connect, with the SQL of table and view. ValueError says what does not fit."""
        version = self.version or (4 if PLUGINS[4] in offered and PLUGINS[2] not in offered else 2)
        if version not in PLUGINS:
            raise ValueError(f"{source}: there is no version {version} to render for; there are 2 and 4")
        table = (self.table or f"{source.component.replace('-', '_')}_LOG").upper()
        for name in (self.database, self.schema, table):
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*", name):
                raise ValueError(f"{source}: {name!r} must be a name without quotes: letters, digits, underscores")
        place = f"{self.database}.{self.schema}".upper()
        own = {
            "header.converter": TEXT,
            "value.converter": JSON,
            "value.converter.schemas.enable": "false",
            "snowflake.url.name": self.url,
            "snowflake.user.name": self.user,
            "snowflake.private.key": self.private_key,
            "snowflake.private.key.passphrase": self.passphrase,
            "snowflake.database.name": self.database.upper(),
            "snowflake.schema.name": self.schema.upper(),
            "snowflake.role.name": self.role,
            "snowflake.topic2table.map": f"{source.topic}:{table}",
            "snowflake.enable.schematization": "false",
            # a deletion is a row like others, with an empty content
            "behavior.on.null.values": "DEFAULT",
        }
        if version == 2:
            own |= {"snowflake.ingestion.method": "SNOWPIPE_STREAMING"}
        fields = document_fields(source.projector)
        view = table.removesuffix("_LOG") if table.endswith("_LOG") else f"{table}_NOW"
        return Rendered(
            source,
            config(source, PLUGINS[version], self.tasks, own, self.settings),
            sql=(sql.landing_table(f"{place}.{table}"), sql.view(f"{place}.{view}", f"{place}.{table}", fields)),
            serving=(sql.serving_view(source.projector.name, f"{place}.{view}"),),
            no_reset=(
                "Snowflake remembers itself how far it has come: `headrace connect delete`, drop the table "
                f"{place}.{table} there, run its SQL again (`headrace connect render`), then deploy"
            ),
            notes=("Version 4 of the plug-in is rendered from its documentation; it was not tried.",)
            if version == 4
            else (),
        )
