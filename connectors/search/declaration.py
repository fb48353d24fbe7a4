"""A search server as a sink: Elasticsearch or OpenSearch."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from headrace.connectors.connect.rendering import BYTES, JSON, Index, Rendered, Source, config
from headrace.connectors.fields import Field, Kind, document_fields
from headrace.topology.projector import Projector

Plugin = Literal["headrace", "confluent", "aiven"]
PLUGINS: dict[Plugin, str] = {
    "headrace": "dev.headrace.search.SearchSinkConnector",
    "confluent": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
    "aiven": "io.aiven.kafka.connect.opensearch.OpenSearchSinkConnector",
}
"""Class of each plug-in's connector."""
_TYPES: dict[Kind, dict[str, Any]] = {
    Kind.TEXT: {"type": "keyword", "ignore_above": 8191},  # a longer one would be refused, and its document with it
    Kind.INTEGER: {"type": "long"},
    Kind.NUMBER: {"type": "double"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.DATE: {"type": "date"},
    Kind.MOMENT: {"type": "date"},
    Kind.ANY: {"type": "object", "enabled": False},
}


@dataclass(frozen=True)
class Search:
    """Documents in an index of their own, named as their topic is.

    Args:
        projector: whose documents.
        mappings: of fields, as the server has them: `{"name": {"type": "text"}}`. They go before those that follow
            from the document's own types; where `properties` is in it, it is the whole mapping.
        url: where the server is; may be a reference.
        user, password: for basic authentication; references.
        api_key: instead of them; a reference.
        plugin: which plug-in of Connect; by default the first of these that the worker offers.
        index_settings: of the index, such as `{"number_of_shards": 3}`.
        gc_deletes: how long the server remembers the version of a deleted document. A task that was held up for
            longer could bring the document back; the server's own 60 seconds are less than a task can be away.
        tasks: the most tasks.
        settings: further settings of the connector.
    """

    projector: type[Projector[Any]]
    mappings: Mapping[str, Any] = field(default_factory=dict)
    url: str = "${env:SEARCH_URL}"
    user: str = ""
    password: str = ""
    api_key: str = ""
    plugin: Plugin | None = None
    index_settings: Mapping[str, Any] = field(default_factory=dict)
    gc_deletes: str = "1h"
    tasks: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)

    kind: ClassVar[str] = "search"

    def render(self, source: Source, offered: Collection[str]) -> Rendered:
        """The sink for Connect, with the body of its index. ValueError says what does not fit."""
        index = source.topic
        if index != index.lower():
            raise ValueError(
                f"{source}: the topic prefix {source.names.prefix!r} has capitals, which no index may have"
            )
        plugin = self.plugin or next((name for name, cls in PLUGINS.items() if cls in offered), "headrace")
        if plugin not in PLUGINS:
            raise ValueError(f"{source}: there is no plugin {plugin!r}; there are {', '.join(PLUGINS)}")
        if bool(self.user) != bool(self.password) or (self.user and self.api_key):
            raise ValueError(f"{source}: give user and password, or api_key, or none of them")
        if self.api_key and plugin != "headrace":
            raise ValueError(f"{source}: the plug-in {plugin} takes no api_key; give user and password")
        own = self._own(index) if plugin == "headrace" else self._others(plugin)
        return Rendered(
            source,
            config(source, PLUGINS[plugin], self.tasks, own, self.settings),
            index=Index(index, self._body(source), self.url, self.user, self.password, self.api_key),
        )

    def _own(self, index: str) -> dict[str, str]:
        return {
            "value.converter": BYTES,
            "connection.url": self.url,
            "connection.username": self.user,
            "connection.password": self.password,
            "connection.api.key": self.api_key,
            "index": index,
        }

    def _others(self, plugin: Plugin) -> dict[str, str]:
        """Those of Confluent and Aiven come from one ancestor; an index is named as its topic there."""
        own = {
            "value.converter": JSON,
            "value.converter.schemas.enable": "false",
            "connection.url": self.url,
            "connection.username": self.user,
            "connection.password": self.password,
            "key.ignore": "false",
            "schema.ignore": "true",
            "behavior.on.null.values": "delete",
            "max.retries": "10",
            "retry.backoff.ms": "200",
        }
        if plugin == "confluent":  # it reports a document that is refused, and warns of it
            return {**own, "write.method": "insert", "behavior.on.malformed.documents": "warn"}
        return {
            **own,
            "index.write.method": "insert",
            "behavior.on.version.conflict": "ignore",
            "behavior.on.malformed.documents": "report",
        }

    def _body(self, source: Source) -> dict[str, Any]:
        settings = {"gc_deletes": self.gc_deletes, **self.index_settings}
        if "properties" in self.mappings:
            return {"settings": {"index": settings}, "mappings": dict(self.mappings)}
        derived = _properties(document_fields(source.projector))
        if unknown := [name for name in self.mappings if derived and name not in derived]:
            known = ", ".join(derived)
            raise ValueError(f"{source}: mappings names {', '.join(unknown)}, and the document has: {known}")
        mappings = {"dynamic": "strict" if derived else False, "properties": {**derived, **self.mappings}}
        return {"settings": {"index": settings}, "mappings": mappings}


def _properties(fields: Collection[Field]) -> dict[str, Any]:
    return {one.name: _mapping(one) for one in fields}


def _mapping(one: Field) -> dict[str, Any]:
    return {"properties": _properties(one.fields)} if one.kind is Kind.OBJECT else dict(_TYPES[one.kind])
