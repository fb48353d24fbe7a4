"""What a switch of versions does in the systems to which sinks bring documents, and what a drop removes there."""

import time
from collections.abc import Callable, Iterator

from headrace.connectors.connect.client import ConnectClient
from headrace.connectors.connect.rendering import Rendered, Source
from headrace.connectors.redis.declaration import Redis
from headrace.connectors.search.index import IndexAdmin
from headrace.connectors.sinks import ConnectSink, Sink, Sinks
from headrace.streams.admin import groups
from headrace.streams.admin.progress import await_passed
from headrace.streams.admin.projections import Target
from headrace.streams.settings import Settings
from headrace.streams.state.topic_reader import Ends

_LOOK_AGAIN = 0.25


class RedisTarget:
    """The pointer in Redis, which reads follow."""

    name = "Redis"

    def __init__(self, sink: Redis, settings: Settings) -> None:
        # here, because it is an extra that only those need who have a Redis
        from headrace.connectors.redis.documents import Documents  # noqa: PLC0415

        self._sink, self._documents = sink, Documents(sink.url, settings)

    def await_passed(self, ends: Ends, deadline: float) -> bool:
        while True:
            reached = self._documents.reached(self._sink.projector)
            if all(reached.get(partition, 0) >= end for (_, partition), (_, end) in ends.items()):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_AGAIN)

    def serve(self) -> list[str]:
        projector = self._sink.projector
        self._documents.serve(projector, projector.version)
        return [f"Redis: reads of {projector.name} are of version {projector.version}"]

    def drop(self) -> list[str]:
        return [f"Redis: deleted {self._documents.drop(self._sink.projector)} documents of {self._sink.component}"]


class ConnectTarget:
    """What Connect fills: an index of a search server, with an alias; tables of Snowflake, with a view; others."""

    def __init__(self, one: Rendered, settings: Settings, client: ConnectClient) -> None:
        self.name = one.name
        self._one, self._settings, self._client = one, settings, client
        self._group = f"connect-{one.name}"

    def await_passed(self, ends: Ends, deadline: float) -> bool:
        return await_passed(self._settings, self._group, ends, deadline)

    def serve(self) -> list[str]:
        source = self._one.source
        if self._one.index is not None:
            alias = f"{source.names.prefix}{source.edition}.{source.projector.name}"
            IndexAdmin(self._one.index).take_alias(alias)
            return [f"search: the alias {alias} is of {self._one.index.name}"]
        return [f"run for {self.name}: {statement}" for statement in self._one.serving]

    def drop(self) -> list[str]:
        done = []
        if self._one.name in self._client.configs():
            self._client.delete(self._one.name)
            done.append(f"deleted connector {self._one.name}")
        groups.delete_groups(self._settings, [self._group])
        if self._one.index is not None and IndexAdmin(self._one.index).drop():
            done.append(f"deleted index {self._one.index.name}")
        return done


def targets(
    sinks: Sinks, settings: Settings, name: str, version: int, client: Callable[[], ConnectClient]
) -> list[Target]:
    """Those of a version of a projector; `client` is asked only if one of them is run by Connect."""
    return list(_targets(sinks, settings, name, version, client))


def _targets(
    sinks: Sinks, settings: Settings, name: str, version: int, client: Callable[[], ConnectClient]
) -> Iterator[Target]:
    of_version: list[Sink] = [
        sink for sink in sinks if (sink.projector.name, sink.projector.version) == (name, version)
    ]
    connect = client() if any(isinstance(sink, ConnectSink) for sink in of_version) else None
    for sink in of_version:
        if isinstance(sink, Redis):
            yield RedisTarget(sink, settings)
        elif isinstance(sink, ConnectSink) and connect is not None:
            source = Source(settings.names, settings.edition, sink.projector, sink.kind)
            yield ConnectTarget(sink.render(source, connect.plugins()), settings, connect)
