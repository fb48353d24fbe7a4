"""An Iceberg table as a sink, by Apache's plug-in."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from headrace.connectors.connect.rendering import JSON, Rendered, Source, config
from headrace.connectors.fields import document_fields
from headrace.topology.projector import Projector

PLUGIN = "org.apache.iceberg.connect.IcebergSinkConnector"


@dataclass(frozen=True)
class Iceberg:
    """Documents in an Iceberg table: a row for each change of one. The plug-in appends; it cannot delete.

    Args:
        projector: whose documents.
        table: `namespace.table`.
        catalog: settings of the catalog, such as `{"type": "rest", "uri": "https://…"}`; secrets are references.
        commit_seconds: how often a snapshot of the table is made.
        tasks: the most tasks.
        settings: further settings of the connector.
    """

    projector: type[Projector[Any]]
    table: str
    catalog: Mapping[str, str]
    commit_seconds: int = 300
    tasks: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)

    kind: ClassVar[str] = "iceberg"

    def render(self, source: Source, offered: Collection[str]) -> Rendered:
        """The sink for Connect, and a query of the newest rows. ValueError says what does not fit."""
        if not re.fullmatch(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)+", self.table):
            raise ValueError(f"{source}: table {self.table!r} must be written namespace.table")
        if not self.catalog:
            raise ValueError(f'{source}: catalog is empty; give at least {{"type": …, "uri": …}}')
        control = source.names.topic(source.edition, f"{source.component}-{source.kind}", "sink-control")
        own = {
            "value.converter": JSON,
            "value.converter.schemas.enable": "false",
            # the row's place in the log: the one with the highest offset of its partition is the newest of its document
            "transforms": "place",
            "transforms.place.type": "org.apache.kafka.connect.transforms.InsertField$Value",
            "transforms.place.partition.field": "_partition",
            "transforms.place.offset.field": "_offset",
            "transforms.place.timestamp.field": "_time",
            "iceberg.tables": self.table,
            "iceberg.tables.auto-create-enabled": "true",
            "iceberg.tables.evolve-schema-enabled": "true",
            "iceberg.control.topic": control,
            "iceberg.control.group-id-prefix": f"cg-control-{source.connector}",
            "iceberg.control.commit.interval-ms": str(self.commit_seconds * 1000),
            **{f"iceberg.catalog.{name}": value for name, value in self.catalog.items()},
        }
        has_id = any(one.name == "id" for one in document_fields(source.projector))
        return Rendered(
            source,
            config(source, PLUGIN, self.tasks, own, self.settings),
            topics=(control,),
            no_reset=(
                f"Iceberg remembers itself how far it has come: `headrace connect delete`, drop the table {self.table} "
                "there, then deploy"
            ),
            notes=(
                "Deletions do not reach the table: the plug-in skips records without a value.",
                *(() if has_id else ("The document has no field `id`, and the record's key is not in the table.",)),
            ),
        )
